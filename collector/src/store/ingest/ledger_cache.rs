//! Remembers what the store read from the database, so that a replay needs no transaction and a known name needs no
//! query.
//!
//! The cached ledger may lag behind the ledger in the database, and is never ahead of it, because numbers are added
//! only after a commit. A lag costs a retry, and never a row. The caches end with the session in which they were read,
//! because the next session may be of a database that was set back. Each transaction also proves that the ids mean what
//! is cached. The size of both caches has a bound in bytes. Above it everything is forgotten, and loading it again
//! takes one query for each batch.

use std::collections::HashMap;

use uuid::Uuid;

use crate::batch::CheckResult;
use crate::ranges::Ranges;

/// The largest size of each cache, roughly.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The bytes that an entry takes beside its ranges or its text.
const ENTRY_BYTES: usize = 100;

/// An epoch of the database.
#[derive(Clone, Debug)]
pub(crate) struct Epoch {
    pub(crate) id: i32,
    /// Whether its own records have said which agent's epoch it is.
    pub(crate) is_named: bool,
    pub(crate) accounted: Ranges,
}

/// What is new in the ledger of an epoch.
#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerDelta {
    pub(crate) epoch: Uuid,
    pub(crate) accounted: Ranges,
    pub(crate) rejected: Ranges,
    pub(crate) notices: Ranges,
}

/// A monitor of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Monitor {
    pub(crate) id: i32,
    /// The hash of its definition, as the database computes it.
    pub(crate) hash: Uuid,
}

/// The cached ledger.
#[derive(Debug, Default)]
struct Ledger {
    by_name: HashMap<Uuid, Epoch>,
    bytes: usize,
}

/// The caches of one session.
#[derive(Debug, Default)]
pub(crate) struct LedgerCache {
    ledger: Ledger,
    monitors: HashMap<Vec<u8>, Monitor>,
    monitor_bytes: usize,
}

impl Epoch {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + size_of_val(self.accounted.parts())
    }
}

impl LedgerCache {
    /// Returns the id of an epoch, and whether a number of it is accounted for. Returns `None` when the epoch is not
    /// cached.
    pub(crate) fn look_up(&self, epoch: &Uuid, seq: i64) -> Option<(i32, bool)> {
        self.ledger.by_name.get(epoch).map(|known| (known.id, known.accounted.contains(seq)))
    }

    pub(crate) fn epoch_id(&self, epoch: &Uuid) -> Option<i32> {
        self.ledger.by_name.get(epoch).map(|known| known.id)
    }

    /// Returns whether the epoch is known, and its own records have said which agent's epoch it is.
    pub(crate) fn is_named(&self, epoch: &Uuid) -> bool {
        self.ledger.by_name.get(epoch).is_some_and(|known| known.is_named)
    }

    /// Takes in what was read. Earlier knowledge of these epochs is replaced.
    pub(crate) fn learn_epochs(&mut self, epochs: impl IntoIterator<Item = (Uuid, Epoch)>) {
        let known = &mut self.ledger;
        for (name, epoch) in epochs {
            known.bytes += epoch.bytes();
            let before = known.by_name.insert(name, epoch);
            known.bytes -= before.map_or(0, |before| before.bytes());
        }
    }

    /// Makes room for a batch. It is called between batches, so that what a batch needs stays while it runs.
    pub(crate) fn trim(&mut self) {
        if self.ledger.bytes > MOST_BYTES {
            self.forget_epochs();
        }
        if self.monitor_bytes > MOST_BYTES {
            self.forget_monitors();
        }
    }

    /// Adds numbers that were committed.
    pub(crate) fn account<'a>(&mut self, deltas: impl IntoIterator<Item = &'a LedgerDelta>) {
        let known = &mut self.ledger;
        for delta in deltas {
            if let Some(epoch) = known.by_name.get_mut(&delta.epoch) {
                known.bytes -= epoch.bytes();
                epoch.accounted.extend(&delta.accounted);
                known.bytes += epoch.bytes();
            }
        }
    }

    /// Forgets everything, because the ledger of the database may say more, or may be another one.
    pub(crate) fn forget(&mut self) {
        self.forget_epochs();
        self.forget_monitors();
    }

    fn forget_epochs(&mut self) {
        self.ledger = Ledger::default();
    }

    fn forget_monitors(&mut self) {
        self.monitors.clear();
        self.monitor_bytes = 0;
    }

    pub(crate) fn monitor(&self, definition: &[u8]) -> Option<Monitor> {
        self.monitors.get(definition).copied()
    }

    pub(crate) fn learn_monitor(&mut self, definition: Vec<u8>, monitor: Monitor) {
        let bytes = ENTRY_BYTES + definition.len();
        if self.monitors.insert(definition, monitor).is_none() {
            self.monitor_bytes += bytes;
        }
    }
}

/// Writes the four texts that define a monitor to `key`, as one key.
pub(crate) fn definition(result: &CheckResult<'_>, key: &mut Vec<u8>) {
    key.clear();
    let CheckResult { monitor, name, url, pattern, .. } = result;
    for part in [monitor, name, url].into_iter().chain(pattern) {
        key.extend_from_slice(&part.len().to_ne_bytes());
        key.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Uuid = Uuid::from_u128(1);

    fn committed(cache: &mut LedgerCache, accounted: Ranges) {
        cache.account([&LedgerDelta { epoch: EPOCH, accounted, ..LedgerDelta::default() }]);
    }

    #[test]
    fn what_was_committed_is_remembered() {
        let mut cache = LedgerCache::default();
        committed(&mut cache, Ranges::span(1, 5));
        assert!(cache.epoch_id(&EPOCH).is_none(), "an epoch without an id is not made up");
        cache.learn_epochs([(EPOCH, Epoch { id: 7, is_named: true, accounted: Ranges::span(1, 2) })]);
        committed(&mut cache, Ranges::span(3, 5));
        let has = |seq| cache.look_up(&EPOCH, seq).map(|(_, is_accounted)| is_accounted);
        assert_eq!([0, 1, 5, 6].map(has), [false, true, true, false].map(Some));
        assert_eq!((cache.look_up(&EPOCH, 5), cache.look_up(&EPOCH, 6)), (Some((7, true)), Some((7, false))));
        cache.forget();
        assert!(cache.look_up(&EPOCH, 1).is_none());
    }

    #[test]
    fn many_holes_and_long_texts_are_forgotten_in_time() {
        let mut cache = LedgerCache::default();
        let known = Epoch { id: 7, is_named: true, accounted: Ranges::new() };
        cache.learn_epochs([(EPOCH, known.clone()), (EPOCH, known)]);
        let holes = |from: i64| Ranges::from_parts((from..from + 3_000_000).map(|n| (2 * n, 2 * n + 1)).collect());
        committed(&mut cache, holes(0));
        cache.trim();
        assert!(cache.epoch_id(&EPOCH).is_some());
        committed(&mut cache, holes(3_000_000));
        let monitor = |id| Monitor { id, hash: Uuid::nil() };
        (0..2).for_each(|_| cache.learn_monitor(vec![b'a'; MOST_BYTES / 2], monitor(1)));
        cache.trim();
        assert!(cache.epoch_id(&EPOCH).is_none() && cache.ledger.bytes == 0);
        cache.learn_monitor(vec![b'b'; MOST_BYTES / 2], monitor(2));
        assert_eq!(cache.monitors.len(), 2);
        cache.trim();
        assert!(cache.monitors.is_empty());
    }
}
