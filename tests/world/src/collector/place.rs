//! A collector begins to read where the database is, or else where the group has committed.

use super::{Collector, Life};
use crate::common::Common;
use crate::cover::Rare;
use crate::log::{Kafka, Partition};
use crate::rules::Rule;
use crate::store::database::Database;
use crate::store::positions::{Known, Position};

impl Collector {
    /// Takes its share of the partitions, and begins where each is stored. It answers false while the database does not
    /// tell where that is.
    pub(super) fn join(&mut self, group: usize, kafka: &Kafka, database: &Database, common: &mut Common) -> bool {
        if common.has(Rule::Positions) && database.is_read_only {
            return false;
        }
        let members = &kafka.groups[group];
        self.generation = Some(members.generation());
        self.known = Known::new(kafka.topic());
        self.done.clear();
        self.reading.clear();
        for partition in members.share(self.number, kafka.partitions.len()) {
            let log = kafka.partition(partition);
            let offset = if common.has(Rule::Positions) {
                self.known.read(partition, &database.tables).map(|position| stored(position, log, common))
            } else {
                members.committed(partition)
            };
            let offset = offset.unwrap_or_else(|| log.begin());
            if !log.has_place(offset) {
                common.meets(Rare::OutOfRange);
            }
            self.reading.insert(partition, if log.has_place(offset) { offset } else { log.begin() });
        }
        common.say(|| format!("  collector {} joins and reads from {:?}", self.number, self.reading));
        true
    }

    /// Reads the topic that was made again from its beginning.
    pub(super) fn change_topic(&mut self, kafka: &Kafka, common: &mut Common) {
        common.meets(Rare::TopicNoticed);
        if common.has(Rule::Positions) {
            self.generation = None;
        } else {
            self.known.topic = kafka.topic();
            self.reading.iter_mut().for_each(|(partition, offset)| *offset = kafka.partition(*partition).begin());
        }
    }

    /// Takes in that a partition lost its tail. A running consumer is told so by Kafka, and goes to where the log was cut.
    pub(crate) fn tail_lost(&mut self, partition: i32, log: &Partition) {
        if self.life == Life::Running
            && let Some(offset) = self.reading.get_mut(&partition)
            && *offset > log.end()
        {
            *offset = log.end();
        }
    }
}

/// Finds where to read on from a position. Where the log lost what was before the position, that is where it was cut.
fn stored(position: Position, log: &Partition, common: &mut Common) -> i64 {
    let end = log.end_of_epoch(position.leader_epoch);
    if common.has(Rule::Tail) && end < position.next {
        common.meets(Rare::LostTail);
        return end;
    }
    position.next
}
