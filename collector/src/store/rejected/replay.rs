//! Stores messages that were set aside, after the cause was corrected: by a newer collector, a longer retention, or a
//! database that accepts them.
//!
//! A replay takes the number of a message out of the ledger, where it counts as rejected. In the same transaction it
//! stores the message as if it had just arrived, and removes it from `rejected`. So a transaction that fails has
//! changed nothing, and a replay that is repeated finds nothing more to do. A number that was stored from another
//! message stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Multirange, Text, Uuid as SqlUuid};
use uuid::Uuid;
use wire::Number;

use super::{Place, Wanted, select};
use crate::batch::{Entry, Message};
use crate::position::Positions;
use crate::ranges::Ranges;
use crate::store::Store;
use crate::store::db::error::StoreError;
use crate::store::db::multirange::from_sql;
use crate::store::db::multirange::to_sql;
use crate::store::ingest::batch_plan::{BatchPlan, number};
use crate::store::ingest::ledger_cache::{Epoch, LedgerCache};
use crate::store::ingest::positions::HeldPositions;
use crate::store::ingest::rows::names;
use crate::store::ingest::rows::results;
use crate::store::ingest::transaction;
use crate::store::ingest::transaction::{Content, WriteMode};
use crate::store::ingest::writer::{MOST_CONFLICTS, Writer, WriterSession};
use crate::unavailable::Unavailable;

/// The largest number of messages that one transaction stores.
const PORTION: i64 = 500;

/// The outcome of a replay.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// How many messages are stored now.
    pub stored: u64,
    /// The messages that stay set aside, each with the reason.
    pub kept: Vec<(Place, String)>,
}

#[derive(QueryableByName)]
struct Ledger {
    #[diesel(sql_type = Integer)]
    epoch_id: i32,
    #[diesel(sql_type = SqlUuid)]
    epoch: Uuid,
    #[diesel(sql_type = Multirange<BigInt>)]
    accounted: Vec<(Bound<i64>, Bound<i64>)>,
    #[diesel(sql_type = Multirange<BigInt>)]
    rejected: Vec<(Bound<i64>, Bound<i64>)>,
}

/// A message that is to be stored.
struct Candidate<'a> {
    entry: Entry<'a>,
    digest: Uuid,
}

impl Candidate<'_> {
    fn place(&self) -> Place {
        let Message { topic, partition, offset, .. } = self.entry.message;
        Place { topic: topic.to_owned(), partition, offset }
    }

    fn number(&self) -> Option<(Uuid, i64)> {
        match self.entry.decoded() {
            Ok(record) => Some((record.epoch, number(record.seq))),
            Err(rejection) => rejection.number.as_ref().map(|Number { epoch, seq, .. }| (*epoch, number(*seq))),
        }
    }
}

impl Store {
    /// Stores the messages that can be read and stored now.
    ///
    /// # Errors
    /// Returns why the database can't be written. Messages that were stored before the error stay stored.
    pub fn replay(&mut self, wanted: &Wanted) -> Result<Replayed, Unavailable> {
        Ok(replay(&mut self.writer, wanted)?)
    }
}

pub(crate) fn replay(writer: &mut Writer, wanted: &Wanted) -> Result<Replayed, StoreError> {
    let mut replayed = Replayed::default();
    let mut after: Option<(Place, Uuid)> = None;
    loop {
        let order = "topic, partition, \"offset\", digest";
        let messages = writer.in_session(|_, it| select(&mut it.session, wanted, order, PORTION, after.as_ref()))?;
        let Some(last) = messages.last() else { return Ok(replayed) };
        after = Some((last.place(), last.digest));
        let candidates: Vec<Candidate<'_>> = messages
            .iter()
            .map(|rejected| Candidate { entry: Entry::new(rejected.message()), digest: rejected.digest })
            .collect();
        replay_or_halve(writer, &candidates, &mut replayed)?;
    }
}

fn replay_or_halve(
    writer: &mut Writer,
    candidates: &[Candidate<'_>],
    replayed: &mut Replayed,
) -> Result<(), StoreError> {
    match replay_some(writer, candidates) {
        Ok(portion) => {
            replayed.stored += portion.stored;
            replayed.kept.extend(portion.kept);
            Ok(())
        }
        Err(StoreError::Refused(text)) => match candidates {
            [one] => {
                replayed.kept.push((one.place(), format!("the database refuses it: {text}")));
                Ok(())
            }
            _ => {
                let (left, right) = candidates.split_at(candidates.len() / 2);
                replay_or_halve(writer, left, replayed)?;
                replay_or_halve(writer, right, replayed)
            }
        },
        Err(error) => Err(error),
    }
}

/// Replays these messages in one transaction. Reads again and tries again when other writers changed something in
/// between, as for a batch.
fn replay_some(writer: &mut Writer, candidates: &[Candidate<'_>]) -> Result<Replayed, StoreError> {
    let mut mode = WriteMode::Copy;
    let mut conflicts = 0;
    loop {
        writer.forget(|it| it.cache.forget());
        match writer.in_session(|writer, it| attempt_replay(writer, it, candidates, mode)) {
            Err(StoreError::Clash) if mode == WriteMode::Copy => mode = WriteMode::Upsert,
            Err(StoreError::Stale | StoreError::NoPartition(_)) if conflicts < MOST_CONFLICTS => {
                conflicts += 1;
                writer.forget(|it| it.partitions.forget());
            }
            outcome => return outcome,
        }
    }
}

fn attempt_replay(
    writer: &Writer,
    it: &mut WriterSession,
    candidates: &[Candidate<'_>],
    mode: WriteMode,
) -> Result<Replayed, StoreError> {
    let (connection, cache): (&mut PgConnection, _) = (&mut it.session, &mut it.cache);
    let window = writer.window();
    let all: Vec<Entry<'_>> = candidates.iter().map(|candidate| candidate.entry.clone()).collect();
    names::learn_epochs(connection, cache, &all)?;
    // This ledger has no accounted numbers. A plan of each message with this ledger shows whether the message can be
    // stored.
    let blank = blank(cache, &all);
    let mut replayed = Replayed::default();
    let mut sound = Vec::new();
    for candidate in candidates {
        let alone = BatchPlan::new(std::slice::from_ref(&candidate.entry), &blank, window, None);
        match alone.rejects.first() {
            Some(reject) => replayed.kept.push((candidate.place(), format!("{}: {}", reject.reason, reject.detail))),
            None => sound.push(candidate),
        }
    }
    if sound.is_empty() {
        return Ok(replayed);
    }
    let entries: Vec<Entry<'_>> = sound.iter().map(|candidate| candidate.entry.clone()).collect();
    let whole = BatchPlan::new(&entries, &blank, window, None);
    // The monitors and partitions are made before anything is locked.
    names::monitors(connection, cache, &whole.results)?;
    it.partitions.ensure(connection, &whole.days())?;
    let epoch_ids: Vec<i32> = whole.epochs.keys().copied().collect();
    connection.transaction(|connection| {
        if transaction::lock(connection, &epoch_ids)? != whole.epochs {
            return Err(StoreError::Stale);
        }
        let ledger = take_back(connection, &epoch_ids, &sound)?;
        let plan = BatchPlan::new(&entries, &ledger, window, None);
        let monitors = names::monitors(connection, cache, &plan.results)?;
        let rows = results::rows(&plan.results, &monitors);
        let monitors = monitors.iter().map(|monitor| (monitor.id, monitor.hash)).collect();
        let nowhere = (HeldPositions::default(), Positions::new());
        let positions = (&nowhere.0, &nowhere.1);
        transaction::run(connection, &Content { plan: &plan, rows: &rows, monitors, positions }, mode)?;
        let mut taken = BTreeSet::new();
        let (mut places, mut digests) = (Vec::new(), Vec::new());
        for candidate in &sound {
            let Some((epoch, seq)) = candidate.number() else { continue };
            let is_known = ledger.look_up(&epoch, seq).is_some_and(|(_, is_accounted)| is_accounted);
            if is_known || !taken.insert((epoch, seq)) {
                let text = format!("number {seq} of epoch {epoch} was stored from another message");
                replayed.kept.push((candidate.place(), text));
            } else {
                places.push(candidate.place());
                digests.push(candidate.digest);
            }
        }
        replayed.stored = places.len() as u64;
        remove(connection, &places, &digests)?;
        Ok(replayed)
    })
}

/// Returns a ledger that has the epochs of these entries and no accounted numbers.
fn blank(cache: &LedgerCache, entries: &[Entry<'_>]) -> LedgerCache {
    let mut blank = LedgerCache::default();
    for entry in entries {
        names::for_each_epoch(entry, |epoch, _, _| {
            if let Some(id) = cache.epoch_id(&epoch) {
                blank.learn_epochs([(epoch, Epoch { id, is_named: true, accounted: Ranges::new() })]);
            }
        });
    }
    blank
}

/// Takes the numbers of these messages that count as rejected out of the ledger, whose rows are locked. Returns the
/// ledger as it is afterwards.
fn take_back(
    connection: &mut PgConnection,
    epoch_ids: &[i32],
    candidates: &[&Candidate<'_>],
) -> Result<LedgerCache, StoreError> {
    let mut wanted: BTreeMap<Uuid, Vec<(i64, i64)>> = BTreeMap::new();
    for (epoch, seq) in candidates.iter().filter_map(|candidate| candidate.number()) {
        wanted.entry(epoch).or_default().push((seq, seq + 1));
    }
    let rows: Vec<Ledger> =
        sql_query("select epoch_id, epoch, accounted, rejected from epochs where epoch_id = any($1)")
            .bind::<Array<Integer>, _>(epoch_ids)
            .load(connection)?;
    let mut ledger = LedgerCache::default();
    let (mut ids, mut numbers) = (Vec::new(), Vec::new());
    for row in rows {
        let (accounted, rejected) = (from_sql(row.accounted), from_sql(row.rejected));
        let wanted = Ranges::from_parts(wanted.remove(&row.epoch).unwrap_or_default());
        let back = rejected.common(&wanted);
        ledger
            .learn_epochs([(row.epoch, Epoch { id: row.epoch_id, is_named: true, accounted: accounted.minus(&back) })]);
        if !back.is_empty() {
            ids.push(row.epoch_id);
            numbers.push(to_sql(&back));
        }
    }
    sql_query(
        "update epochs e set accounted = e.accounted - d.numbers, rejected = e.rejected - d.numbers
         from unnest($1, $2) d(epoch_id, numbers) where e.epoch_id = d.epoch_id",
    )
    .bind::<Array<Integer>, _>(ids)
    .bind::<Array<Multirange<BigInt>>, _>(numbers)
    .execute(connection)?;
    Ok(ledger)
}

fn remove(connection: &mut PgConnection, places: &[Place], digests: &[Uuid]) -> Result<(), StoreError> {
    sql_query(
        "delete from rejected r using unnest($1, $2, $3, $4) d(topic, partition, \"offset\", digest)
         where (r.topic, r.partition, r.\"offset\", r.digest) = (d.topic, d.partition, d.\"offset\", d.digest)",
    )
    .bind::<Array<Text>, _>(places.iter().map(|place| place.topic.as_str()).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(places.iter().map(|place| place.partition).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(places.iter().map(|place| place.offset).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(digests)
    .execute(connection)?;
    Ok(())
}
