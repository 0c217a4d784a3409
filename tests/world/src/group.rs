//! The members of a consumer group share the partitions, and commit how far they have stored.

use std::collections::{BTreeMap, BTreeSet};

/// This is a group.
#[derive(Default)]
pub(crate) struct Group {
    generation: u64,
    /// The members are known by their numbers.
    members: BTreeSet<usize>,
    committed: BTreeMap<i32, i64>,
}

impl Group {
    /// Tells the generation, which changes with each rebalance.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) const fn rebalance(&mut self) {
        self.generation += 1;
    }

    pub(crate) fn enter(&mut self, collector: usize) {
        self.members.insert(collector);
        self.rebalance();
    }

    pub(crate) fn leave(&mut self, collector: usize) {
        self.members.remove(&collector);
        self.rebalance();
    }

    /// Chooses the partitions of a member.
    pub(crate) fn share(&self, collector: usize, partitions: usize) -> Vec<i32> {
        let place = self.members.iter().position(|member| *member == collector);
        let share = |place| (0..partitions).skip(place).step_by(self.members.len()).map(|it| it as i32).collect();
        place.map(share).unwrap_or_default()
    }

    pub(crate) fn committed(&self, partition: i32) -> Option<i64> {
        self.committed.get(&partition).copied()
    }

    pub(crate) fn commit(&mut self, offsets: BTreeMap<i32, i64>) {
        self.committed.extend(offsets);
    }

    /// Forgets what was committed.
    pub(crate) fn forget(&mut self) {
        self.committed.clear();
    }
}
