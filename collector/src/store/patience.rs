//! Storing for as long as it takes, and finding the records that the database refuses.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Timestamptz};
use jiff::Timestamp;
use wire::Content;

use super::Store;
use super::connect::LOCK_TIMEOUT;
use super::partitions::Partitions;
use super::tables::pg_time;
use super::trouble::{Trouble, describe, failure};
use crate::batch::Entry;
use crate::position::{Positions, Written};

/// Pauses between two tries.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often a batch that the database refuses is tried before its records are suspected.
const TRIES: u32 = 3;

/// How often a record alone is tried, each time after the database took sound ones, before it is set aside. The server
/// may refuse for reasons of its own that come and go, such as an administrator who cancels statements.
const LONE_TRIES: u32 = 5;

/// Stores these entries, after which the partitions are at `ends`. They are given up only when `is_over` said so.
pub(super) fn write(store: &mut Store, entries: &[Entry<'_>], ends: &Positions, is_over: &dyn Fn() -> bool) -> Written {
    let mut refusals = 0;
    let written = persist(store, is_over, |store| {
        loop {
            match store.store(entries, ends, None) {
                Err(Trouble::Refused(_)) if refusals < TRIES => {
                    refusals += 1;
                    if !wait(SHORTEST_PAUSE, is_over) {
                        return Ok(Written::GivenUp);
                    }
                }
                Err(Trouble::Refused(_)) => return settled(sift(store, entries, ends)),
                outcome => return settled(outcome),
            }
        }
    });
    written.unwrap_or(Written::GivenUp)
}

fn settled(outcome: Result<(), Trouble>) -> Result<Written, Trouble> {
    match outcome {
        Ok(()) => Ok(Written::Stored),
        Err(Trouble::Moved) => Ok(Written::Moved),
        Err(trouble) => Err(trouble),
    }
}

/// Tries something until the database does it; none when `is_over` said so.
pub(super) fn persist<T>(
    store: &mut Store,
    is_over: &dyn Fn() -> bool,
    mut attempt: impl FnMut(&mut Store) -> Result<T, Trouble>,
) -> Option<T> {
    let began = Instant::now();
    let mut pause = SHORTEST_PAUSE;
    let mut waited = false;
    loop {
        let text = match attempt(store) {
            Ok(done) => {
                if waited && let Some(away) = store.outage.ended(Instant::now()) {
                    log::info!(seconds = away.as_secs(); "the database stores again");
                }
                return Some(done);
            }
            Err(Trouble::Locked(text)) => {
                free_lock(store, began.elapsed());
                text
            }
            Err(trouble) => super::Unavailable::from(trouble).to_string(),
        };
        waited = true;
        let failure = failure(&text);
        if let Some(tries) = store.outage.failed(&failure, Instant::now()) {
            log::warn!(tries, error:% = failure; "the database does not store: waiting for it");
        }
        if !wait(pause, is_over) {
            // Another collector stores it. This one may have nothing more to store by which it would learn that the
            // database is back.
            store.outage.ended(Instant::now());
            return None;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits; false when it is over.
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

/// Stores what the database takes and sets aside what it refuses alone. Whatever else is wrong with the database
/// must not be taken for a fault of records, so it has to take sound ones meanwhile. The positions come last, since they
/// must not lead their rows.
fn sift(store: &mut Store, entries: &[Entry<'_>], ends: &Positions) -> Result<(), Trouble> {
    check_soundness(store, Timestamp::now())?;
    halve(store, entries)?;
    store.store(&[], ends, None)
}

fn halve(store: &mut Store, entries: &[Entry<'_>]) -> Result<(), Trouble> {
    match store.store(entries, &Positions::new(), None) {
        Err(Trouble::Refused(_)) if entries.len() > 1 => {
            let (left, right) = entries.split_at(entries.len() / 2);
            halve(store, left)?;
            halve(store, right)
        }
        Err(Trouble::Refused(_)) => store_alone(store, entries),
        outcome => outcome,
    }
}

/// Stores one record that was refused, or sets it aside when it is refused again and again where sound ones are taken.
fn store_alone(store: &mut Store, entry: &[Entry<'_>]) -> Result<(), Trouble> {
    let at = entry.iter().find_map(checked_at).unwrap_or_else(Timestamp::now);
    let mut refusal = None;
    for _ in 0..LONE_TRIES {
        check_soundness(store, at)?;
        let began = Instant::now();
        match store.store(entry, &Positions::new(), None) {
            Err(Trouble::Refused(text)) if began.elapsed() < LOCK_TIMEOUT => refusal = Some(text),
            // One record that takes so long waits for a lock.
            outcome => return outcome,
        }
    }
    store.store(entry, &Positions::new(), refusal.as_deref())
}

fn checked_at(entry: &Entry<'_>) -> Option<Timestamp> {
    match &entry.decoded().as_ref().ok()?.content {
        Content::Result(result) => Some(result.checked_at),
        Content::Dropped(_) | Content::Agent(_) => None,
    }
}

/// Whether the database takes records that nothing is wrong with, at the place of the one that it refused, and some
/// more, for which it needs space on its disk. Their numbers are those that come last of all. Leaves nothing of them.
fn check_soundness(store: &mut Store, at: Timestamp) -> Result<(), Trouble> {
    let mut session = store.connections.get()?;
    Partitions::default().ensure(&mut session, &BTreeSet::from([super::day(at)]))?;
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
        Err(error) => Err(Trouble::Unavailable(describe(&error))),
    }
}

/// Ends sessions of collectors that keep a transaction open and don't send what the server waits for: no timeout of
/// the server does when that happens inside COPY.
fn free_lock(store: &Store, waited: Duration) {
    #[derive(QueryableByName)]
    struct Ended {
        #[diesel(sql_type = Bool)]
        ended: bool,
    }
    if waited < LOCK_TIMEOUT {
        return;
    }
    let Ok(mut session) = store.connections.get() else { return };
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
