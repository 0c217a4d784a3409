//! What has to be declared when records leave the outbox unsent: their own numbers, and whatever they themselves
//! declared, which would otherwise be lost with them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;
use wire::{DropReason, Dropped, Range, limits};

use crate::outbox::Entry;

/// Records that leave the outbox unsent.
#[derive(Debug, Default)]
pub(in crate::outbox) struct Undelivered {
    own: Vec<Range>,
    declared: BTreeMap<DropReason, Vec<Range>>,
    /// The epochs whose lists of due monitors may be among the dropped records.
    lists: BTreeSet<Uuid>,
    count: u64,
}

impl Undelivered {
    pub(in crate::outbox) fn add(&mut self, entry: &Entry) {
        self.count += 1;
        match self.own.last_mut() {
            Some(last) if last.epoch == entry.epoch && last.last + 1 == entry.seq => last.last = entry.seq,
            _ => self.own.push(Range { epoch: entry.epoch, first: entry.seq, last: entry.seq }),
        }
        if let Some(dropped) = wire::declared(&entry.payload) {
            self.declared.entry(dropped.reason).or_default().extend(dropped.ranges);
        }
        if wire::lists_monitors(&entry.payload) {
            self.lists.insert(entry.epoch);
        }
    }

    /// The records whose content is lost, and whose numbers are known.
    pub(in crate::outbox) fn add_lost(&mut self, numbers: Vec<Range>) {
        self.count += numbers.iter().map(|range| range.last - range.first + 1).sum::<u64>();
        self.lists.extend(numbers.iter().map(|range| range.epoch));
        self.own.extend(numbers);
    }

    /// Whether what said which monitors are due in an epoch may be among them.
    pub(in crate::outbox) fn may_list(&self, epoch: Uuid) -> bool {
        self.lists.contains(&epoch)
    }

    /// What a record that is lost had declared.
    pub(in crate::outbox) fn add_declared(&mut self, dropped: &Dropped) {
        self.declared.entry(dropped.reason).or_default().extend(dropped.ranges.iter().copied());
    }

    /// How many there are.
    pub(in crate::outbox) fn count(&self) -> u64 {
        self.count
    }

    /// The declarations, when these records are dropped for `reason`.
    pub(in crate::outbox) fn declare(self, reason: DropReason) -> Vec<Dropped> {
        let mut by_reason = self.declared;
        if !self.own.is_empty() {
            by_reason.entry(reason).or_default().extend(self.own);
        }
        let dropped_at = Timestamp::now();
        let mut declarations = Vec::new();
        for (reason, ranges) in by_reason {
            for ranges in joined(ranges).chunks(limits::RANGES) {
                declarations.push(Dropped { ranges: ranges.to_vec(), reason, dropped_at });
            }
        }
        declarations
    }
}

/// The same numbers in as few ranges as can be.
fn joined(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable_by_key(|range| (range.epoch, range.first));
    let mut joined: Vec<Range> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.epoch == range.epoch && range.first <= last.last + 1 => {
                last.last = last.last.max(range.last);
            }
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use wire::Content;

    use super::*;

    fn entry(epoch: u128, seq: u64, payload: &[u8]) -> Entry {
        Entry { position: seq, epoch: Uuid::from_u128(epoch), seq, payload: payload.to_vec() }
    }

    fn of(entries: &[Entry], reason: DropReason) -> Vec<Dropped> {
        let mut undelivered = Undelivered::default();
        entries.iter().for_each(|entry| undelivered.add(entry));
        assert_eq!(undelivered.count(), entries.len() as u64);
        undelivered.declare(reason)
    }

    fn range(epoch: u128, first: u64, last: u64) -> Range {
        Range { epoch: Uuid::from_u128(epoch), first, last }
    }

    #[test]
    fn consecutive_numbers_are_one_range_per_epoch() {
        let entries = [entry(1, 7, b"{}"), entry(1, 8, b"{}"), entry(2, 1, b"{}"), entry(2, 2, b"{}")];
        let declared = of(&entries, DropReason::OutboxFull);
        assert_eq!(declared.len(), 1);
        assert_eq!(declared[0].ranges, [range(1, 7, 8), range(2, 1, 2)]);
    }

    #[test]
    fn it_is_known_whether_a_list_of_monitors_may_be_among_them() {
        let (first, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let report = |event: &str| {
            let payload = format!(r#"{{"v":1,"kind":"agent","agent":"edge \"event\":\"start\"","event":"{event}"}}"#);
            let mut records = Undelivered::default();
            records.add(&entry(1, 7, payload.as_bytes()));
            records
        };
        assert!(report("start").may_list(first) && report("reload").may_list(first));
        assert!(!report("start").may_list(other) && !report("periodic").may_list(first));
        let mut lost = Undelivered::default();
        lost.add_lost(vec![range(2, 1, 9)]);
        assert!(lost.may_list(other) && !lost.may_list(first), "nothing is known of it but the numbers");
    }

    #[test]
    fn what_a_dropped_declaration_had_declared_is_declared_again() {
        let earlier =
            Dropped { ranges: vec![range(1, 1, 6)], reason: DropReason::OutboxFull, dropped_at: Timestamp::UNIX_EPOCH };
        let too_large = Dropped { ranges: vec![range(1, 9, 9)], reason: DropReason::TooLarge, ..earlier.clone() };
        let entries = [
            entry(1, 7, &wire::payload("edge", &Content::Dropped(earlier))),
            entry(1, 8, &wire::payload("edge", &Content::Dropped(too_large))),
        ];
        let declared = of(&entries, DropReason::OutboxFull);
        assert_eq!(declared.len(), 2);
        assert_eq!((declared[0].reason, &declared[0].ranges[..]), (DropReason::OutboxFull, &[range(1, 1, 8)][..]));
        assert_eq!((declared[1].reason, &declared[1].ranges[..]), (DropReason::TooLarge, &[range(1, 9, 9)][..]));
    }
}
