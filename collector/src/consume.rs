//! Reads messages from Kafka, passes them to the sinks in batches, and commits offsets after the sinks have stored
//! them.
//!
//! ```text
//! this thread:    poll ── gather ──▶ slots ──▶ writing threads: Sink::write
//!                  ▲                               │
//!                  └── commit offsets ◀── what is done
//! ```
//!
//! The polling thread gathers the next batch while the writing threads read and write the one before (gathering.rs).
//! Each partition has one writer, so its messages are written in their order. Offsets are committed only for what the
//! sink has stored. After a failure in between, messages are delivered again and none is skipped. The sink recognises
//! the messages that come again.
//!
//! *Membership.* The polling thread never stops polling. While the sink waits for its database, the partitions are
//! paused and polling goes on. So the group keeps this collector as a member, and no other collector takes over work
//! that it could not do either.
//!
//! *The name of a member.* Kafka gives up a dead broker after nine seconds. By then the session of librdkafka, which is
//! shorter, is over, and librdkafka has forgotten that it was a member. The next coordinator of the group would keep
//! the partitions for the member that it remembers until the session of that member ends, too. So each collector has a
//! name in its group. The group recognises it by this name and lets it in at once, also after a kill (name.rs).
//!
//! *Rebalance.* All partitions are given back and assigned again (eager assignment). Each assignment begins a new
//! generation. The collector waits a short time for what is being written, and commits it. It forgets what else was
//! read, since the next owner of the partition reads it again. Nothing of an old generation is ever committed in a new
//! one. When a member comes or goes, every partition stands still for 0.4 to 0.8 s. Cooperative assignment would
//! shorten this for partitions that stay with their member. But partitions that move would stand still for 1.2 to 1.5
//! s, since they are assigned in a second round. A collector that is killed and comes back causes no rebalance at all.
//!
//! *Where reading begins.* The database says from where partitions are read (beginning.rs). So a database that was set
//! back is filled again, and a topic that was deleted and created again is read from its beginning (identity.rs).
//!
//! *Brokers that are forgotten.* librdkafka may lose every address that leads to Kafka. It then asks no broker until
//! the collector tells it the addresses of the configuration again (bootstrap.rs).
//!
//! *A group that is not found.* librdkafka keeps calling the address of the group's coordinator that it learnt first,
//! also when that broker has moved. A consumer that the group does not let in while Kafka answers is created again.
//!
//! *Partitions without a reader.* A group may come to rest although no member has some partition, or any (unread.rs). A
//! collector that finds one makes the group assign all of them again.
//!
//! Only this module and those below it use rdkafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError;
use settings::Kafka;
use uuid::Uuid;

use crate::batch::Batch;
use crate::config::BatchBounds;
use crate::health::Health;
use crate::position::{Log, Start, Written};

mod beginning;
mod bootstrap;
mod client;
mod gathering;
mod identity;
mod lag;
mod name;
mod progress;
mod raw;
mod topic;
mod unread;

use gathering::{Gathering, commit};
use name::Name;
use progress::{Progress, Task};
use topic::Topic;
use unread::Unread;

/// The place where batches are stored.
pub trait Sink: Send + 'static {
    /// Gets ready before the first batch, for as long as it takes, unless `is_over`.
    fn prepare(&mut self, is_over: &dyn Fn() -> bool);

    /// Returns from where these partitions are to be read. It waits as long as it takes to learn that, and returns none
    /// when `is_over`. Batches of these partitions follow.
    fn locate(&mut self, log: &Log, partitions: &[i32], is_over: &dyn Fn() -> bool) -> Option<Start>;

    /// Stores a batch, for as long as it takes. It may give up only when `is_over`. A batch without messages only asks
    /// whether the positions are as they were left.
    fn write(&mut self, batch: &Batch, is_over: &dyn Fn() -> bool) -> Written;
}

/// The reason why nothing is consumed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka refuses the configuration. The text contains no value, because a value may be a secret.
    #[error("{0}")]
    Refused(String),
    /// The group fills another database.
    #[error(
        "the group is that of another database ({group}; this one is {database}): set another `kafka.group`, or run once \
         with --take-over-group when that one is given up"
    )]
    OthersGroup {
        /// The database whose group it is.
        group: Uuid,
        /// The database of this collector.
        database: Uuid,
    },
    /// A sink panicked.
    #[error("a writing thread died")]
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

/// Checks that librdkafka knows all properties.
///
/// # Errors
/// Fails with the name of the property that librdkafka refuses.
pub fn check(kafka: &Kafka) -> Result<(), Error> {
    client::properties(kafka).create_native_config()?;
    Ok(())
}

/// How long a clean stop waits for the writing threads.
const LAST_WRITE: Duration = Duration::from_secs(10);

/// Consumes into sinks, each with its share of the partitions, until `stop`. Then it commits what is stored and leaves
/// the group. It joins a group of another database only where `take_over` is set.
///
/// # Errors
/// Fails when librdkafka refuses the configuration, when the group belongs to another database, or when a sink
/// panicked. It does not fail when Kafka is away, but waits for it.
pub fn run(
    kafka: &Kafka,
    bounds: BatchBounds,
    sinks: Vec<impl Sink>,
    health: &Arc<Health>,
    take_over: bool,
    stop: &AtomicBool,
) -> Result<(), Error> {
    let writers = sinks.len();
    let progress = Arc::new(Progress::new(writers));
    let mut name = client::name(kafka);
    let mut consumer = client::consumer(kafka, &name.text, progress.clone(), health.clone())?;
    let writing = sinks.into_iter().enumerate().map(|(writer, sink)| {
        let (progress, health) = (progress.clone(), health.clone());
        thread::spawn(move || write(&progress, &health, writer, sink))
    });
    let writing: Vec<_> = writing.collect();
    let mut topic = Topic::new(kafka);
    let is_over = || stop.load(Ordering::Relaxed) || writing.iter().any(JoinHandle::is_finished);
    let mut patience = client::patience(kafka);
    let mut refusal = None;
    'run: loop {
        if topic.wait(&consumer, health, stop) {
            consumer.subscribe(&[&kafka.topic])?;
            consumer.context().asks_in();
        }
        let mut gathering = Gathering::new(&consumer, &progress, bounds, writers, take_over);
        let (mut is_fenced, mut leaves_some_unread) = (false, false);
        let mut unread = Unread::new();
        let is_another_topic = || consumer.context().identity().is_another();
        while !is_over()
            && !is_fenced
            && !leaves_some_unread
            && !is_another_topic()
            && !consumer.context().is_left_outside(patience)
        {
            health.consumes();
            let error = match gathering.step() {
                Ok(error) => error,
                Err(error) => {
                    refusal = Some(error);
                    break 'run;
                }
            };
            if let Some(error) = error {
                // A consumer has no other fatal error than that another member took its name.
                is_fenced = consumer.client().fatal_error().is_some();
                topic.look_after(&consumer, &error);
            }
            topic.look_after_doubt(&consumer);
            leaves_some_unread = unread.stays(&consumer, kafka);
        }
        if is_over() {
            break;
        }
        if is_fenced {
            log::error!(group_instance_id = name.text.as_str(); "another collector has the same group.instance.id: going on under a name of its own; give each collector another one in kafka.properties");
            name = Name::random();
        } else if leaves_some_unread {
            log::warn!(topic = kafka.topic.as_str(); "no collector of the group reads some partition: leaving the group and joining it again");
            client::leave(&consumer);
        } else if is_another_topic() {
            log::warn!(topic = kafka.topic.as_str(); "the topic was deleted and made again: partitions are read from where the database is");
        } else {
            log::warn!(seconds = patience.as_secs(); "kafka answers, but the group does not: joining it again");
            let was_inside = consumer.context().was_inside();
            patience = if was_inside { client::patience(kafka) } else { patience.saturating_mul(2) };
        }
        consumer = client::consumer(kafka, &name.text, progress.clone(), health.clone())?;
        // What the consumer before had read is read again.
        progress.end_generation(LAST_WRITE, drop);
    }
    progress.close();
    await_ends(&writing, LAST_WRITE);
    topic.tell_addresses_again(&consumer);
    commit(&consumer, &progress, CommitMode::Sync);
    client::leave(&consumer);
    let has_died = |writing: JoinHandle<()>| writing.is_finished() && writing.join().is_err();
    if writing.into_iter().any(has_died) { Err(Error::Died) } else { refusal.map_or(Ok(()), Err) }
}

/// Waits for threads for a limited time, because a thread may hang in a database that does not answer.
fn await_ends(threads: &[JoinHandle<()>], longest: Duration) {
    let began = Instant::now();
    while !threads.iter().all(JoinHandle::is_finished) && began.elapsed() < longest {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a writing thread: it prepares the sink and then does its tasks until the end.
fn write(progress: &Progress, health: &Health, writer: usize, mut sink: impl Sink) {
    health.begins(writer);
    sink.prepare(&|| {
        health.waits(writer);
        progress.is_closed()
    });
    if !progress.is_closed() {
        health.is_prepared(writer);
    }
    health.ends(writer, 0);
    while let Some((generation, task)) = progress.next(writer) {
        health.begins(writer);
        let is_over = || {
            health.waits(writer);
            progress.is_over(generation)
        };
        match task {
            Task::Locate(log, partitions) => {
                let start = sink.locate(&log, &partitions, &is_over);
                health.ends(writer, 0);
                progress.located(writer, generation, start);
            }
            Task::Write(batch) => {
                let written = sink.write(&batch, &is_over);
                health.ends(writer, if written == Written::Stored { batch.len() as u64 } else { 0 });
                progress.written(writer, generation, written, batch.ends());
            }
        }
    }
}

#[cfg(test)]
mod tests;
mod watermarks;
