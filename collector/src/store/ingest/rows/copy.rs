//! Writes rows to `results` by binary COPY.
//!
//! The rows are sent in portions of many rows. diesel's own way sends each row by itself, which costs client and server
//! more time than the row.

use std::io::{self, Write};

use diesel::copy_from;
use diesel::pg::{CopyFormat, PgConnection};
use diesel::prelude::*;
use diesel::result::Error;

use super::results::{ResultRow, Row, results};
use crate::store::db::error::{Statement, StoreError};

/// How many bytes are sent at a time. The server takes in as much at a time.
const PORTION: usize = 64 * 1024;

/// The header: the signature, the flags, and the length of the header's extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Stores these rows.
pub(crate) fn copy(connection: &mut PgConnection, rows: &[Row<'_>]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    copy_from(results::table)
        .from_raw_data(results::all_columns, |out: &mut dyn Write| {
            write(rows, out).map_err(|error| Error::DeserializationError(Box::new(error)))
        })
        .with_format(CopyFormat::Binary)
        .execute(connection)
        .map_err(|error| StoreError::of(error, Statement::Rows))?;
    Ok(())
}

fn write(rows: &[Row<'_>], out: &mut dyn Write) -> io::Result<()> {
    let mut portion = Vec::with_capacity(PORTION + PORTION / 4);
    portion.extend_from_slice(HEADER);
    for row in rows {
        ResultRow::new(row).encode(&mut portion);
        if portion.len() >= PORTION {
            out.write_all(&portion)?;
            portion.clear();
        }
    }
    portion.extend_from_slice(&TRAILER);
    out.write_all(&portion)
}

#[cfg(test)]
mod tests {
    use diesel::pg::data_types::PgTimestamp;
    use wire::Content;

    use super::*;
    use crate::batch::Record;

    /// The pieces as they were sent.
    struct Sent(Vec<Vec<u8>>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn rows_are_sent_many_at_a_time_and_each_has_all_its_columns() {
        let messages: [&[u8]; 2] = [
            include_bytes!("../../../../../wire/golden/v1-result.json").trim_ascii(),
            include_bytes!("../../../../../wire/golden/v1-result-least.json").trim_ascii(),
        ];
        let records = messages.map(|message| Record::decode(Some(message)).unwrap());
        let rows: Vec<Row<'_>> = (0..2_000)
            .zip(records.iter().cycle())
            .map(|(seq, record)| {
                let Content::Result(result) = &record.content else { panic!("no result") };
                Row { monitor_id: 7, checked_at: PgTimestamp(1), epoch_id: 3, seq, result }
            })
            .collect();
        let mut sent = Sent(Vec::new());
        write(&rows, &mut sent).unwrap();
        assert!(sent.0.len() < 10, "{} pieces", sent.0.len());

        let all = sent.0.concat();
        let mut rest = all.strip_prefix(HEADER).unwrap();
        for row in &rows {
            let (count, mut columns) = rest.split_first_chunk().unwrap();
            assert_eq!(i16::from_be_bytes(*count), ResultRow::COLUMNS);
            let mut read = Vec::new();
            for _ in 0..ResultRow::COLUMNS {
                let (len, value) = columns.split_first_chunk().unwrap();
                let len = usize::try_from(i32::from_be_bytes(*len)).ok();
                let (value, after) = value.split_at(len.unwrap_or(0));
                read.push(len.map(|_| value));
                columns = after;
            }
            assert_eq!(read[3], Some(row.seq.to_be_bytes().as_slice()));
            assert_eq!(read[4], Some(row.result.outcome.as_str().as_bytes()));
            assert_eq!(read[17], row.result.error.as_deref().map(str::as_bytes));
            rest = columns;
        }
        assert_eq!(rest, TRAILER);
    }
}
