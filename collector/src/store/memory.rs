//! What the store remembers of the database, so that a replay costs no transaction and a known name no query.
//!
//! The remembered ledger may lag behind the one in the database, never lead it: it is merged after a commit. A lag
//! costs a retry, never a row. Both caches are bounded in bytes by forgetting everything: loading again is one query a
//! batch.

use std::collections::HashMap;

use uuid::Uuid;
use wire::CheckResult;

use crate::ranges::Ranges;

/// Of each cache, roughly.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// What an entry takes beside its ranges or its text.
const ENTRY_BYTES: usize = 100;

/// An epoch of the database.
#[derive(Clone, Debug)]
pub(super) struct Epoch {
    pub(super) id: i32,
    pub(super) accounted: Ranges,
}

/// The caches.
#[derive(Debug, Default)]
pub(super) struct Memory {
    epochs: HashMap<Uuid, Epoch>,
    epoch_bytes: usize,
    monitors: HashMap<String, i32>,
    monitor_bytes: usize,
}

impl Epoch {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + size_of_val(self.accounted.parts())
    }
}

impl Memory {
    pub(super) fn epoch(&self, epoch: &Uuid) -> Option<&Epoch> {
        self.epochs.get(epoch)
    }

    /// Takes in what was read. Earlier knowledge of these epochs is replaced.
    pub(super) fn learn_epochs(&mut self, epochs: impl IntoIterator<Item = (Uuid, Epoch)>) {
        for (uuid, epoch) in epochs {
            self.epoch_bytes += epoch.bytes();
            let before = self.epochs.insert(uuid, epoch);
            self.epoch_bytes -= before.map_or(0, |before| before.bytes());
        }
    }

    /// Makes room for a batch: called between batches, so that what a batch needs stays while it runs.
    pub(super) fn trim(&mut self) {
        if self.epoch_bytes > MOST_BYTES {
            self.forget_epochs();
        }
        if self.monitor_bytes > MOST_BYTES {
            self.forget_monitors();
        }
    }

    /// Numbers of this epoch were committed.
    pub(super) fn account(&mut self, epoch: &Uuid, delta: &Ranges) {
        if let Some(known) = self.epochs.get_mut(epoch) {
            self.epoch_bytes -= known.bytes();
            known.accounted = known.accounted.union(delta);
            self.epoch_bytes += known.bytes();
        }
    }

    /// The ledger of the database may say more, or be another one.
    pub(super) fn forget(&mut self) {
        self.forget_epochs();
        self.forget_monitors();
    }

    fn forget_epochs(&mut self) {
        self.epochs.clear();
        self.epoch_bytes = 0;
    }

    fn forget_monitors(&mut self) {
        self.monitors.clear();
        self.monitor_bytes = 0;
    }

    pub(super) fn monitor(&self, definition: &str) -> Option<i32> {
        self.monitors.get(definition).copied()
    }

    pub(super) fn learn_monitor(&mut self, definition: String, monitor_id: i32) {
        let bytes = ENTRY_BYTES + definition.len();
        if self.monitors.insert(definition, monitor_id).is_none() {
            self.monitor_bytes += bytes;
        }
    }
}

/// One text for the four that define a monitor, written over `text`.
pub(super) fn definition(result: &CheckResult, text: &mut String) {
    use std::fmt::Write;
    text.clear();
    let CheckResult { monitor, name, url, pattern, .. } = result;
    let written = match pattern {
        Some(pattern) => write!(text, "{}:{monitor}{}:{name}{}:{url}={pattern}", monitor.len(), name.len(), url.len()),
        None => write!(text, "{}:{monitor}{}:{name}{}:{url}", monitor.len(), name.len(), url.len()),
    };
    debug_assert!(written.is_ok(), "a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_committed_is_remembered() {
        let mut memory = Memory::default();
        let epoch = Uuid::from_u128(1);
        memory.account(&epoch, &Ranges::span(1, 5));
        assert!(memory.epoch(&epoch).is_none(), "an epoch without an id is not made up");
        memory.learn_epochs([(epoch, Epoch { id: 7, accounted: Ranges::span(1, 2) })]);
        memory.account(&epoch, &Ranges::span(3, 5));
        assert_eq!(memory.epoch(&epoch).unwrap().accounted, Ranges::span(1, 5));
        memory.forget();
        assert!(memory.epoch(&epoch).is_none());
    }

    #[test]
    fn many_holes_and_long_texts_are_forgotten_in_time() {
        let mut memory = Memory::default();
        let epoch = Uuid::from_u128(1);
        let known = Epoch { id: 7, accounted: Ranges::new() };
        memory.learn_epochs([(epoch, known.clone()), (epoch, known)]);
        let holes = |from: i64| Ranges::from_parts((from..from + 3_000_000).map(|n| (2 * n, 2 * n + 1)).collect());
        memory.account(&epoch, &holes(0));
        memory.trim();
        assert!(memory.epoch(&epoch).is_some());
        memory.account(&epoch, &holes(3_000_000));
        (0..2).for_each(|_| memory.learn_monitor("a".repeat(MOST_BYTES / 2), 1));
        memory.trim();
        assert!(memory.epoch(&epoch).is_none() && memory.epoch_bytes == 0);
        memory.learn_monitor("b".repeat(MOST_BYTES / 2), 2);
        assert_eq!(memory.monitors.len(), 2);
        memory.trim();
        assert!(memory.monitors.is_empty());
    }
}
