//! A collector does one thing each turn.

use std::sync::Arc;

use super::{Collector, Gathered, Life};
use crate::batch::Batch;
use crate::chance::Chance;
use crate::common::Common;
use crate::cover::Rare;
use crate::log::Kafka;
use crate::rules::Rule;
use crate::store::Step;
use crate::store::database::Database;
use crate::store::positions::{Position, Positions};

/// A turn can go in different ways.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// A batch takes at most these many messages.
    most: usize,
    /// This partition is read first, among those that the collector has.
    first: usize,
    /// A commit of offsets is lost.
    loses_offsets: bool,
    /// The collector is told where the topic was made again.
    is_told: bool,
}

/// A batch has room for these many messages.
const ROOM: usize = 8;

impl Turn {
    /// This one has no trouble.
    pub(crate) const CALM: Turn = Turn { most: ROOM, first: 0, loses_offsets: false, is_told: true };

    pub(crate) const fn by(chance: &mut Chance) -> Turn {
        Turn {
            most: 1 + chance.below(ROOM),
            first: chance.below(2),
            loses_offsets: chance.is_one_in(5),
            // librdkafka tells it late.
            is_told: !chance.is_one_in(3),
        }
    }
}

impl Collector {
    /// Does what comes next, and answers whether there was something to do.
    pub(crate) fn turn(
        &mut self,
        turn: Turn,
        kafka: &mut Kafka,
        databases: &mut [Database],
        common: &mut Common,
    ) -> bool {
        if self.life != Life::Running {
            return false;
        }
        let (group, database) = (self.group(common), &mut databases[self.database]);
        if self.batch.is_some() {
            self.store(group, kafka, database, common);
            return true;
        }
        if self.generation != Some(kafka.groups[group].generation()) {
            return self.join(group, kafka, database, common);
        }
        let done = std::mem::take(&mut self.done);
        if !turn.loses_offsets {
            kafka.groups[group].commit(done);
        } else if !done.is_empty() {
            common.meets(Rare::LostOffsets);
        }
        if self.known.topic != kafka.topic() {
            if turn.is_told {
                self.change_topic(kafka, common);
                return true;
            }
            common.meets(Rare::TopicUnnoticed);
        }
        self.gather(turn, kafka, database, common)
    }

    /// Reads some messages. It looks whether the database is where it was left when there are none.
    fn gather(&mut self, turn: Turn, kafka: &Kafka, database: &mut Database, common: &mut Common) -> bool {
        let mut batch = Batch::with_room(Arc::from("topic"), turn.most, 0);
        let mut ends = Positions::new();
        let mut partitions: Vec<(&i32, &mut i64)> = self.reading.iter_mut().collect();
        let first = turn.first % partitions.len().max(1);
        partitions.rotate_left(first);
        for (partition, offset) in partitions {
            let log = kafka.partition(*partition);
            if !log.has_place(*offset) {
                *offset = log.begin();
            }
            while batch.len() < turn.most
                && let Some(message) = log.at(*offset)
            {
                batch.push(*partition, *offset, None, Some(&message.value), None);
                *offset += 1;
                ends.insert(*partition, Position { next: *offset, leader_epoch: message.leader_epoch });
            }
        }
        if !batch.is_empty() {
            common.say(|| format!("  collector {} gathers up to {:?}", self.number, batch.ends()));
            self.batch = Some(Gathered { batch, ends });
            return true;
        }
        let is_elsewhere = common.has(Rule::Positions) && !self.known.is_of(&database.tables);
        if is_elsewhere {
            common.meets(Rare::IdleElsewhere);
            self.begin_again(database, common);
        }
        is_elsewhere
    }

    fn store(&mut self, group: usize, kafka: &Kafka, database: &mut Database, common: &mut Common) {
        let Some(Gathered { batch, ends }) = self.batch.take() else { return };
        match self.store.step(&batch, &ends, &self.known, database, common) {
            Step::Continues => self.batch = Some(Gathered { batch, ends }),
            Step::Elsewhere => self.begin_again(database, common),
            Step::Stored => {
                common.say(|| format!("  collector {} has stored up to {:?}", self.number, batch.ends()));
                self.known.left_at(&ends);
                self.done.extend(batch.ends().iter().map(|(partition, end)| (*partition, end.next)));
                if self.generation != Some(kafka.groups[group].generation()) {
                    common.meets(Rare::Zombie);
                }
            }
        }
    }

    /// Forgets what it knows, because the database is not where it was left, and will join again.
    fn begin_again(&mut self, database: &mut Database, common: &mut Common) {
        common.say(|| format!("  collector {} forgets what it knows", self.number));
        self.store.leave(database);
        self.generation = None;
    }
}
