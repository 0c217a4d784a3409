//! What the outbox must still know of records whose chunk is gone: which number each position has, and what was
//! declared dropped by a record that may be lost itself.
//!
//! Positions and sequence numbers are both dense, so where each epoch began says it for every position. The ledger is
//! written durably before what it tells of: when an epoch begins and when something is declared. Both events are
//! rare. It holds nothing of what was acknowledged.

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wire::{Dropped, Range};

/// An epoch and a sequence number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::outbox) struct EpochAt {
    pub(in crate::outbox) epoch: Uuid,
    pub(in crate::outbox) next_seq: u64,
}

/// Where epochs began, in order, and declarations that wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::outbox) struct Ledger {
    epochs: Vec<Beginning>,
    declared: Vec<Declared>,
}

/// The position of an epoch's number 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Beginning {
    position: u64,
    epoch: Uuid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Declared {
    position: u64,
    dropped: Dropped,
}

impl Ledger {
    /// The ledger in a file's bytes; none when they are not what was written.
    pub(in crate::outbox) fn parse(bytes: &[u8]) -> Option<Ledger> {
        let (checksum, text) = bytes.split_at_checked(9)?;
        let written = u32::from_str_radix(std::str::from_utf8(checksum).ok()?.trim_end(), 16).ok()?;
        (written == crc32c::crc32c(text)).then(|| serde_json::from_slice(text).ok()).flatten()
    }

    /// The bytes of its file: a checksum, then JSON.
    pub(in crate::outbox) fn show(&self) -> Vec<u8> {
        let text = serde_json::to_vec(self).expect("numbers, ids and times");
        let mut bytes = format!("{:08x}\n", crc32c::crc32c(&text)).into_bytes();
        bytes.extend_from_slice(&text);
        bytes
    }

    /// Learns where an epoch began from any of its records.
    pub(in crate::outbox) fn learn(&mut self, epoch: Uuid, position: u64, seq: u64) {
        if self.epochs.iter().any(|known| known.epoch == epoch) {
            return;
        }
        // A chunk that was made by hand, or whose number is wrong, teaches nothing.
        let Some(position) = (position + 1).checked_sub(seq) else { return };
        let at = self.epochs.partition_point(|known| known.position < position);
        self.epochs.insert(at, Beginning { position, epoch });
    }

    /// An epoch that is about to begin.
    pub(in crate::outbox) fn begin(&mut self, epoch: Uuid, position: u64) {
        self.forget_from(position);
        self.epochs.push(Beginning { position, epoch });
    }

    /// A declaration that is about to be appended.
    pub(in crate::outbox) fn declare(&mut self, position: u64, dropped: Dropped) {
        self.declared.retain(|declared| declared.position < position);
        self.declared.push(Declared { position, dropped });
    }

    /// Forgets what was about to come from a position on, and did not.
    pub(in crate::outbox) fn forget_from(&mut self, position: u64) {
        self.epochs.retain(|known| known.position < position);
        self.declared.retain(|declared| declared.position < position);
    }

    /// Forgets what no one will ask for once everything up to a position is done with.
    pub(in crate::outbox) fn forget_up_to(&mut self, position: u64) {
        let ended = self.epochs.partition_point(|known| known.position <= position + 1).saturating_sub(1);
        self.epochs.drain(..ended);
        self.declared.retain(|declared| declared.position > position);
    }

    /// Where the position of an epoch's number is.
    pub(in crate::outbox) fn position(&self, epoch: Uuid, seq: u64) -> Option<u64> {
        let known = self.epochs.iter().find(|known| known.epoch == epoch)?;
        known.position.checked_add(seq.checked_sub(1)?)
    }

    /// The epoch after a position was appended, with its next number.
    pub(in crate::outbox) fn after(&self, position: u64) -> Option<EpochAt> {
        let at = self.epochs.partition_point(|known| known.position <= position).checked_sub(1)?;
        let known = self.epochs[at];
        Some(EpochAt { epoch: known.epoch, next_seq: position - known.position + 2 })
    }

    /// The numbers of the positions `first..=last`, as far as they are known.
    pub(in crate::outbox) fn numbers(&self, first: u64, last: u64) -> Vec<Range> {
        let ends = self.epochs.iter().skip(1).map(|next| next.position - 1).chain([u64::MAX]);
        let within = |(known, end): (&Beginning, u64)| {
            let (first, last) = (first.max(known.position), last.min(end));
            (first <= last).then(|| Range {
                epoch: known.epoch,
                first: first - known.position + 1,
                last: last - known.position + 1,
            })
        };
        self.epochs.iter().zip(ends).filter_map(within).collect()
    }

    /// What records at the positions `first..=last` had declared.
    pub(in crate::outbox) fn declared(&self, first: u64, last: u64) -> impl Iterator<Item = &Dropped> {
        let within = move |declared: &&Declared| (first..=last).contains(&declared.position);
        self.declared.iter().filter(within).map(|declared| &declared.dropped)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use wire::DropReason;

    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.begin(id(1), 1);
        ledger.begin(id(2), 11);
        ledger.begin(id(3), 14);
        ledger
    }

    fn range(epoch: u128, first: u64, last: u64) -> Range {
        Range { epoch: id(epoch), first, last }
    }

    #[test]
    fn positions_have_the_numbers_of_all_epochs_that_they_span() {
        assert_eq!(ledger().numbers(9, 20), [range(1, 9, 10), range(2, 1, 3), range(3, 1, 7)]);
        assert_eq!(ledger().numbers(11, 11), [range(2, 1, 1)]);
        assert_eq!(ledger().after(10), Some(EpochAt { epoch: id(1), next_seq: 11 }));
        assert_eq!(ledger().after(0), None);
        assert_eq!(ledger().position(id(2), 3), Some(13));
    }

    #[test]
    fn any_record_tells_where_its_epoch_began() {
        let mut learnt = Ledger::default();
        learnt.learn(id(3), 15, 2);
        learnt.learn(id(1), 10, 10);
        learnt.learn(id(2), 13, 3);
        learnt.learn(id(2), 12, 2);
        assert_eq!(learnt, ledger());
    }

    #[test]
    fn only_what_is_still_wanted_is_kept() {
        let mut ledger = ledger();
        let dropped =
            Dropped { ranges: vec![range(1, 1, 2)], reason: DropReason::Damaged, dropped_at: Timestamp::UNIX_EPOCH };
        ledger.declare(12, dropped.clone());
        ledger.forget_up_to(11);
        assert_eq!(ledger.numbers(1, 14), [range(2, 1, 3), range(3, 1, 1)]);
        assert_eq!(ledger.declared(12, 12).collect::<Vec<_>>(), [&dropped]);
        ledger.forget_up_to(12);
        assert_eq!(ledger.declared(1, 100).count(), 0);
        ledger.forget_up_to(13);
        assert_eq!(ledger.numbers(1, 14), [range(3, 1, 1)]);
        ledger.forget_from(14);
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn a_damaged_file_is_noticed() {
        let bytes = ledger().show();
        assert_eq!(Ledger::parse(&bytes), Some(ledger()));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(Ledger::parse(&damaged).is_none_or(|parsed| parsed == ledger()), "{at}");
            assert_eq!(Ledger::parse(&bytes[..at]), None);
        }
    }
}
