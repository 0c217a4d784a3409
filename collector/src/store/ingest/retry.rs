//! Stores for as long as it takes. It waits for a database that is away, and ends sessions of stuck collectors that
//! hold a lock.

use std::thread::sleep;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool};

use super::bisect::sift;
use super::writer::Writer;
use crate::batch::Entry;
use crate::position::{Positions, Written};
use crate::store::db::connections::LOCK_TIMEOUT;
use crate::store::db::error::{StoreError, describe, failure};
use crate::unavailable::Unavailable;

/// The shortest pause between two tries. The pauses grow up to `LONGEST_PAUSE`.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often a batch that the database refuses is tried again before its records are suspected.
const TRIES: u32 = 3;

/// Stores these entries, after which the partitions are at `ends`. They are given up only when `is_over` returned true.
pub(crate) fn write(
    writer: &mut Writer,
    entries: &[Entry<'_>],
    ends: &Positions,
    is_over: &dyn Fn() -> bool,
) -> Written {
    let mut refusals = 0;
    let written = persist(writer, is_over, |writer| {
        loop {
            match writer.store(entries, ends, None) {
                Err(StoreError::Refused(_)) if refusals < TRIES => {
                    refusals += 1;
                    if !wait(SHORTEST_PAUSE, is_over) {
                        return Ok(Written::GivenUp);
                    }
                }
                Err(StoreError::Refused(_)) => return settled(sift(writer, entries, ends)),
                outcome => return settled(outcome),
            }
        }
    });
    written.unwrap_or(Written::GivenUp)
}

fn settled(outcome: Result<(), StoreError>) -> Result<Written, StoreError> {
    match outcome {
        Ok(()) => Ok(Written::Stored),
        Err(StoreError::Moved) => Ok(Written::Moved),
        Err(error) => Err(error),
    }
}

/// Tries something until the database does it. Returns `None` when `is_over` returned true.
pub(crate) fn persist<T>(
    writer: &mut Writer,
    is_over: &dyn Fn() -> bool,
    mut attempt: impl FnMut(&mut Writer) -> Result<T, StoreError>,
) -> Option<T> {
    let began = Instant::now();
    let mut pause = SHORTEST_PAUSE;
    let mut waited = false;
    loop {
        let text = match attempt(writer) {
            Ok(done) => {
                if waited && let Some(away) = writer.outage.ended(Instant::now()) {
                    log::info!(seconds = away.as_secs(); "the database stores again");
                }
                return Some(done);
            }
            Err(StoreError::Locked(text)) => {
                free_lock(writer, began.elapsed());
                text
            }
            Err(error) => Unavailable::from(error).to_string(),
        };
        waited = true;
        let failure = failure(&text);
        if let Some(tries) = writer.outage.failed(&failure, Instant::now()) {
            log::warn!(tries, error:% = failure; "the database does not store: waiting for it");
        }
        if !wait(pause, is_over) {
            // Another collector stores it. This collector may have nothing more to store, so it would not learn that
            // the database is back.
            writer.outage.ended(Instant::now());
            return None;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits. Returns false when `is_over` returned true.
fn wait(pause: Duration, is_over: &dyn Fn() -> bool) -> bool {
    const SLICE: Duration = Duration::from_millis(50);
    let began = Instant::now();
    while !is_over() {
        let left = pause.saturating_sub(began.elapsed());
        if left.is_zero() {
            return true;
        }
        sleep(left.min(SLICE));
    }
    false
}

/// Ends sessions of collectors that keep a transaction open and do not send what the server waits for. No timeout of
/// the server ends them when this happens inside of COPY.
fn free_lock(writer: &Writer, waited: Duration) {
    #[derive(QueryableByName)]
    struct Ended {
        #[diesel(sql_type = Bool)]
        ended: bool,
    }
    if waited < LOCK_TIMEOUT {
        return;
    }
    let Ok(mut session) = writer.connections.get() else { return };
    let ended = sql_query(
        "select pg_terminate_backend(a.pid) as ended from pg_stat_activity a
         where a.usename = current_user and a.datname = current_database()
           and a.application_name = current_setting('application_name') and a.pid <> pg_backend_pid()
           and a.wait_event = 'ClientRead' and a.xact_start < clock_timestamp() - $1 * interval '1 millisecond'",
    )
    .bind::<BigInt, _>(i64::try_from(2 * LOCK_TIMEOUT.as_millis()).unwrap_or(i64::MAX))
    .load::<Ended>(&mut **session);
    match ended {
        Ok(ended) if ended.iter().any(|one| one.ended) => {
            log::warn!(sessions = ended.len(); "ended sessions of stuck collectors that held locks");
        }
        Ok(_) => {}
        Err(error) => log::warn!(error = describe(&error); "can't look for stuck collectors"),
    }
}
