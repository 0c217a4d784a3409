//! Plans what a batch writes, before a transaction opens. For each sequence number the first message counts, and
//! numbers that the cached ledger has are left out. The plan says which of the other messages become rows, which are
//! set aside, and what changes in the epochs.

use std::collections::{BTreeMap, BTreeSet};

use wire::{AgentEvent, AgentReport, Content, Dropped, Number};

use super::ledger_cache::{LedgerCache, LedgerDelta};
use crate::batch::{CheckResult, Entry, Message};
use crate::clock_skew::Passage;
use crate::ranges::Ranges;

/// The days (since 1970, UTC) whose results are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StorableDays {
    pub(crate) oldest: i64,
    pub(crate) newest: i64,
}

/// Returns the UTC day of a time, since 1970.
pub(crate) fn day(at: jiff::Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

/// A new result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewResult<'a> {
    pub(crate) epoch_id: i32,
    pub(crate) seq: i64,
    pub(crate) result: &'a CheckResult<'a>,
}

/// A message to be set aside.
#[derive(Clone, Debug)]
pub(crate) struct Reject<'a> {
    pub(crate) message: Message<'a>,
    pub(crate) reason: &'static str,
    pub(crate) detail: &'a str,
}

/// The latest report of an epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) seq: i64,
    pub(crate) report: &'a AgentReport,
    pub(crate) passage: Option<Passage<'a>>,
    /// Its place among the reports of the batch, from 1.
    pub(crate) place: i64,
}

/// What is to be written, by the ids of the epochs.
#[derive(Debug, Default)]
pub(crate) struct BatchPlan<'a> {
    /// All epochs that are written to, by the ids that the cache has for them.
    pub(crate) epochs: BTreeMap<i32, uuid::Uuid>,
    pub(crate) deltas: BTreeMap<i32, LedgerDelta>,
    pub(crate) results: Vec<NewResult<'a>>,
    pub(crate) rejects: Vec<Reject<'a>>,
    pub(crate) dropped: BTreeMap<i32, Ranges>,
    pub(crate) reports: BTreeMap<i32, Report<'a>>,
    /// The place of the first report of each of these epochs.
    pub(crate) first_places: BTreeMap<i32, i64>,
    pub(crate) claims: BTreeMap<i32, i64>,
    /// The reports that say what should arrive.
    pub(crate) schedules: Vec<(i32, Report<'a>)>,
    /// How many messages had a number that was known.
    pub(crate) replayed: u64,
    /// How many reports there are.
    said: i64,
}

/// The reason of a message that the database refused.
pub(crate) const REFUSED: &str = "refused_by_database";

impl<'a> BatchPlan<'a> {
    /// Plans these entries, whose epochs are in the cache. `refused` sets all of them aside, with that detail.
    pub(crate) fn new(
        entries: &'a [Entry<'_>],
        cache: &LedgerCache,
        window: StorableDays,
        refused: Option<&'a str>,
    ) -> BatchPlan<'a> {
        let mut plan = BatchPlan::default();
        for entry in entries {
            match (entry.decoded(), refused) {
                (Ok(record), None) => plan.add(entry, Origin::of(&record.epoch, record.seq), cache, window),
                (Ok(record), Some(detail)) => {
                    let origin = Origin::of(&record.epoch, record.seq);
                    plan.reject(entry.message, Some(origin), cache, REFUSED, detail);
                }
                (Err(rejection), refused) => {
                    let origin = rejection.number.as_ref().map(|Number { epoch, seq, .. }| Origin::of(epoch, *seq));
                    let detail = refused.unwrap_or(&rejection.detail);
                    plan.reject(entry.message, origin, cache, rejection.fault.as_str(), detail);
                }
            }
        }
        plan
    }

    /// Returns whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.deltas.is_empty() && self.rejects.is_empty()
    }

    /// Returns the days of the results.
    pub(crate) fn days(&self) -> BTreeSet<i64> {
        self.results.iter().map(|new_result| day(new_result.result.checked_at)).collect()
    }

    fn add(&mut self, entry: &'a Entry<'_>, origin: Origin, cache: &LedgerCache, window: StorableDays) {
        let Ok(record) = entry.decoded() else { return };
        let message = entry.message;
        match &record.content {
            Content::Result(result) if day(result.checked_at) < window.oldest => {
                self.reject(message, Some(origin), cache, "too_old", "`checked_at` is past the retention");
            }
            Content::Result(result) if day(result.checked_at) > window.newest => {
                self.reject(message, Some(origin), cache, "in_the_future", "`checked_at` is beyond tomorrow");
            }
            Content::Result(result) => {
                if let Some((epoch_id, _)) = self.account(origin, cache) {
                    self.results.push(NewResult { epoch_id, seq: origin.seq, result });
                }
            }
            Content::Dropped(dropped) => {
                if let Some((_, delta)) = self.account(origin, cache) {
                    delta.notices.insert(origin.seq);
                    self.declare(dropped, cache);
                }
            }
            Content::Agent(report) => {
                if let Some((epoch_id, delta)) = self.account(origin, cache) {
                    delta.notices.insert(origin.seq);
                    self.said += 1;
                    let (seq, passage, place) = (origin.seq, message.passage, self.said);
                    self.report(epoch_id, Report { seq, report, passage, place }, cache);
                }
            }
        }
    }

    /// Takes the number into the ledger. Returns `None` when the ledger had it already.
    fn account(&mut self, origin: Origin, cache: &LedgerCache) -> Option<(i32, &mut LedgerDelta)> {
        let Some((epoch_id, is_accounted)) = cache.look_up(&origin.epoch, origin.seq) else {
            debug_assert!(false, "the memory learns a batch's epochs before it is planned");
            return None;
        };
        if is_accounted {
            self.replayed += 1;
            return None;
        }
        self.epochs.insert(epoch_id, origin.epoch);
        let delta = self
            .deltas
            .entry(epoch_id)
            .or_insert_with(|| LedgerDelta { epoch: origin.epoch, ..LedgerDelta::default() });
        if !delta.accounted.insert(origin.seq) {
            self.replayed += 1;
            return None;
        }
        Some((epoch_id, delta))
    }

    /// Sets a message aside, unless its number arrived before.
    fn reject(
        &mut self,
        message: Message<'a>,
        origin: Option<Origin>,
        cache: &LedgerCache,
        reason: &'static str,
        detail: &'a str,
    ) {
        if let Some(origin) = origin {
            let Some((_, delta)) = self.account(origin, cache) else { return };
            delta.rejected.insert(origin.seq);
        }
        self.rejects.push(Reject { message, reason, detail });
    }

    fn declare(&mut self, declaration: &Dropped, cache: &LedgerCache) {
        for range in &declaration.ranges {
            if let Some(epoch_id) = cache.epoch_id(&range.epoch) {
                self.epochs.insert(epoch_id, range.epoch);
                let dropped = self.dropped.entry(epoch_id).or_default();
                *dropped = dropped.union(&Ranges::span(number(range.first), number(range.last)));
            }
        }
    }

    fn report(&mut self, epoch_id: i32, report: Report<'a>, cache: &LedgerCache) {
        self.claim(epoch_id, number(report.report.highest_seq));
        if report.is_schedule() {
            self.schedules.push((epoch_id, report));
        }
        if let Some(previous) = &report.report.previous
            && let Some(before) = cache.epoch_id(&previous.epoch)
        {
            self.epochs.insert(before, previous.epoch);
            self.claim(before, number(previous.highest_seq));
        }
        self.first_places.entry(epoch_id).or_insert(report.place);
        let latest = self.reports.entry(epoch_id).or_insert(report);
        if latest.seq < report.seq {
            *latest = report;
        }
    }

    fn claim(&mut self, epoch_id: i32, highest: i64) {
        let claimed = self.claims.entry(epoch_id).or_default();
        *claimed = (*claimed).max(highest);
    }
}

impl Report<'_> {
    /// Returns whether the agent stopped with this report.
    pub(crate) fn is_stop(&self) -> bool {
        self.report.event == AgentEvent::Stop
    }

    /// Returns whether the report says what should arrive, even if that is nothing.
    pub(crate) fn is_schedule(&self) -> bool {
        self.report.event.lists_monitors()
    }
}

/// The epoch and the number of a record.
#[derive(Clone, Copy)]
struct Origin {
    epoch: uuid::Uuid,
    seq: i64,
}

impl Origin {
    fn of(epoch: &uuid::Uuid, seq: u64) -> Origin {
        Origin { epoch: *epoch, seq: number(seq) }
    }
}

/// Converts a number of the wire. Its bound is within PostgreSQL's bound.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::batch::Batch;
    use crate::store::ingest::ledger_cache::Epoch;

    const EPOCH: Uuid = Uuid::from_u128(1);
    const WINDOW: StorableDays = StorableDays { oldest: 20_000, newest: 20_001 };

    fn batch(values: &[String]) -> Batch {
        let mut batch = Batch::default();
        for (offset, value) in (0..).zip(values) {
            batch.push(0, offset, None, Some(value.as_bytes()), None);
        }
        batch
    }

    fn result(seq: u64, checked_at: &str) -> String {
        format!(
            r#"{{"epoch":"{EPOCH}","seq":{seq},"v":1,"kind":"result","agent":"a","monitor":"m","name":"m","url":"u",
                "scheduled_at":"{checked_at}","checked_at":"{checked_at}","outcome":"success"}}"#
        )
    }

    fn cache(accounted: Ranges) -> LedgerCache {
        let mut cache = LedgerCache::default();
        cache.learn_epochs([(EPOCH, Epoch { id: 7, is_named: true, accounted })]);
        cache
    }

    const TODAY: &str = "2024-10-04T12:00:00Z";

    #[test]
    fn of_each_number_the_first_message_counts_and_what_the_ledger_has_does_not() {
        let batch = batch(&[result(1, TODAY), result(2, TODAY), result(2, TODAY), result(3, TODAY)]);
        let cache = cache(Ranges::span(1, 1));
        let entries = batch.entries();
        let plan = BatchPlan::new(&entries, &cache, WINDOW, None);
        assert_eq!(plan.results.iter().map(|new_result| new_result.seq).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(plan.deltas[&7].accounted, Ranges::span(2, 3));
        assert_eq!(plan.replayed, 2);
    }

    #[test]
    fn a_pure_replay_leaves_nothing_to_write() {
        let batch = batch(&[result(1, TODAY), result(2, "1999-01-01T00:00:00Z")]);
        let cache = cache(Ranges::span(1, 2));
        assert!(BatchPlan::new(&batch.entries(), &cache, WINDOW, None).is_empty());
    }

    #[test]
    fn what_lies_outside_of_the_window_is_set_aside_with_its_number_accounted() {
        let batch = batch(&[
            result(1, "2024-10-03T23:59:59Z"),
            result(2, "2024-10-04T00:00:00Z"),
            result(3, "2024-10-05T23:59:59Z"),
            result(4, "2024-10-06T00:00:00Z"),
        ]);
        let cache = cache(Ranges::new());
        let entries = batch.entries();
        let plan = BatchPlan::new(&entries, &cache, WINDOW, None);
        assert_eq!(plan.results.len(), 2);
        assert_eq!(plan.rejects.iter().map(|reject| reject.reason).collect::<Vec<_>>(), ["too_old", "in_the_future"]);
        assert_eq!(plan.deltas[&7].accounted, Ranges::span(1, 4));
        assert_eq!(plan.deltas[&7].rejected.to_string(), "1,4");
    }

    #[test]
    fn a_message_that_says_its_number_accounts_for_it_and_one_that_does_not_is_set_aside_all_the_same() {
        let readable = format!(r#"{{"v":9,"epoch":"{EPOCH}","seq":4,"agent":"a"}}"#);
        let batch = batch(&[readable, "what?".into()]);
        let cache = cache(Ranges::new());
        let entries = batch.entries();
        let plan = BatchPlan::new(&entries, &cache, WINDOW, None);
        assert_eq!(
            plan.rejects.iter().map(|reject| reject.reason).collect::<Vec<_>>(),
            ["unknown_version", "not_json"]
        );
        assert_eq!(plan.deltas[&7].rejected, Ranges::span(4, 4));
    }

    #[test]
    fn the_latest_report_counts_and_declared_numbers_are_kept() {
        let report = |seq, highest| {
            format!(
                r#"{{"v":1,"kind":"agent","epoch":"{EPOCH}","seq":{seq},"agent":"a","event":"periodic","at":"{TODAY}",
                    "version":"1","highest_seq":{highest},"pending":0,"outbox_bytes":0}}"#
            )
        };
        let dropped = format!(
            r#"{{"v":1,"kind":"dropped","epoch":"{EPOCH}","seq":6,"agent":"a","reason":"outbox_full",
                "dropped_at":"{TODAY}","ranges":[{{"epoch":"{EPOCH}","first":2,"last":3}}]}}"#
        );
        let batch = batch(&[report(9, 8), report(5, 4), dropped]);
        let cache = cache(Ranges::new());
        let entries = batch.entries();
        let plan = BatchPlan::new(&entries, &cache, WINDOW, None);
        assert_eq!((plan.reports[&7].seq, plan.claims[&7]), (9, 8));
        assert_eq!((plan.reports[&7].place, plan.first_places[&7]), (1, 1));
        assert_eq!(plan.dropped[&7], Ranges::span(2, 3));
        assert_eq!(plan.deltas[&7].notices.to_string(), "5-6,9");
        assert_eq!(plan.epochs, BTreeMap::from([(7, EPOCH)]));
    }
}
