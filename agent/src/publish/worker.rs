//! The publisher's thread. It fills the window, takes the answers of brokers, and moves the cursor of the outbox.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, PurgeConfig};
use settings::{Failure, FailureKind};

use super::link::{self, Link};
use super::oversized::Oversized;
use super::reachability::Reachability;
use super::silence::Silence;
use super::window::Window;
use super::{BYTES, RECORDS, Shared, pace};
use crate::outbox::{AppendError, Entry, Outbox};

/// How long purged entries may take to be reported.
const PURGE: Duration = Duration::from_secs(5);

/// Why a round of sending ended.
enum Ended {
    /// The agent stops.
    Stopping,
    /// Something failed; with it whether the producer itself is done for.
    Failed { failure: Failure, fatal: bool },
}

pub(super) struct Worker {
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
    silence: Silence,
}

impl Worker {
    /// A worker that begins behind the outbox's cursor.
    pub(super) fn new(
        agent: &str,
        kafka: &settings::Kafka,
        outbox: Outbox,
        shared: Arc<Shared>,
        state: Reachability,
    ) -> Worker {
        Worker {
            agent: agent.to_owned(),
            kafka: kafka.clone(),
            window: Window::new(outbox.acknowledged()),
            outbox,
            shared,
            alone_until: 0,
            sent_alone: None,
            oversized: Oversized::default(),
            state,
            silence: Silence::new(Instant::now()),
        }
    }

    /// Publishes until the agent stops.
    pub(super) fn run(mut self) {
        let mut link: Option<Link> = None;
        let mut pauses = pace::after_failures();
        while !self.is_stopping() {
            let connected = match link.take() {
                Some(link) => Ok(link),
                None => {
                    let hear = |failure: &Failure| self.state.failed(failure, &self.outbox);
                    Link::connect(&self.kafka, || self.is_stopping(), hear)
                }
            };
            let published = self.shared.published.load(Ordering::Relaxed);
            let (failure, kept) = match connected {
                Err(failure) => (failure, None),
                Ok(connected) => match self.send_until_it_fails(&connected) {
                    Ended::Stopping => return,
                    Ended::Failed { failure, fatal } => {
                        self.purge(&connected);
                        let delivered = self.shared.published.load(Ordering::Relaxed) > published;
                        if delivered {
                            pauses = pace::after_failures();
                        }
                        // One that was answered a moment ago is sound.
                        let is_sound = delivered && !fatal && !self.silence.is_too_long(Instant::now());
                        (failure, is_sound.then_some(connected))
                    }
                },
            };
            self.state.failed(&failure, &self.outbox);
            link = kept;
            self.pause(pauses.next().unwrap_or(Duration::from_secs(5)));
        }
    }

    fn send_until_it_fails(&mut self, link: &Link) -> Ended {
        let (mut cursor, mut looked_at) = (0, Instant::now());
        self.silence.end(Instant::now());
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
            self.listen(link);
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
                Err(error) => {
                    return Err(Ended::Failed { failure: link::failure(&error, &error.to_string()), fatal: false });
                }
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
                    failure = Some(Ended::Failed {
                        failure: Failure::of_kafka(code as i32, &code.to_string()),
                        fatal: false,
                    });
                }
            }
        }
        if delivered > 0 {
            self.shared.published.fetch_add(delivered, Ordering::Relaxed);
            self.state.delivered(&self.outbox);
            self.silence.end(Instant::now());
        }
        if let Some((_, error)) = link.producer.client().fatal_error() {
            let failure = link.take_complaint().unwrap_or(Failure::new(FailureKind::Other, error));
            return Some(Ended::Failed { failure, fatal: true });
        }
        failure
    }

    /// Listens to what the connections complain of. A broker that refuses leaves what is under way without an answer
    /// until that times out; the reason is said before.
    fn listen(&mut self, link: &Link) {
        let now = Instant::now();
        if self.window.is_empty() {
            self.silence.end(now);
        }
        if self.silence.is_to_ask(now)
            && let Err(failure) = link.ask(&self.kafka.topic)
        {
            self.silence.complain(failure);
        }
        if let Some(failure) = link.take_complaint() {
            self.silence.complain(failure);
        }
        if let Some(failure) = self.silence.take_reason(now) {
            self.state.failed(&failure, &self.outbox);
        }
    }

    fn declare_oversized(&mut self, entry: &Entry) -> Result<(), Ended> {
        self.oversized.declare(&self.agent, &self.outbox, entry).map_err(undeclared)
    }

    /// Passes over records whose declarations have become durable.
    fn pass_oversized(&mut self) -> Result<(), Ended> {
        let kept = self.oversized.take_kept().map_err(undeclared)?;
        self.outbox.count_dropped(kept.len() as u64);
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
        let mut guard = self.shared.wake.lock();
        if !self.is_stopping() {
            self.shared.woken.wait_for(&mut guard, pause);
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
    let failure = Failure::new(FailureKind::Other, format!("the outbox can't be read: {error}"));
    Ended::Failed { failure, fatal: false }
}

/// The record stays, and is met again.
fn undeclared(error: AppendError) -> Ended {
    let text = format!("a record that is too large can't be declared dropped: {error}");
    Ended::Failed { failure: Failure::new(FailureKind::Other, text), fatal: false }
}
