//! Messages from Kafka, in batches; offsets after the store.
//!
//! ```text
//! this thread:    poll ── decode ── gather ──▶ slot ──▶ writing thread: Sink::write
//!                  ▲                                        │
//!                  └── commit offsets ◀── what is done ◀────┘
//! ```
//!
//! The next batch is gathered and decoded while the one before is written. Offsets are committed only for what the
//! sink has stored, so whatever goes wrong in between, messages come again and none is skipped; that they come again
//! is the sink's to deal with.
//!
//! *Membership.* This thread polls whatever happens. While the sink waits for its database, partitions are paused and
//! polling goes on, so the group keeps this collector, and no other one takes over work that it could not do either.
//!
//! *A name of its own.* Kafka gives a dead broker up after nine seconds. By then librdkafka, whose session is shorter,
//! has forgotten that it was a member, and the group's next coordinator would keep the partitions for the member that
//! it remembers until that one's session ends, too. So each collector has a name in its group (`group.instance.id`), by
//! which it is known again and let in at once. Random, so that nobody else has it; it ends with the process.
//!
//! *Rebalance.* All partitions are given back and dealt out anew (eager assignment). Each time begins a new
//! generation: what is being written is waited for, shortly, and committed; what else was read is forgotten, since
//! its partition's next owner reads it again. Nothing of an old generation is ever committed in a new one.
//!
//! *A topic that was deleted and made again* is read from its beginning (see identity.rs).
//!
//! *A group that is not found.* librdkafka keeps calling the address that it first learnt of the group's coordinator,
//! also when that broker has moved. A consumer that the group leaves outside while Kafka answers is made anew.
//!
//! This module and those below are the only place that names rdkafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use settings::Kafka;

use crate::batch::{Batch, Message};
use crate::config::BatchBounds;

mod client;
mod identity;
mod progress;
mod topic;

use client::Context;
use progress::Progress;
use topic::Topic;

/// Where batches go.
pub trait Sink: Send + 'static {
    /// Gets ready before the first batch, for as long as it takes, unless `is_over`.
    fn prepare(&mut self, is_over: &dyn Fn() -> bool);

    /// Stores a batch, for as long as it takes; whether it is stored. It may give up only when `is_over` says that
    /// nobody waits for it any more.
    fn write(&mut self, batch: &Batch, is_over: &dyn Fn() -> bool) -> bool;
}

/// Why nothing is consumed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka refuses the configuration. Says no value: one may be a secret.
    #[error("{0}")]
    Refused(String),
    /// The sink panicked.
    #[error("the writing thread died")]
    Died,
}

impl From<KafkaError> for Error {
    fn from(error: KafkaError) -> Error {
        Error::Refused(match error {
            KafkaError::ClientConfig(_, _, property, _) => {
                format!("librdkafka has no property {property}, or refuses its value")
            }
            error => error.to_string(),
        })
    }
}

/// Whether librdkafka knows all properties.
///
/// # Errors
/// Which one it refuses.
pub fn check(kafka: &Kafka) -> Result<(), Error> {
    client::properties(kafka).create_native_config()?;
    Ok(())
}

/// A batch is full at so many bytes, whatever its number of messages.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// How long the sink may take before partitions are paused: shorter pauses would cost more than they save, since
/// what was fetched ahead is thrown away.
const PATIENCE: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(100);

/// How long a clean stop waits for the writing thread.
const LAST_WRITE: Duration = Duration::from_secs(10);

/// Consumes until `stop`, then commits what is stored and leaves the group.
///
/// # Errors
/// When librdkafka refuses the configuration, or the sink panicked. A Kafka that is away is waited for.
pub fn run(kafka: &Kafka, bounds: BatchBounds, sink: impl Sink, stop: &AtomicBool) -> Result<(), Error> {
    let progress = Arc::new(Progress::default());
    let mut instance = client::instance(kafka);
    let mut consumer = client::consumer(kafka, &instance, progress.clone())?;
    let writing = thread::spawn({
        let progress = progress.clone();
        move || write(&progress, sink)
    });
    let mut topic = Topic::new(kafka);
    let is_over = || stop.load(Ordering::Relaxed) || writing.is_finished();
    let mut patience = client::patience(kafka);
    loop {
        if topic.wait(&consumer, stop) {
            consumer.subscribe(&[&kafka.topic])?;
            consumer.context().asks_in();
        }
        let mut gathering = Gathering { consumer: &consumer, progress: &progress, bounds, batch: None, paused: None };
        let mut is_fenced = false;
        while !is_over() && !is_fenced && !consumer.context().is_left_outside(patience) {
            if let Some(error) = gathering.step() {
                // A consumer knows no other fatal error.
                is_fenced = consumer.client().fatal_error().is_some();
                topic.look_after(&consumer, &error);
            }
            topic.look_after_doubt(&consumer);
        }
        if is_over() {
            break;
        }
        if is_fenced {
            log::error!(group_instance_id = instance.as_str(); "another collector has the same group.instance.id: going on under a name of its own; remove it from kafka.properties, or give each collector another one");
            instance = client::own_instance();
        } else {
            log::warn!(seconds = patience.as_secs(); "kafka answers, but the group does not: joining it anew");
            let was_inside = consumer.context().was_inside();
            patience = if was_inside { client::patience(kafka) } else { patience.saturating_mul(2) };
        }
        consumer = client::consumer(kafka, &instance, progress.clone())?;
    }
    progress.close();
    let has_ended = has_ended(&writing, LAST_WRITE);
    commit(&consumer, &kafka.topic, &progress, CommitMode::Sync);
    client::leave(&consumer);
    if has_ended && writing.join().is_err() {
        return Err(Error::Died);
    }
    Ok(())
}

/// Whether a thread ends in time: it may hang in a database that doesn't answer.
fn has_ended(thread: &JoinHandle<()>, longest: Duration) -> bool {
    let began = Instant::now();
    while !thread.is_finished() && began.elapsed() < longest {
        thread::sleep(Duration::from_millis(10));
    }
    thread.is_finished()
}

/// The writing thread.
fn write(progress: &Progress, mut sink: impl Sink) {
    sink.prepare(&|| progress.is_closed());
    while let Some((generation, batch)) = progress.next() {
        let stored = sink.write(&batch, &|| progress.is_over(generation));
        progress.written(generation, stored.then(|| batch.ends()));
    }
}

/// Commits what was stored since the last time.
fn commit(consumer: &BaseConsumer<Context>, topic: &str, progress: &Progress, mode: CommitMode) {
    let done = progress.take_done();
    if done.is_empty() {
        return;
    }
    let offsets = client::offsets(topic, &done);
    if let Err(error) = consumer.commit(&offsets, mode) {
        log::debug!(error:% = error; "offsets are not committed: what they cover will come again");
    }
}

/// The batch that is being gathered.
struct Gathering<'a> {
    consumer: &'a BaseConsumer<Context>,
    progress: &'a Progress,
    bounds: BatchBounds,
    batch: Option<Open>,
    /// The generation whose partitions are paused.
    paused: Option<u64>,
}

struct Open {
    batch: Batch,
    generation: u64,
    since: Instant,
    full_since: Option<Instant>,
}

impl Gathering<'_> {
    /// Polls once, or waits for the writing thread; an error that Kafka gave.
    fn step(&mut self) -> Option<KafkaError> {
        let context = self.consumer.context();
        if context.identity().is_another() {
            self.begin_anew(self.progress.generation());
        }
        commit(self.consumer, context.topic(), self.progress, CommitMode::Async);
        let generation = self.progress.generation();
        self.batch = self.batch.take().filter(|open| open.generation == generation);
        let timeout = self.hand_over(generation)?;
        match self.consumer.poll(timeout)? {
            Ok(message) => {
                self.add(&message);
                None
            }
            Err(error) => Some(error),
        }
    }

    /// Reads another topic of the same name from its beginning. Of the one before nothing more is committed.
    fn begin_anew(&mut self, generation: u64) {
        let mut beginnings = TopicPartitionList::new();
        let sought = self.consumer.assignment().and_then(|assigned| {
            for partition in assigned.elements() {
                beginnings.add_partition_offset(partition.topic(), partition.partition(), Offset::Beginning)?;
            }
            if beginnings.count() == 0 {
                // It will be for whatever comes.
                return Ok(());
            }
            self.resume(generation);
            self.progress.end_generation(PATIENCE, drop);
            self.batch = None;
            for partition in self.consumer.seek_partitions(beginnings.clone(), PATIENCE)?.elements() {
                partition.error()?;
            }
            self.consumer.context().identity().begun_anew();
            log::warn!(partitions = beginnings.count(); "the topic was deleted and made again: it is read from its beginning");
            Ok(())
        });
        if let Err(error) = sought {
            log::debug!(error:% = error; "can't go to the topic's beginning yet");
        }
    }

    /// Hands the batch over when it is due and the writing thread is ready; how long to poll then. Waits instead
    /// where the batch is full and it is not yet worth pausing.
    fn hand_over(&mut self, generation: u64) -> Option<Duration> {
        let Some(open) = &mut self.batch else {
            self.resume(generation);
            return Some(POLL);
        };
        let is_full = open.batch.entries().len() >= self.bounds.max_messages || open.batch.bytes() >= MOST_BYTES;
        let left = self.bounds.max_wait.saturating_sub(open.since.elapsed());
        if !is_full && !left.is_zero() {
            return Some(left.min(POLL));
        }
        let Some(Open { batch, since, full_since, .. }) = self.batch.take() else { return Some(POLL) };
        let Err(batch) = self.progress.hand_over(generation, batch) else {
            self.resume(generation);
            return Some(Duration::ZERO);
        };
        let full_since = full_since.unwrap_or_else(Instant::now);
        self.batch = Some(Open { batch, generation, since, full_since: is_full.then_some(full_since) });
        if !is_full {
            return Some(Duration::from_millis(5));
        }
        if full_since.elapsed() < PATIENCE {
            self.progress.wait_for_room(POLL);
            return None;
        }
        self.pause(generation);
        Some(POLL)
    }

    fn add(&mut self, message: &BorrowedMessage<'_>) {
        let generation = self.progress.generation();
        self.batch = self.batch.take().filter(|open| open.generation == generation);
        let open = self.batch.get_or_insert_with(|| Open {
            batch: Batch::default(),
            generation,
            since: Instant::now(),
            full_since: None,
        });
        open.batch.push(Message {
            topic: self.consumer.context().topic().clone(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        });
    }

    fn pause(&mut self, generation: u64) {
        if self.paused == Some(generation) {
            return;
        }
        match self.consumer.assignment().and_then(|partitions| self.consumer.pause(&partitions)) {
            Ok(()) => {
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

#[cfg(test)]
mod tests;
