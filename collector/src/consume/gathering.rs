//! Gathers batches, one for each writer, and hands them over when they are due. It pauses the partitions when a writer
//! takes too long.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Timestamp as Stamp};
use settings::LogThrottle;

use super::beginning;
use super::beginning::Beginning;
use super::client::{Context, offsets};
use super::progress::Progress;
use super::watermarks::Watermarks;
use super::{Error, raw};
use crate::batch::Batch;
use crate::clock_skew::{Moment, Reading};
use crate::config::BatchBounds;

/// A batch is full at this many bytes, whatever its number of messages.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// How long a writer may take before partitions are paused. Shorter pauses would cost more than they save, since what
/// was fetched ahead is thrown away.
const PATIENCE: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(100);

/// How long a broker that has just sent a message may take to say where its partition ends. It takes some milliseconds.
const ANSWER: Duration = Duration::from_millis(200);

/// How long to poll while partitions are located.
const BEGINNING: Duration = Duration::from_millis(10);

/// A writer that has stored nothing for this time compares positions. So the collector notices that the database was
/// set back, also when the partition is quiet.
const COMPARE: Duration = Duration::from_secs(5);

/// How many messages are taken at a time, when they are available.
const BURST: usize = 100;

/// Commits what was stored since the last commit.
pub(super) fn commit(consumer: &BaseConsumer<Context>, progress: &Progress, mode: CommitMode) {
    let done = progress.take_done();
    if done.is_empty() {
        return;
    }
    let offsets = offsets(consumer.context(), &done, None);
    if let Err(error) = consumer.commit(&offsets, mode) {
        log::debug!(error:% = error; "offsets are not committed: what they cover will come again");
    }
}

/// The batches of all writers.
pub(super) struct Gathering<'a> {
    consumer: &'a BaseConsumer<Context>,
    progress: &'a Progress,
    bounds: BatchBounds,
    open: Vec<Option<Open>>,
    /// The generation whose partitions are paused.
    paused: Option<u64>,
    ends: Watermarks,
    beginning: Beginning,
    moves: LogThrottle,
    /// When each writer last compared positions.
    compared: Vec<Instant>,
    /// The messages and bytes of the last batch. The next batch is expected to have the same size.
    usual: (usize, usize),
}

/// A batch that is being gathered.
struct Open {
    batch: Batch,
    generation: u64,
    since: Instant,
    full_since: Option<Instant>,
}

/// The next step for a batch.
enum Step {
    /// Nothing has to be done before this time has passed.
    Wait(Duration),
    /// The batch is full and its writer is busy, so no further message may be taken.
    Hold { since: Instant },
}

impl<'a> Gathering<'a> {
    /// Creates a gathering without messages, for this number of writers.
    pub(super) fn new(
        consumer: &'a BaseConsumer<Context>,
        progress: &'a Progress,
        bounds: BatchBounds,
        writers: usize,
        take_over: bool,
    ) -> Gathering<'a> {
        Gathering {
            consumer,
            progress,
            bounds,
            open: (0..writers).map(|_| None).collect(),
            paused: None,
            ends: Watermarks::default(),
            beginning: Beginning::new(take_over),
            moves: LogThrottle::default(),
            compared: vec![Instant::now(); writers],
            usual: (0, 0),
        }
    }

    /// Takes some messages or waits for a writer, and returns an error that Kafka gave.
    ///
    /// # Errors
    /// Fails when the group belongs to another database.
    pub(super) fn step(&mut self) -> Result<Option<KafkaError>, Error> {
        self.start_over_where_that_is_due();
        let writers = self.open.len();
        if self.beginning.step(self.consumer, self.progress, |partition| writer_of(partition, writers))? {
            commit(self.consumer, self.progress, CommitMode::Async);
            self.join_again_for_orphans();
            self.look_for_an_end();
            self.look_at_positions();
            return Ok(self.gather());
        }
        // All partitions are paused, so only events of librdkafka come.
        Ok(self.consumer.poll(BEGINNING).and_then(Result::err))
    }

    /// Takes messages as long as there is room for them.
    fn gather(&mut self) -> Option<KafkaError> {
        let mut timeout = self.hand_over(self.progress.generation())?;
        let mut read = None;
        for _ in 0..BURST {
            let Some(polled) = self.consumer.poll(timeout) else {
                if self.paused.is_none() {
                    self.consumer.context().is_drained(|partition| self.ends.next(partition));
                }
                return None;
            };
            // Only the first poll waits.
            let read = *read.get_or_insert_with(Moment::now);
            timeout = Duration::ZERO;
            match polled {
                Ok(message) if self.add(&message, read) => return None,
                Ok(_) => {}
                Err(error) => return Some(error),
            }
        }
        None
    }

    /// Asks Kafka where a partition ends, when that is due.
    fn look_for_an_end(&mut self) {
        let asked = Moment::now();
        let Some(partition) = self.ends.to_ask(self.progress.generation(), asked) else { return };
        let answer = self.consumer.fetch_watermarks(self.consumer.context().topic(), partition, ANSWER);
        if let Err(error) = &answer {
            log::debug!(error:% = error, partition; "it is not known where the partition ends");
        }
        self.ends.asked(partition, asked, answer.ok().map(|(_, end)| end));
    }

    /// Returns whether partitions are paused.
    #[cfg(test)]
    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Returns whether the end of a partition is known.
    #[cfg(test)]
    pub(super) fn knows_end(&self, partition: i32) -> bool {
        self.ends.knows(partition)
    }

    /// Begins again when partitions are not read from where they should be. Nothing that was read before is committed
    /// any more.
    fn start_over_where_that_is_due(&mut self) {
        if !self.progress.is_moved() {
            return;
        }
        let why = "the database is not where this collector left it";
        if let Some(times) = self.moves.happened(why, 1, Instant::now()) {
            log::warn!(times; "{why}: partitions are read from where the database is");
        }
        beginning::pause(self.consumer);
        self.progress.end_generation(PATIENCE, drop);
        self.paused = None;
    }

    /// Joins the group again when partitions have no reader, so that they are assigned.
    fn join_again_for_orphans(&mut self) {
        if !self.beginning.has_orphans() {
            return;
        }
        let topic = self.consumer.context().topic();
        log::warn!(topic = &**topic; "a partition of the topic is read by no member: joining the group again");
        self.consumer.unsubscribe();
        if let Err(error) = self.consumer.subscribe(&[topic]) {
            log::error!(error:% = error; "can't join the group again");
        }
        self.consumer.context().asks_in();
    }

    /// Lets writers that have had nothing to store for some time compare positions.
    fn look_at_positions(&mut self) {
        for writer in 0..self.open.len() {
            if self.open[writer].is_none() && self.compared[writer].elapsed() >= COMPARE {
                // A writer that is busy compares positions with its own batch.
                drop(self.progress.hand_over(writer, self.progress.generation(), Batch::default()));
                self.compared[writer] = Instant::now();
            }
        }
    }

    /// Hands over what is due to writers that are ready, and returns how long to poll then. It waits instead when a
    /// batch is full and a pause is not worth its cost yet.
    fn hand_over(&mut self, generation: u64) -> Option<Duration> {
        let mut timeout = POLL;
        let mut held = None;
        for writer in 0..self.open.len() {
            match self.hand_over_one(writer, generation) {
                Step::Wait(longest) => timeout = timeout.min(longest),
                Step::Hold { since } => held = Some((writer, since)),
            }
        }
        let Some((writer, since)) = held else {
            self.resume(generation);
            return Some(timeout);
        };
        // No further message comes for the other writers, so those that are ready go on with what they have.
        for other in (0..self.open.len()).filter(|other| *other != writer) {
            if let Some(Open { batch, since, full_since, .. }) = self.open[other].take()
                && let Err(batch) = self.progress.hand_over(other, generation, batch)
            {
                self.open[other] = Some(Open { batch, generation, since, full_since });
            }
        }
        if since.elapsed() < PATIENCE {
            self.progress.wait_for_room(writer, POLL);
            return None;
        }
        self.pause(generation);
        Some(timeout)
    }

    fn hand_over_one(&mut self, writer: usize, generation: u64) -> Step {
        // What was read in an old generation belongs to the next owner of its partition.
        let Some(open) = self.open[writer].take().filter(|open| open.generation == generation) else {
            return Step::Wait(POLL);
        };
        let is_full = self.is_full(&open.batch);
        let left = self.bounds.max_wait.saturating_sub(open.since.elapsed());
        if !is_full && !left.is_zero() {
            self.open[writer] = Some(open);
            return Step::Wait(left);
        }
        let Open { batch, since, full_since, .. } = open;
        self.usual = (batch.len(), batch.bytes());
        self.compared[writer] = Instant::now();
        let Err(batch) = self.progress.hand_over(writer, generation, batch) else {
            return Step::Wait(Duration::ZERO);
        };
        let full_since = is_full.then(|| full_since.unwrap_or_else(Instant::now));
        self.open[writer] = Some(Open { batch, generation, since, full_since });
        full_since.map_or(Step::Wait(Duration::from_millis(5)), |since| Step::Hold { since })
    }

    fn is_full(&self, batch: &Batch) -> bool {
        batch.len() >= self.bounds.max_messages || batch.bytes() >= MOST_BYTES
    }

    /// Adds a message, which was read at that moment, and returns whether its batch is full now.
    fn add(&mut self, message: &BorrowedMessage<'_>, read: Moment) -> bool {
        let topic = self.consumer.context().topic();
        if message.topic() != &**topic {
            return false;
        }
        // A poll may have begun a new generation.
        let generation = self.progress.generation();
        let writer = writer_of(message.partition(), self.open.len());
        let mut open = self.open[writer].take().filter(|open| open.generation == generation).unwrap_or_else(|| Open {
            batch: Batch::with_room(topic.clone(), self.usual.0, self.usual.1),
            generation,
            since: Instant::now(),
            full_since: None,
        });
        let partition = message.partition();
        let end_seen = self.ends.comes(generation, partition, message.offset());
        open.batch.read(Reading { at: read, end_seen });
        open.batch.push(partition, message.offset(), message.key(), message.payload(), sent(message));
        open.batch.led(partition, raw::leader_epoch(message));
        let is_full = self.is_full(&open.batch);
        self.open[writer] = Some(open);
        is_full
    }

    fn pause(&mut self, generation: u64) {
        if self.paused == Some(generation) {
            return;
        }
        match self.consumer.assignment().and_then(|partitions| self.consumer.pause(&partitions)) {
            Ok(()) => {
                self.consumer.context().forget_lag();
                log::debug!("paused partitions until the batch is stored");
                self.paused = Some(generation);
            }
            Err(error) => log::debug!(error:% = error; "can't pause partitions"),
        }
    }

    fn resume(&mut self, generation: u64) {
        // Partitions of a new generation begin unpaused.
        if self.paused.take() != Some(generation) {
            return;
        }
        if let Err(error) = self.consumer.assignment().and_then(|partitions| self.consumer.resume(&partitions)) {
            log::debug!(error:% = error; "can't resume partitions");
            self.paused = Some(generation);
        }
    }
}

/// Returns which of this number of writers has a partition.
fn writer_of(partition: i32, writers: usize) -> usize {
    usize::try_from(partition).unwrap_or_default() % writers
}

/// Returns when the sender sent the message, by the sender's clock. It is none where a topic has the broker's time
/// instead.
fn sent(message: &BorrowedMessage<'_>) -> Option<Timestamp> {
    match message.timestamp() {
        Stamp::CreateTime(ms) => Timestamp::from_millisecond(ms).ok(),
        Stamp::LogAppendTime(_) | Stamp::NotAvailable => None,
    }
}
