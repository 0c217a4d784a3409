//! Everything behind the intake: the outbox, its committer and the publisher. When the disk refuses, they start later than the
//! checks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use settings::Failure;
use wire::Clock;

use super::RunError;
use crate::config::{Config, OutboxConfig};
use crate::outbox::{AppendError, Committer, Intake, Outbox, Pending, Reads, Status};
use crate::publish::Publisher;
use crate::report::Reporter;

/// How long a start waits for its first record to be durable; on a disk that refuses it goes on without.
const FIRST_RECORD: Duration = Duration::from_secs(2);
/// At a stop: how long the outbox may drain before the last report, and how long that one may take.
pub(super) const LAST_DRAIN: Duration = Duration::from_secs(3);
pub(super) const LAST_REPORT: Duration = Duration::from_secs(2);

/// What it takes to open an outbox and to publish from it.
pub(super) struct Setup {
    agent: String,
    outbox: OutboxConfig,
    reads: Reads,
    kafka: settings::Kafka,
}

impl Setup {
    pub(super) fn new(config: &Config) -> Setup {
        Setup {
            agent: config.agent.name.clone(),
            outbox: config.outbox.clone(),
            reads: Reads::default(),
            kafka: config.kafka.clone(),
        }
    }

    /// The outbox's directory.
    pub(super) fn outbox(&self) -> &Path {
        &self.outbox.path
    }
}

/// What the committer has not answered yet. One at a time, since a report tells how far its epoch has come.
enum Asked {
    Epoch(Pending),
    Report(Pending),
}

pub(super) struct Delivery {
    outbox: Outbox,
    committer: Committer,
    publisher: Publisher,
    reporter: Arc<Reporter>,
    asked: Option<Asked>,
}

impl Delivery {
    /// Opens the outbox, begins an epoch, and publishes.
    pub(super) fn open(
        setup: &Setup,
        intake: &Intake,
        reporter: &Arc<Reporter>,
        clock: Clock,
    ) -> Result<Delivery, RunError> {
        let outbox = Outbox::open_with(&setup.outbox, intake.clone(), setup.reads.clone())?;
        let first = Arc::clone(reporter);
        let (committer, begun) = outbox.launch(&setup.agent, move |opening| first.start(&opening, clock))?;
        let answer = begun.wait_for(FIRST_RECORD);
        let publisher = Publisher::start(&setup.agent, &setup.kafka, outbox.clone())?;
        let mut delivery = Delivery { outbox, committer, publisher, reporter: Arc::clone(reporter), asked: None };
        match answer {
            Ok(_) => delivery.continue_start(clock),
            Err(AppendError::TimedOut) => delivery.asked = Some(Asked::Epoch(begun)),
            Err(error) => return Err(error.into()),
        }
        Ok(delivery)
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Which part ended by itself, if there is one.
    pub(super) fn broken(&self) -> Option<&'static str> {
        match (self.committer.is_running(), self.publisher.is_running()) {
            (false, _) => Some("outbox's committer"),
            (_, false) => Some("publisher"),
            _ => None,
        }
    }

    /// Takes the committer's answer, if there is one; whether it may be asked for more.
    pub(super) fn is_settled(&mut self, clock: Clock) -> bool {
        let answer = match &self.asked {
            None => return true,
            Some(Asked::Epoch(pending) | Asked::Report(pending)) => pending.wait_for(Duration::ZERO),
        };
        if answer == Err(AppendError::TimedOut) {
            return false;
        }
        match (self.asked.take(), answer) {
            (Some(Asked::Epoch(_)), Ok(_)) => self.continue_start(clock),
            (Some(Asked::Epoch(_)), Err(error)) => log::error!(error:%; "the new epoch could not begin"),
            (_, Err(error)) => log::debug!(error:%; "a report could not be kept"),
            (_, Ok(_)) => {}
        }
        true
    }

    /// A machine that came back from a snapshot must not reuse numbers; from inside, it is a jump of the wall clock.
    pub(super) fn begin_epoch(&mut self, clock: Clock) {
        log::warn!(jump_us = clock.last_jump_us; "the wall clock jumped: a new epoch begins");
        let reporter = Arc::clone(&self.reporter);
        match self.outbox.begin_epoch_soon(move |opening| reporter.start(&opening, clock)) {
            Ok(begun) => self.asked = Some(Asked::Epoch(begun)),
            Err(error) => log::error!(error:%; "the new epoch could not begin"),
        }
    }

    pub(super) fn report(&mut self, missed: BTreeMap<String, u64>, clock: Clock) {
        let report = self.reporter.periodic(&self.outbox.status(), missed, clock);
        match self.outbox.append_soon(report) {
            Ok(kept) => self.asked = Some(Asked::Report(kept)),
            Err(error) => log::debug!(error:%; "a report could not be kept"),
        }
    }

    /// Says what runs after a reload.
    pub(super) fn report_reload(&mut self, missed: &BTreeMap<String, u64>, clock: Clock) {
        self.keep_reports(self.reporter.reload(&self.outbox.status(), missed, clock));
    }

    /// Says again what runs, where what said it was dropped, or may be lost otherwise. So it is known as soon as anything
    /// arrives that was made after that; should it be dropped in its turn, that is known again.
    pub(super) fn report_again(&mut self, missed: &BTreeMap<String, u64>, clock: Clock) {
        self.keep_reports(self.reporter.again(&self.outbox.status(), missed, clock));
    }

    fn keep_reports(&mut self, reports: Vec<Vec<u8>>) {
        for report in reports {
            match self.outbox.append_soon(report) {
                // They are kept in order, so that the last one answers for all.
                Ok(kept) => self.asked = Some(Asked::Report(kept)),
                Err(error) => log::error!(error:%; "a report of the monitors could not be kept"),
            }
        }
    }

    /// The outbox as it is now, which other processes may read from then on.
    pub(super) fn publish_status(&self) -> Status {
        publish_status(&self.outbox)
    }

    /// Records that Kafka has acknowledged since the start.
    pub(super) fn published(&self) -> u64 {
        self.publisher.published()
    }

    /// Whether Kafka took records again after it had not since this was last asked.
    pub(super) fn take_is_back(&self) -> bool {
        self.publisher.take_is_back()
    }

    /// Why Kafka takes no records; none when it does.
    pub(super) fn trouble(&self) -> Option<Failure> {
        self.publisher.trouble()
    }

    /// A last attempt to publish, and a last report that says what is left, and that the checks ended at `ended`; answers
    /// how much is left.
    pub(super) fn stop(mut self, ended: Timestamp, missed: BTreeMap<String, u64>, clock: Clock) -> u64 {
        self.outbox.flush(LAST_REPORT);
        self.publisher.drain(LAST_DRAIN);
        if self.is_settled(clock) {
            let report = self.reporter.stop(ended, &self.outbox.status(), missed, clock);
            match self.outbox.append_within(report, LAST_REPORT) {
                Ok(_) => drop(self.publisher.drain(LAST_REPORT)),
                Err(error) => log::warn!(error:%; "the last report could not be kept"),
            }
        }
        self.publisher.stop();
        self.committer.stop();
        publish_status(&self.outbox).pending
    }

    /// The monitors that the first report had no room for.
    fn continue_start(&self, clock: Clock) {
        for payload in self.reporter.start_continued(&self.outbox.status(), clock) {
            if let Err(error) = self.outbox.append_soon(payload) {
                log::error!(error:%; "a report of the monitors could not be kept");
            }
        }
    }
}

fn publish_status(outbox: &Outbox) -> Status {
    let status = outbox.status();
    if let Err(error) = outbox.publish_status(&status) {
        log::debug!(error:%; "the outbox's status could not be written");
    }
    status
}
