//! What the store remembers of the database, so that a replay costs no transaction and a known name no query.
//!
//! The remembered ledger may lag behind the one in the database, never lead it: it is merged after a commit. A lag
//! costs a retry, never a row. Both caches are bounded by forgetting everything: loading again is one query a batch.

use std::collections::HashMap;

use uuid::Uuid;
use wire::CheckResult;

use crate::ranges::Ranges;

const MOST_EPOCHS: usize = 100_000;
const MOST_MONITORS: usize = 200_000;

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
    monitors: HashMap<String, i32>,
}

impl Memory {
    pub(super) fn epoch(&self, epoch: &Uuid) -> Option<&Epoch> {
        self.epochs.get(epoch)
    }

    /// Takes in what was read. Earlier knowledge of these epochs is replaced.
    pub(super) fn learn_epochs(&mut self, epochs: impl IntoIterator<Item = (Uuid, Epoch)>) {
        self.epochs.extend(epochs);
    }

    /// Makes room for a batch: called between batches, so that what a batch needs stays while it runs.
    pub(super) fn trim(&mut self) {
        if self.epochs.len() > MOST_EPOCHS {
            self.epochs.clear();
        }
        if self.monitors.len() > MOST_MONITORS {
            self.monitors.clear();
        }
    }

    /// Numbers of this epoch were committed.
    pub(super) fn account(&mut self, epoch: &Uuid, delta: &Ranges) {
        if let Some(known) = self.epochs.get_mut(epoch) {
            known.accounted = known.accounted.union(delta);
        }
    }

    /// The ledger of the database may say more, or be another one.
    pub(super) fn forget(&mut self) {
        self.epochs.clear();
        self.monitors.clear();
    }

    pub(super) fn monitor(&self, definition: &str) -> Option<i32> {
        self.monitors.get(definition).copied()
    }

    pub(super) fn learn_monitor(&mut self, definition: String, monitor_id: i32) {
        self.monitors.insert(definition, monitor_id);
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
}
