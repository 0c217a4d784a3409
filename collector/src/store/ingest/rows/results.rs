//! The columns of the table `results`, and its rows.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;

use super::column::Column;
use crate::batch::CheckResult;
use crate::store::db::time::pg_time;
use crate::store::ingest::batch_plan::NewResult;
use crate::store::ingest::ledger_cache::Monitor;

/// A row of `results`: a result and its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) monitor_id: i32,
    pub(crate) checked_at: PgTimestamp,
    pub(crate) epoch_id: i32,
    pub(crate) seq: i64,
    pub(crate) result: &'a CheckResult<'a>,
}

impl Row<'_> {
    fn key(&self) -> (i32, i64, i32, i64) {
        (self.monitor_id, self.checked_at.0, self.epoch_id, self.seq)
    }
}

/// Returns the rows of these results in the order of the index. `monitors` has the monitor of each result.
pub(crate) fn rows<'a>(results: &[NewResult<'a>], monitors: &[Monitor]) -> Vec<Row<'a>> {
    let row = |(new_result, monitor): (&NewResult<'a>, &Monitor)| {
        let NewResult { epoch_id, seq, result } = *new_result;
        Row { monitor_id: monitor.id, checked_at: pg_time(result.checked_at), epoch_id, seq, result }
    };
    let mut rows: Vec<_> = results.iter().zip(monitors).map(row).collect();
    rows.sort_unstable_by_key(Row::key);
    rows
}

/// Makes of one list of columns: the table for diesel, its row, the row of a result, and the row in the binary form of COPY.
macro_rules! columns {
    ($row:ident, $result:ident: $($name:ident ($($sql:tt)+) $rust:ty = $value:expr;)+) => {
        diesel::table! {
            results (monitor_id, checked_at, epoch_id, seq) {
                $($name -> $($sql)+,)+
            }
        }

        /// The columns of a row. Their values are within bounds because those of the wire are.
        #[derive(Clone, Debug, Insertable)]
        #[diesel(table_name = results, treat_none_as_default_value = false)]
        pub(crate) struct ResultRow<'a> {
            $(pub(crate) $name: $rust,)+
        }

        impl<'a> ResultRow<'a> {
            /// The number of columns.
            pub(super) const COLUMNS: i16 = 0 $(+ { let _ = stringify!($name); 1 })+;

            pub(crate) fn new($row: &Row<'a>) -> ResultRow<'a> {
                let $result = $row.result;
                ResultRow { $($name: $value,)+ }
            }

            /// Appends the row to the data of a COPY.
            pub(super) fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&ResultRow::COLUMNS.to_be_bytes());
                $(self.$name.encode(out);)+
            }
        }
    };
}

columns! { row, result:
    monitor_id (Integer) i32 = row.monitor_id;
    checked_at (Timestamptz) PgTimestamp = row.checked_at;
    epoch_id (Integer) i32 = row.epoch_id;
    seq (BigInt) i64 = row.seq;
    outcome (Text) &'static str = result.outcome.as_str();
    status_code (Nullable<SmallInt>) Option<i16> = result.status_code.map(|code| i16::try_from(code).unwrap_or(i16::MAX));
    reason (Nullable<Text>) Option<&'a str> = result.reason.as_deref();
    response_time_us (Nullable<BigInt>) Option<i64> = us(result.response_time_us);
    dns_us (Nullable<BigInt>) Option<i64> = us(result.phases.dns);
    connect_us (Nullable<BigInt>) Option<i64> = us(result.phases.connect);
    tls_us (Nullable<BigInt>) Option<i64> = us(result.phases.tls);
    first_byte_us (Nullable<BigInt>) Option<i64> = us(result.phases.first_byte);
    body_us (Nullable<BigInt>) Option<i64> = us(result.phases.body);
    attempts (SmallInt) i16 = i16::try_from(result.attempts).unwrap_or(i16::MAX);
    pattern_matched (Nullable<Bool>) Option<bool> = result.pattern_matched;
    peer (Nullable<Text>) Option<&'a str> = result.peer.as_deref();
    certificate_not_after (Nullable<Timestamptz>) Option<PgTimestamp> =
        result.certificate.as_ref().map(|certificate| pg_time(certificate.not_after));
    error (Nullable<Text>) Option<&'a str> = result.error.as_deref();
    certificate_first_end (Nullable<Timestamptz>) Option<PgTimestamp> =
        result.certificate.as_ref().and_then(|certificate| certificate.first_end).map(pg_time);
}

fn us(value: Option<u64>) -> Option<i64> {
    value.map(|value| i64::try_from(value).unwrap_or(i64::MAX))
}
