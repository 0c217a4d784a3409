//! Messages from Kafka, in batches; offsets after the store.
//!
//! ```text
//! this thread:    poll ── gather ──▶ slots ──▶ writing threads: Sink::write
//!                  ▲                               │
//!                  └── commit offsets ◀── what is done
//! ```
//!
//! The next batch is gathered while the one before is read and written (gathering.rs). Each partition has one writer,
//! so its messages are written in their order. Offsets are committed only for what the sink has stored, so whatever
//! goes wrong in between, messages come again and none is skipped; that they come again is the sink's to deal with.
//!
//! *Membership.* This thread polls whatever happens. While the sink waits for its database, partitions are paused and
//! polling goes on, so the group keeps this collector, and no other one takes over work that it could not do either.
//!
//! *A name of its own.* Kafka gives a dead broker up after nine seconds. By then librdkafka, whose session is shorter,
//! has forgotten that it was a member, and the group's next coordinator would keep the partitions for the member that
//! it remembers until that one's session ends, too. So each collector has a name in its group, by which it is known
//! again and let in at once: also after a kill (name.rs).
//!
//! *Rebalance.* All partitions are given back and dealt out again (eager assignment). Each time begins a new
//! generation: what is being written is waited for, shortly, and committed; what else was read is forgotten, since
//! its partition's next owner reads it again. Nothing of an old generation is ever committed in a new one. When a
//! member comes or goes, every partition stands still for 0.4 to 0.8 s. Cooperative assignment would spare those that
//! stay where they are some of that, but those that move stand still for 1.2 to 1.5 s, since they are dealt out in a
//! second round; and a collector that is killed and comes back makes for no rebalance at all.
//!
//! *Where reading begins* is the database's to say (beginning.rs). So a database that was set back is filled again, and a
//! topic that was deleted and made again is read from its beginning (identity.rs).
//!
//! *Brokers that are forgotten.* librdkafka may lose every address that leads to Kafka, and then asks no broker until it is
//! told the addresses of the configuration again (bootstrap.rs).
//!
//! *A group that is not found.* librdkafka keeps calling the address that it first learnt of the group's coordinator,
//! also when that broker has moved. A consumer that the group leaves outside while Kafka answers is made again.
//!
//! *Partitions without a reader.* A group may come to rest although no member has some partition, or any (unread.rs). A
//! collector that finds one makes the group deal all of them out again.
//!
//! This module and those below are the only place that names rdkafka.

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

/// Where batches go.
pub trait Sink: Send + 'static {
    /// Gets ready before the first batch, for as long as it takes, unless `is_over`.
    fn prepare(&mut self, is_over: &dyn Fn() -> bool);

    /// From where these partitions are to be read, for as long as it takes to learn it; none when `is_over`. Batches of
    /// these partitions follow.
    fn locate(&mut self, log: &Log, partitions: &[i32], is_over: &dyn Fn() -> bool) -> Option<Start>;

    /// Stores a batch, for as long as it takes. It may give up only when `is_over`. A batch without messages asks only
    /// whether the positions are as they were left.
    fn write(&mut self, batch: &Batch, is_over: &dyn Fn() -> bool) -> Written;
}

/// Why nothing is consumed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka refuses the configuration. Says no value: one may be a secret.
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

/// Whether librdkafka knows all properties.
///
/// # Errors
/// Which one it refuses.
pub fn check(kafka: &Kafka) -> Result<(), Error> {
    client::properties(kafka).create_native_config()?;
    Ok(())
}

/// How long a clean stop waits for the writing threads.
const LAST_WRITE: Duration = Duration::from_secs(10);

/// Consumes into sinks, each with its share of the partitions, until `stop`; then commits what is stored and leaves the group.
/// A group of another database is joined only where `take_over` says so.
///
/// # Errors
/// When librdkafka refuses the configuration, the group is another database's, or a sink panicked. A Kafka that is away is
/// waited for.
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
                // A consumer knows no other fatal error.
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
        // What the one before had read is read again.
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

/// Waits for threads, but not for ever: one may hang in a database that doesn't answer.
fn await_ends(threads: &[JoinHandle<()>], longest: Duration) {
    let began = Instant::now();
    while !threads.iter().all(JoinHandle::is_finished) && began.elapsed() < longest {
        thread::sleep(Duration::from_millis(10));
    }
}

/// A writing thread.
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
