//! Finds the records that the database refuses, by halving a batch, and sets them aside.

use std::collections::BTreeSet;
use std::time::Instant;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Timestamptz;
use jiff::Timestamp;
use wire::Content;

use super::batch_plan::day;
use super::writer::Writer;
use crate::batch::Entry;
use crate::position::Positions;
use crate::store::db::connections::LOCK_TIMEOUT;
use crate::store::db::error::{StoreError, describe};
use crate::store::db::time::pg_time;
use crate::store::partitions::Partitions;

/// How often a single record is tried before it is set aside, each time after the database accepted sound records. The
/// server may refuse for reasons of its own that come and go, such as an administrator who cancels statements.
const LONE_TRIES: u32 = 5;

/// Stores the records that the database accepts, and sets aside each record that it refuses. Another fault of the
/// database must not be taken for a fault of records, so the database has to accept sound records meanwhile. The
/// positions are written last, because they must not be ahead of their rows.
pub(crate) fn sift(writer: &mut Writer, entries: &[Entry<'_>], ends: &Positions) -> Result<(), StoreError> {
    check_soundness(writer, Timestamp::now())?;
    halve(writer, entries)?;
    writer.store(&[], ends, None)
}

fn halve(writer: &mut Writer, entries: &[Entry<'_>]) -> Result<(), StoreError> {
    match writer.store(entries, &Positions::new(), None) {
        Err(StoreError::Refused(_)) if entries.len() > 1 => {
            let (left, right) = entries.split_at(entries.len() / 2);
            halve(writer, left)?;
            halve(writer, right)
        }
        Err(StoreError::Refused(_)) => store_alone(writer, entries),
        outcome => outcome,
    }
}

/// Stores one record that was refused, or sets it aside when it is refused again and again while sound records are
/// accepted.
fn store_alone(writer: &mut Writer, entry: &[Entry<'_>]) -> Result<(), StoreError> {
    let at = entry.iter().find_map(checked_at).unwrap_or_else(Timestamp::now);
    let mut refusal = None;
    for _ in 0..LONE_TRIES {
        check_soundness(writer, at)?;
        let began = Instant::now();
        match writer.store(entry, &Positions::new(), None) {
            Err(StoreError::Refused(text)) if began.elapsed() < LOCK_TIMEOUT => refusal = Some(text),
            // A single record that takes this long waits for a lock.
            outcome => return outcome,
        }
    }
    writer.store(entry, &Positions::new(), refusal.as_deref())
}

fn checked_at(entry: &Entry<'_>) -> Option<Timestamp> {
    match &entry.decoded().as_ref().ok()?.content {
        Content::Result(result) => Some(result.checked_at),
        Content::Dropped(_) | Content::Agent(_) => None,
    }
}

/// Checks that the database accepts sound records with the time of the record that it refused, and some more that need
/// space on its disk. Their sequence numbers are the highest that there are. Nothing of them stays.
fn check_soundness(writer: &mut Writer, at: Timestamp) -> Result<(), StoreError> {
    let mut session = writer.connections.get()?;
    Partitions::default().ensure(&mut session, &BTreeSet::from([day(at)]))?;
    let outcome = session.transaction(|connection| {
        for statement in [
            "insert into agents (name) values (gen_random_uuid()::text)",
            "insert into epochs (epoch, agent_id) select gen_random_uuid(), max(agent_id) from agents",
            "insert into monitors (id, name, url, hash) values ('', '', '', gen_random_uuid())",
            r#"insert into rejected (topic, partition, "offset", reason, detail, value)
               select gen_random_uuid()::text, 0, 0, '', '', string_agg(uuid_send(gen_random_uuid()), '')
               from generate_series(1, 1024)"#,
        ] {
            sql_query(statement).execute(connection)?;
        }
        sql_query(
            "insert into results (monitor_id, checked_at, epoch_id, seq, outcome, attempts)
             select 0, $1, 0, 9223372036854775807 - n, 'success', 1 from generate_series(1, 100) n",
        )
        .bind::<Timestamptz, _>(pg_time(at))
        .execute(connection)?;
        Err::<(), _>(diesel::result::Error::RollbackTransaction)
    });
    match outcome {
        Ok(()) | Err(diesel::result::Error::RollbackTransaction) => Ok(()),
        Err(error) => Err(StoreError::Unavailable(describe(&error))),
    }
}
