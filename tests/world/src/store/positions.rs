//! The database keeps beside the rows up to where each partition is stored.

use std::collections::BTreeMap;

use super::tables::Tables;

/// A position is a place in a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// This offset comes next.
    pub(crate) next: i64,
    /// The message before it has this leader epoch.
    pub(crate) leader_epoch: u32,
}

/// These are positions by partition.
pub(crate) type Positions = BTreeMap<i32, Position>;

/// This is where a collector left or found the database, in the partitions that it has of a topic.
#[derive(Default)]
pub(crate) struct Known {
    /// This is the id of the topic.
    pub(crate) topic: u64,
    partitions: BTreeMap<i32, Option<Position>>,
}

impl Known {
    /// Nothing is known yet of a topic.
    pub(crate) const fn new(topic: u64) -> Known {
        Known { topic, partitions: BTreeMap::new() }
    }

    /// Reads where the database is in a partition.
    pub(crate) fn read(&mut self, partition: i32, tables: &Tables) -> Option<Position> {
        let position = tables.positions.get(&(self.topic, partition)).copied();
        self.partitions.insert(partition, position);
        position
    }

    /// Answers whether the database is there in all partitions.
    pub(crate) fn is_of(&self, tables: &Tables) -> bool {
        self.partitions.keys().all(|partition| self.is_at(*partition, tables))
    }

    /// Answers whether it is there in the partitions of a batch.
    pub(super) fn is_of_batch(&self, ends: &Positions, tables: &Tables) -> bool {
        ends.keys().all(|partition| self.is_at(*partition, tables))
    }

    /// Writes where a batch ends.
    pub(super) fn advance(&self, ends: &Positions, tables: &mut Tables) {
        tables.positions.extend(ends.iter().map(|(partition, end)| ((self.topic, *partition), *end)));
    }

    /// Takes in that a batch is stored, which ends there.
    pub(crate) fn left_at(&mut self, ends: &Positions) {
        self.partitions.extend(ends.iter().map(|(partition, end)| (*partition, Some(*end))));
    }

    fn is_at(&self, partition: i32, tables: &Tables) -> bool {
        let known = self.partitions.get(&partition).copied().flatten();
        tables.positions.get(&(self.topic, partition)).copied() == known
    }
}
