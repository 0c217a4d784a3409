//! From the outbox to Kafka: the only place in the agent that names rdkafka.
//!
//! ```text
//!  outbox.read ──▶ window ──▶ producer ──▶ broker
//!                    ▲                        │ acks=all
//!  outbox.acknowledge ◀── delivery reports ◀──┘
//! ```
//!
//! One thread does it all, so that nothing has to be agreed on between threads: it connects, fills the window, polls,
//! and moves the cursor over what was delivered without a gap.
//!
//! - Only a delivery report without an error moves the cursor. Whatever else happens (a timeout, an unknown topic, a
//!   refused login, a fatal error), the entries stay in the outbox and are sent again.
//! - After a failure the producer is purged; what had not been delivered is sent again after a pause that grows. When
//!   nothing was delivered since the last failure, or the error is fatal, a new producer is built.
//! - A record that the broker finds too large even when it is sent alone is declared dropped; it stops no other.
//! - A lasting state is said once, and then rarely.

mod all;
mod link;
mod oversized;
mod pace;
mod reachability;
mod window;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, PurgeConfig};

use crate::outbox::{AppendError, Entry, Outbox};
pub use all::{SendError, send_all};
use link::Link;
use oversized::Oversized;
use reachability::Reachability;
use window::Window;

/// Most records in flight.
const RECORDS: usize = 10_000;
/// Most bytes of payloads in flight.
const BYTES: usize = 8 * 1024 * 1024;
/// How long purged entries may take to be reported.
const PURGE: Duration = Duration::from_secs(5);

/// What librdkafka finds wrong with a configuration before it connects to anything.
///
/// # Errors
/// In one line that names the property.
pub fn check(kafka: &settings::Kafka) -> Result<(), String> {
    link::check(kafka)
}

/// The running publisher. Dropping it ends the thread without a last attempt.
#[derive(Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
    outbox: Outbox,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    /// Somebody waits for the outbox to be empty.
    draining: AtomicBool,
    published: AtomicU64,
    wake: Mutex<()>,
    woken: Condvar,
}

impl Shared {
    /// Ends a pause of the thread.
    fn wake(&self) {
        drop(self.wake.lock().unwrap_or_else(PoisonError::into_inner));
        self.woken.notify_all();
    }
}

impl Publisher {
    /// Starts publishing as `agent`, from the outbox's cursor on.
    pub fn start(agent: &str, kafka: &settings::Kafka, outbox: Outbox) -> std::io::Result<Publisher> {
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            agent: agent.to_owned(),
            kafka: kafka.clone(),
            outbox: outbox.clone(),
            shared: Arc::clone(&shared),
            window: Window::new(outbox.acknowledged()),
            alone_until: 0,
            sent_alone: None,
            oversized: Oversized::default(),
            state: Reachability::new(),
        };
        let thread = thread::Builder::new().name("publish".into()).spawn(move || worker.run())?;
        Ok(Publisher { shared, outbox, thread: Some(thread) })
    }

    /// Records that Kafka has acknowledged since the start.
    pub fn published(&self) -> u64 {
        self.shared.published.load(Ordering::Relaxed)
    }

    /// Whether the thread still runs, as it does until it is stopped.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Waits until Kafka has everything that the outbox holds now, at most `patience`; whether it has.
    pub fn drain(&self, patience: Duration) -> bool {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.shared.wake();
        let drained = self.outbox.wait_acknowledged(self.outbox.last(), patience);
        self.shared.draining.store(false, Ordering::Relaxed);
        drained
    }

    /// Ends the thread. What is in flight may be sent again by the next start.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.wake();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the publisher panicked");
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

/// Why a round of sending ended.
enum Ended {
    /// The agent stops.
    Stopping,
    /// Something failed; with it whether the producer itself is done for.
    Failed { error: String, fatal: bool },
}

struct Worker {
    agent: String,
    kafka: settings::Kafka,
    outbox: Outbox,
    shared: Arc<Shared>,
    window: Window,
    /// Up to this position each record is sent alone, to learn which one is too large.
    alone_until: u64,
    /// The last one that was.
    sent_alone: Option<u64>,
    oversized: Oversized,
    state: Reachability,
}

impl Worker {
    fn run(mut self) {
        let mut link: Option<Link> = None;
        let mut pauses = pace::after_failures();
        while !self.is_stopping() {
            let connected = match link.take() {
                Some(link) => Ok(link),
                None => Link::connect(&self.kafka, || self.is_stopping()),
            };
            let published = self.shared.published.load(Ordering::Relaxed);
            let (error, kept) = match connected {
                Err(error) => (error, None),
                Ok(connected) => match self.send_until_it_fails(&connected) {
                    Ended::Stopping => return,
                    Ended::Failed { error, fatal } => {
                        self.purge(&connected);
                        let delivered = self.shared.published.load(Ordering::Relaxed) > published;
                        if delivered {
                            pauses = pace::after_failures();
                        }
                        (error, (delivered && !fatal).then_some(connected))
                    }
                },
            };
            self.state.failed(&error, &self.outbox);
            link = kept;
            self.pause(pauses.next().unwrap_or(Duration::from_secs(5)));
        }
    }

    fn send_until_it_fails(&mut self, link: &Link) -> Ended {
        let (mut cursor, mut looked_at) = (0, Instant::now());
        loop {
            if self.is_stopping() {
                self.keep_cursor();
                return Ended::Stopping;
            }
            match self.fill(link) {
                Err(ended) => return ended,
                Ok(_) => self.rest(),
            }
            let ended = self.take_reports(link);
            self.acknowledge();
            if let Some(ended) = ended {
                self.keep_cursor();
                return ended;
            }
            if looked_at.elapsed() >= pace::CURSOR {
                // While results flow, their commits keep it.
                if self.outbox.kept() < cursor {
                    self.keep_cursor();
                }
                (cursor, looked_at) = (self.outbox.acknowledged(), Instant::now());
            }
        }
    }

    /// Waits until there is something to do.
    fn rest(&self) {
        let all_sent = self.outbox.last() <= self.window.sent();
        if all_sent && self.window.is_empty() {
            self.outbox.wait(self.window.sent(), pace::IDLE);
        } else {
            // What is not sent came just now, or has no room, or damage took it: waiting for it would not wait.
            self.pause(pace::between_reports(all_sent && !self.is_draining()));
        }
    }

    /// Sends what the outbox holds, as far as the window allows; answers how many.
    fn fill(&mut self, link: &Link) -> Result<usize, Ended> {
        let alone = self.window.sent() < self.alone_until;
        let (records, bytes) = if alone { (1, usize::MAX) } else { (RECORDS, BYTES) };
        let records = records - self.window.in_flight().min(records);
        let bytes = bytes - self.window.bytes().min(bytes);
        if records == 0 || bytes == 0 || (alone && !self.window.is_empty()) {
            return Ok(0);
        }
        let entries = self.outbox.read(self.window.sent(), records, bytes).map_err(unreadable)?;
        let mut sent = 0;
        for entry in entries {
            self.window.gap_before(entry.position);
            if self.window.was_delivered(entry.position) || self.oversized.contains(entry.position) {
                self.window.pass(entry.position);
                continue;
            }
            match self.send(link, &entry) {
                Ok(true) => {
                    sent += 1;
                    self.sent_alone = alone.then_some(entry.position);
                }
                Ok(false) => break,
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)) => {
                    self.window.pass(entry.position);
                    self.declare_oversized(&entry)?;
                }
                Err(error) => return Err(Ended::Failed { error: error.to_string(), fatal: false }),
            }
        }
        Ok(sent)
    }

    /// Hands one record to the producer; whether it had room.
    fn send(&mut self, link: &Link, entry: &Entry) -> Result<bool, KafkaError> {
        let message = wire::stamp(entry.epoch, entry.seq, &entry.payload);
        let opaque = usize::try_from(entry.position).expect("positions fit 64 bits");
        let record = BaseRecord::with_opaque_to(&self.kafka.topic, opaque).key(&self.agent).payload(&message);
        match link.producer.send(record) {
            Ok(()) => {
                self.window.send(entry.position, entry.payload.len());
                Ok(true)
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(error),
        }
    }

    /// Takes what the brokers said; answers when sending can't go on.
    fn take_reports(&mut self, link: &Link) -> Option<Ended> {
        let mut failure = self.pass_oversized().err();
        let mut delivered = 0;
        for (position, report) in link.take_reports() {
            match report {
                Ok(()) => {
                    self.window.deliver(position);
                    delivered += 1;
                }
                Err(RDKafkaErrorCode::MessageSizeTooLarge) if self.sent_alone == Some(position) => {
                    self.window.fail(position);
                    let declared = match self.outbox.read(position - 1, 1, usize::MAX).map(|mut found| found.pop()) {
                        Ok(Some(entry)) if entry.position == position => self.declare_oversized(&entry),
                        // Dropped meanwhile.
                        Ok(_) => Ok(()),
                        Err(error) => Err(unreadable(error)),
                    };
                    failure = declared.err().or(failure);
                }
                Err(code) => {
                    self.window.fail(position);
                    if code == RDKafkaErrorCode::MessageSizeTooLarge {
                        // The whole batch was refused: which of its records is too large shows when each goes alone.
                        self.alone_until = self.alone_until.max(position);
                    }
                    failure = Some(Ended::Failed { error: code.to_string(), fatal: false });
                }
            }
        }
        if delivered > 0 {
            self.shared.published.fetch_add(delivered, Ordering::Relaxed);
            self.state.delivered(&self.outbox);
        }
        if let Some((_, error)) = link.producer.client().fatal_error() {
            return Some(Ended::Failed { error, fatal: true });
        }
        failure
    }

    fn declare_oversized(&mut self, entry: &Entry) -> Result<(), Ended> {
        self.oversized.declare(&self.agent, &self.outbox, entry).map_err(undeclared)
    }

    /// Passes over records whose declarations have become durable.
    fn pass_oversized(&mut self) -> Result<(), Ended> {
        let kept = self.oversized.take_kept().map_err(undeclared)?;
        kept.into_iter().for_each(|position| self.window.deliver(position));
        Ok(())
    }

    /// Takes back what is in flight, so that it is sent again from the outbox, in order.
    fn purge(&mut self, link: &Link) {
        link.producer.purge(PurgeConfig::default().queue().inflight());
        let deadline = Instant::now() + PURGE;
        while !self.window.is_empty() && Instant::now() < deadline {
            self.pause(pace::IN_FLIGHT);
            for (position, report) in link.take_reports() {
                match report {
                    Ok(()) => {
                        self.window.deliver(position);
                        self.shared.published.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => self.window.fail(position),
                }
            }
        }
        self.window.rewind();
        self.sent_alone = None;
        self.acknowledge();
        self.keep_cursor();
    }

    /// Moves the outbox's cursor over what was delivered without a gap.
    fn acknowledge(&mut self) {
        let cursor = self.window.cursor();
        if cursor > self.outbox.acknowledged()
            && let Err(error) = self.outbox.acknowledge(cursor)
        {
            log::debug!(error:%; "what was delivered was not freed; it will be with what comes next");
        }
        // What the outbox dropped at its bound needs no report any more.
        self.window.skip_to(self.outbox.acknowledged());
    }

    fn keep_cursor(&self) {
        if self.outbox.acknowledged() > self.outbox.kept()
            && let Err(error) = self.outbox.keep_cursor()
        {
            log::debug!(error:%; "the cursor was not kept; it will be with the next one");
        }
    }

    fn pause(&self, pause: Duration) {
        let guard = self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_stopping() {
            drop(self.shared.woken.wait_timeout(guard, pause).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Relaxed)
    }
}

fn unreadable(error: std::io::Error) -> Ended {
    Ended::Failed { error: format!("the outbox can't be read: {error}"), fatal: false }
}

/// The record stays, and is met again.
fn undeclared(error: AppendError) -> Ended {
    Ended::Failed { error: format!("a record that is too large can't be declared dropped: {error}"), fatal: false }
}

#[cfg(test)]
mod tests;
