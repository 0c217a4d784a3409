//! Finds where the reading of assigned partitions begins: at the position in the database, if the log is still the one
//! that was read.
//!
//! ```text
//! assigned, paused ──▶ which topic is it? ──▶ each writer: position in the database ──▶ whose group is it?
//!                                                         seek, resume ◀── mark the group ◀──┘
//! ```
//! The partitions stay paused until all of that is known, while the polling thread goes on to poll. So the group keeps
//! the collector, also when its database is away. This begins again with each assignment, and when a writer found that
//! the database is not where the collector left it.
//!
//! *The log.* A seek names the leader epoch beside the offset. When the log was cut before that offset since then,
//! librdkafka goes on from where it was cut.
//!
//! *The group.* The committed offsets of the group bear the identity of the database. A collector of another database
//! does not join in, because each of the two would store only a part of the partitions. A partition that has had no
//! such mark for a long time may have been assigned to no member.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use uuid::Uuid;

use super::client::{Context, offsets};
use super::progress::Progress;
use super::{Error, raw};
use crate::position::{Log, Positions, Start};

/// How long Kafka may take to answer one question.
const ANSWER: Duration = Duration::from_secs(1);

/// After this time without an id of the topic, the broker is one that gives no ids.
const ID: Duration = Duration::from_secs(5);

/// A mark that is not there after this time is written again.
const AGAIN: Duration = Duration::from_secs(2);

/// The collector checks at this interval to which database the group belongs.
const LOOK: Duration = Duration::from_secs(10);

/// A partition that is added is assigned within this time.
const ORPHANED: Duration = Duration::from_secs(15);

/// The steps from an assignment to the start of reading.
pub(super) struct Beginning {
    /// The generation and the assignment whose beginning this is.
    of: Option<(u64, u64)>,
    since: Instant,
    looked: Instant,
    /// The time since which a partition has no mark, and the number of partitions.
    orphaned: Option<(Instant, usize)>,
    /// The number of partitions for which the group was joined again.
    joined_for: usize,
    /// The number of writers that are asked, and the writers that are still to be asked.
    asked: usize,
    unasked: Vec<(usize, Vec<i32>)>,
    phase: Phase,
    /// Whether a group of another database is taken over, once.
    take_over: bool,
}

enum Phase {
    Name,
    Locate,
    /// The group is being marked.
    Mark {
        since: Instant,
        start: Start,
    },
    Begun,
}

impl Beginning {
    /// Creates the state in which nothing has begun.
    pub(super) fn new(take_over: bool) -> Beginning {
        let (now, unasked) = (Instant::now(), Vec::new());
        Beginning {
            of: None,
            since: now,
            looked: now,
            orphaned: None,
            joined_for: 0,
            asked: 0,
            unasked,
            phase: Phase::Begun,
            take_over,
        }
    }

    /// Takes the next step, and returns whether reading has begun. `writer_of` returns the writer of a partition.
    ///
    /// # Errors
    /// Fails when the group belongs to another database.
    pub(super) fn step(
        &mut self,
        consumer: &BaseConsumer<Context>,
        progress: &Progress,
        writer_of: impl Fn(i32) -> usize,
    ) -> Result<bool, Error> {
        let of = (progress.generation(), consumer.context().assignments());
        if self.of != Some(of) {
            (self.of, self.since, self.phase) = (Some(of), Instant::now(), Phase::Name);
        }
        let outcome = match &self.phase {
            Phase::Name => self.name(consumer, progress, of.0, writer_of),
            Phase::Locate => self.locate(consumer, progress, of.0),
            Phase::Mark { since, start } => self.mark(consumer, *since, &start.clone()),
            Phase::Begun => self.look(consumer),
        };
        match outcome {
            Ok(()) => {}
            Err(Obstacle::Others(error)) => return Err(error),
            Err(Obstacle::Kafka(error)) => {
                log::debug!(error:% = error; "partitions can't be read yet")
            }
        }
        Ok(matches!(self.phase, Phase::Begun))
    }

    /// Learns which topic it is, and which writer is to be asked for which partitions.
    fn name(
        &mut self,
        consumer: &BaseConsumer<Context>,
        progress: &Progress,
        generation: u64,
        writer_of: impl Fn(i32) -> usize,
    ) -> Result<(), Obstacle> {
        let partitions = assigned(consumer)?;
        if partitions.is_empty() {
            self.phase = Phase::Begun;
            return Ok(());
        }
        if consumer.context().identity().id().is_none() && self.since.elapsed() < ID {
            return Ok(());
        }
        progress.forget_starts();
        self.unasked.clear();
        for partition in partitions {
            let writer = writer_of(partition);
            match self.unasked.iter_mut().find(|(known, _)| *known == writer) {
                Some((_, partitions)) => partitions.push(partition),
                None => self.unasked.push((writer, vec![partition])),
            }
        }
        self.asked = self.unasked.len();
        self.phase = Phase::Locate;
        self.ask(consumer, progress, generation);
        Ok(())
    }

    /// Asks the writers that have time.
    fn ask(&mut self, consumer: &BaseConsumer<Context>, progress: &Progress, generation: u64) {
        let context = consumer.context();
        let log = Log { topic: context.topic().clone(), id: context.identity().id() };
        self.unasked.retain(|(writer, partitions)| !progress.ask(*writer, generation, &log, partitions));
    }

    /// Marks the group once all writers have answered, unless it is another database's.
    fn locate(
        &mut self,
        consumer: &BaseConsumer<Context>,
        progress: &Progress,
        generation: u64,
    ) -> Result<(), Obstacle> {
        if !self.unasked.is_empty() {
            self.ask(consumer, progress, generation);
            return Ok(());
        }
        let Some(start) = progress.starts(self.asked) else { return Ok(()) };
        let Some(start) = together(start) else {
            // One of the writers was asked before another database took the address.
            self.phase = Phase::Name;
            return Ok(());
        };
        self.check(consumer, &owners(consumer)?, start.database)?;
        // This thread has to poll, so it does not wait for the answer.
        let mark = offsets(consumer.context(), &start.positions, Some(start.database));
        consumer.commit(&mark, CommitMode::Async)?;
        self.phase = Phase::Mark { since: Instant::now(), start };
        Ok(())
    }

    /// Begins to read once the group is marked. The mark is written before this second check, so when two collectors
    /// come at the same time, at least one of them sees the other's mark.
    fn mark(&mut self, consumer: &BaseConsumer<Context>, since: Instant, start: &Start) -> Result<(), Obstacle> {
        let owners = owners(consumer)?;
        self.check(consumer, &owners, start.database)?;
        if !start.positions.keys().all(|partition| owners.get(partition) == Some(&Some(start.database))) {
            if since.elapsed() >= AGAIN {
                self.phase = Phase::Locate;
            }
            return Ok(());
        }
        consumer.context().fills(start.database);
        begin(consumer, &start.positions)?;
        self.phase = Phase::Begun;
        Ok(())
    }

    /// Checks at intervals whether another database has taken over the group.
    fn look(&mut self, consumer: &BaseConsumer<Context>) -> Result<(), Obstacle> {
        let Some(database) = consumer.context().filled() else { return Ok(()) };
        if self.looked.elapsed() < LOOK || consumer.context().is_in_doubt() {
            return Ok(());
        }
        self.looked = Instant::now();
        let owners = owners(consumer)?;
        self.orphaned = match owners.values().any(Option::is_none) {
            true => self.orphaned.or(Some((self.looked, owners.len()))),
            false => None,
        };
        self.check(consumer, &owners, database)
    }

    /// Returns whether a partition has had no reader for a long time. Then this collector has to leave its group and
    /// join it again. The reason: a member that the group knows by its name gets the partitions that it had, even when
    /// partitions were added while it was away. librdkafka has partitions assigned again only when it sees their number
    /// change. This returns true once for a number of partitions: a partition that still has no mark after that has a
    /// reader whose database is away.
    pub(super) fn has_orphans(&mut self) -> bool {
        match self.orphaned.take_if(|(since, _)| since.elapsed() >= ORPHANED) {
            Some((_, partitions)) => std::mem::replace(&mut self.joined_for, partitions) != partitions,
            None => false,
        }
    }

    /// Checks that the group belongs to this database.
    fn check(&self, consumer: &BaseConsumer<Context>, owners: &Owners, database: Uuid) -> Result<(), Obstacle> {
        let is_ours = |owner: &Uuid| *owner == database || consumer.context().has_filled(*owner);
        match owners.values().flatten().find(|owner| !is_ours(owner)) {
            Some(group) if !self.take_over => Err(Obstacle::Others(Error::OthersGroup { group: *group, database })),
            _ => Ok(()),
        }
    }
}

/// The reason why reading cannot begin now.
enum Obstacle {
    /// An error of Kafka. The step is tried again.
    Kafka(KafkaError),
    /// An error that cannot go away. Reading does not begin.
    Others(Error),
}

impl From<KafkaError> for Obstacle {
    fn from(error: KafkaError) -> Obstacle {
        Obstacle::Kafka(error)
    }
}

/// Joins the answers of several writers, and returns none when they come from different databases.
fn together(starts: Vec<Start>) -> Option<Start> {
    starts.into_iter().map(Some).reduce(|all, one| {
        let (mut all, one) = (all?, one?);
        all.positions.extend(one.positions);
        (all.database == one.database).then_some(all)
    })?
}

/// Returns the partitions of the topic that this consumer has.
fn assigned(consumer: &BaseConsumer<Context>) -> KafkaResult<Vec<i32>> {
    let topic = consumer.context().topic();
    let assigned = consumer.assignment()?;
    let ours = assigned.elements().into_iter().filter(|one| one.topic() == &**topic).map(|one| one.partition());
    Ok(ours.collect())
}

/// The database that each partition of the topic is marked with. It is none where no collector has read the partition
/// yet.
type Owners = BTreeMap<i32, Option<Uuid>>;

fn owners(consumer: &BaseConsumer<Context>) -> KafkaResult<Owners> {
    let topic = consumer.context().topic();
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
    let mut all = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        all.add_partition(topic, partition.id());
    }
    if all.count() == 0 {
        return Ok(BTreeMap::new());
    }
    let committed = consumer.committed_offsets(all, ANSWER)?;
    let owner = |one: &TopicPartitionListElem<'_>| {
        one.error()?;
        let mark = raw::metadata(&committed, topic, one.partition());
        Ok((one.partition(), Uuid::try_parse_ascii(&mark).ok()))
    };
    committed.elements().iter().map(owner).collect()
}

/// Seeks to these positions and resumes reading.
fn begin(consumer: &BaseConsumer<Context>, positions: &Positions) -> KafkaResult<()> {
    let topic = consumer.context().topic();
    let mut list = TopicPartitionList::new();
    for (partition, position) in positions {
        list.add_partition_offset(topic, *partition, Offset::Offset(position.next))?;
        if let Some(epoch) = position.leader_epoch {
            raw::set_leader_epoch(&mut list, topic, *partition, epoch);
        }
    }
    for partition in consumer.seek_partitions(list, ANSWER)?.elements() {
        partition.error()?;
    }
    let assigned = consumer.assignment()?;
    consumer.resume(&assigned)?;
    log::debug!(positions:? = positions; "reading begins");
    Ok(())
}

/// Pauses all partitions, so that no further message comes.
pub(super) fn pause(consumer: &BaseConsumer<Context>) {
    consumer.context().forget_lag();
    if let Err(error) = consumer.assignment().and_then(|partitions| consumer.pause(&partitions)) {
        log::debug!(error:% = error; "can't pause partitions");
    }
}
