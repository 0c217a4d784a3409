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
mod reachability;
mod window;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, PurgeConfig};
use wire::{Content, DropReason, Dropped, Range};

use crate::outbox::{Entry, Outbox};
pub use all::{SendError, send_all};
use link::Link;
use reachability::Reachability;
use window::Window;

/// Most records in flight.
const RECORDS: usize = 10_000;
/// Most bytes of payloads in flight.
const BYTES: usize = 8 * 1024 * 1024;
/// How often the cursor is kept while reports stream in.
const CURSOR_EVERY: Duration = Duration::from_millis(50);
/// How long to wait for records before looking at anything else.
const IDLE: Duration = Duration::from_millis(100);
/// How often reports are looked for while some are due.
const IN_FLIGHT: Duration = Duration::from_millis(5);
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
    published: AtomicU64,
    wake: Mutex<()>,
    woken: Condvar,
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
        self.outbox.wait_acknowledged(self.outbox.last(), patience)
    }

    /// Ends the thread. What is in flight may be sent again by the next start.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        drop(self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.woken.notify_all();
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
    state: Reachability,
}

impl Worker {
    fn run(mut self) {
        let mut link: Option<Link> = None;
        let mut pauses = pauses();
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
                            pauses = self::pauses();
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
        let mut kept_at = Instant::now();
        loop {
            if self.is_stopping() {
                self.keep_cursor();
                return Ended::Stopping;
            }
            match self.fill(link) {
                Err(ended) => return ended,
                Ok(sent) if self.window.is_empty() && sent == 0 => {
                    self.keep_cursor();
                    self.rest(IDLE);
                }
                Ok(_) => self.rest(IN_FLIGHT),
            }
            if let Some(ended) = self.take_reports(link) {
                self.keep_cursor();
                return ended;
            }
            if kept_at.elapsed() >= CURSOR_EVERY {
                self.keep_cursor();
                kept_at = Instant::now();
            }
        }
    }

    /// Waits until there is more to send, at most for a while.
    fn rest(&self, longest: Duration) {
        if self.outbox.last() > self.window.sent() {
            // The window is full, or it came just now, or damage took it: waiting for it would not wait.
            self.pause(longest);
        } else {
            self.outbox.wait(self.window.sent(), longest);
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
        let entries = match self.outbox.read(self.window.sent(), records, bytes) {
            Ok(entries) => entries,
            Err(error) => {
                return Err(Ended::Failed { error: format!("the outbox can't be read: {error}"), fatal: false });
            }
        };
        let mut sent = 0;
        for entry in entries {
            self.window.gap_before(entry.position);
            if self.window.was_delivered(entry.position) {
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
                    self.drop_too_large(&entry)
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
        let mut failure = None;
        let mut delivered = 0;
        for (position, report) in link.take_reports() {
            match report {
                Ok(()) => {
                    self.window.deliver(position);
                    delivered += 1;
                }
                Err(RDKafkaErrorCode::MessageSizeTooLarge) if self.sent_alone == Some(position) => {
                    match self.outbox.read(position - 1, 1, usize::MAX).map(|mut found| found.pop()) {
                        Ok(Some(entry)) if entry.position == position => self.drop_too_large(&entry),
                        _ => self.window.fail(position),
                    }
                }
                Err(code) => {
                    self.window.fail(position);
                    if code == RDKafkaErrorCode::MessageSizeTooLarge {
                        // The whole batch was refused: which of its records is too large shows when each goes alone.
                        self.alone_until = self.alone_until.max(position);
                    }
                    failure = Some(code.to_string());
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
        failure.map(|error| Ended::Failed { error, fatal: false })
    }

    fn drop_too_large(&mut self, entry: &Entry) {
        log::error!(
            epoch:% = entry.epoch, seq = entry.seq, bytes = entry.payload.len();
            "a record is larger than the broker takes: it is declared dropped"
        );
        let range = Range { epoch: entry.epoch, first: entry.seq, last: entry.seq };
        let dropped = Dropped { ranges: vec![range], reason: DropReason::TooLarge, dropped_at: jiff::Timestamp::now() };
        match self.outbox.append(wire::payload(&self.agent, &Content::Dropped(dropped))) {
            Ok(_) => self.window.drop_unsent(entry.position),
            Err(error) => {
                log::debug!(error:%; "the declaration could not be kept; the record stays");
                self.window.fail(entry.position);
            }
        }
    }

    /// Takes back what is in flight, so that it is sent again from the outbox, in order.
    fn purge(&mut self, link: &Link) {
        link.producer.purge(PurgeConfig::default().queue().inflight());
        let deadline = Instant::now() + PURGE;
        while !self.window.is_empty() && Instant::now() < deadline {
            self.pause(IN_FLIGHT);
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
        self.keep_cursor();
    }

    fn keep_cursor(&mut self) {
        let cursor = self.window.cursor();
        if cursor > self.outbox.acknowledged()
            && let Err(error) = self.outbox.acknowledge(cursor)
        {
            log::debug!(error:%; "the cursor was not kept; it will be with the next one");
        }
        // What the outbox dropped at its bound needs no report any more.
        self.window.skip_to(self.outbox.acknowledged());
    }

    fn pause(&self, pause: Duration) {
        let guard = self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_stopping() {
            drop(self.shared.woken.wait_timeout(guard, pause).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Relaxed)
    }
}

/// The pauses between attempts: from 200 ms to 5 s, with jitter so that a fleet does not come back as one.
fn pauses() -> impl Iterator<Item = Duration> {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(4))
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests;
