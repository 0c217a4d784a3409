//! The running agent: its parts in the order of the data, a tick every second, and a clean stop.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use wire::{AgentEvent, CheckResult, Content};

use crate::check::{Checker, SetupError};
use crate::clock::JumpWatch;
use crate::config::Config;
use crate::outbox::{AppendError, Committer, OpenError, Outbox};
use crate::publish::{self, Publisher};
use crate::report::Reporter;
use crate::schedule::Schedule;

/// How often the outbox's status is written, its room is looked at, and the clocks are compared.
const TICK: Duration = Duration::from_secs(1);
/// How often the agent reports.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// At a stop: how long the outbox may drain before the last report, and how long that one may take.
const LAST_DRAIN: Duration = Duration::from_secs(3);
const LAST_REPORT: Duration = Duration::from_secs(2);

/// Why the agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No outbox, no promise.
    #[error(transparent)]
    Outbox(#[from] OpenError),
    /// No TLS.
    #[error(transparent)]
    Check(#[from] SetupError),
    /// No way to Kafka, ever.
    #[error("kafka: {0}")]
    Kafka(String),
    /// A part ended by itself.
    #[error("the {0} broke down")]
    BrokeDown(&'static str),
    /// The first record could not be kept.
    #[error("the outbox takes no first record: {0}")]
    FirstRecord(#[from] AppendError),
    /// No thread could be made.
    #[error("no thread can be made: {0}")]
    Thread(#[from] io::Error),
}

/// Runs the agent until `stop` resolves, then stops it cleanly. Needs nothing remote to start.
///
/// # Errors
/// When the outbox can't be opened, or the machine refuses what is needed to begin; later, when a part breaks down that
/// the others would wait for without end.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    config.log_faults();
    tokio::pin!(stop);
    let patience = patience(&config);
    let running = tokio::select! {
        // While a disk hangs or refuses, this may last.
        () = &mut stop => {
            log::info!("the agent stops before it ran");
            return Ok(());
        }
        started = spawn_blocking(move || Running::start(config)) => Arc::new(started.map_err(io::Error::other)??),
    };
    log::info!(
        monitors = running.monitors, pending = running.outbox.pending();
        "the agent runs"
    );
    let ended = tokio::select! {
        () = &mut stop => Ok(()),
        broken = tick_until_broken(&running) => Err(RunError::BrokeDown(broken)),
    };
    log::info!("the agent stops: running checks end, the outbox is flushed");
    match timeout(patience, spawn_blocking(move || running.stop())).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => log::error!("the stop broke down"),
        Err(_) => log::error!("something hangs, maybe a disk: the stop waits no longer"),
    }
    ended
}

/// How long a stop may take: as long as the slowest check, and the last attempts to keep and to publish.
fn patience(config: &Config) -> Duration {
    let slowest = config.monitors.iter().map(|monitor| monitor.timeout).max();
    slowest.unwrap_or_default() + 2 * (LAST_DRAIN + LAST_REPORT)
}

/// Ticks for as long as all parts run; answers which one does not.
async fn tick_until_broken(running: &Arc<Running>) -> &'static str {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // In a thread of its own, since a disk may hang; one tick at a time, since it may hang for long.
        let ticking = Arc::clone(running);
        match spawn_blocking(move || ticking.tick()).await {
            Ok(None) => {}
            Ok(Some(broken)) => return broken,
            Err(_) => return "tick",
        }
    }
}

/// The parts, in the order of the data.
struct Running {
    monitors: usize,
    schedule: Schedule,
    outbox: Outbox,
    committer: Mutex<Option<Committer>>,
    publisher: Mutex<Option<Publisher>>,
    reporter: Arc<Reporter>,
    periodic: Mutex<Periodic>,
}

struct Periodic {
    clock: JumpWatch,
    reported: Instant,
    full: bool,
}

impl Running {
    fn start(config: Config) -> Result<Running, RunError> {
        publish::check(&config.kafka).map_err(RunError::Kafka)?;
        let outbox = Outbox::open(&config.outbox)?;
        let checker = Checker::new()?;
        let reporter = Arc::new(Reporter::new(&config));
        let mut clock = JumpWatch::new();
        clock.look();
        let committer = {
            let reporter = Arc::clone(&reporter);
            let seen = clock.seen();
            outbox.start(&config.agent.name, move |opening| reporter.start(&opening, seen))?
        };
        for payload in reporter.start_continued(&outbox.status(), clock.seen()) {
            outbox.append(payload)?;
        }
        let publisher = Publisher::start(&config.agent.name, &config.kafka, outbox.clone())?;
        let monitors: Vec<_> = config.monitors.into_iter().map(Arc::new).collect();
        let count = monitors.len();
        let keep = {
            let (agent, outbox) = (config.agent.name.clone(), outbox.clone());
            move |monitor: &_, scheduled_at: Timestamp| keep(&outbox, &agent, checker.check(monitor, scheduled_at))
        };
        let schedule = Schedule::start(&config.agent.name, monitors, config.workers, Arc::new(keep));
        Ok(Running {
            monitors: count,
            schedule,
            outbox,
            committer: Mutex::new(Some(committer)),
            publisher: Mutex::new(Some(publisher)),
            reporter,
            periodic: Mutex::new(Periodic { clock, reported: Instant::now(), full: false }),
        })
    }

    /// Answers which part ended by itself, if there is one.
    fn tick(&self) -> Option<&'static str> {
        let broken = self.broken();
        if broken.is_some() {
            return broken;
        }
        let mut periodic = self.periodic.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.outbox.publish_status() {
            log::debug!(error:%; "the outbox's status could not be written");
        }
        self.mind_the_bound(&mut periodic);
        if periodic.clock.look() {
            self.begin_epoch(&periodic.clock);
        }
        if periodic.reported.elapsed() >= REPORT_EVERY {
            periodic.reported = Instant::now();
            let (status, missed) = (self.outbox.status(), self.schedule.missed());
            let report = self.reporter.report(AgentEvent::Periodic, &status, missed, periodic.clock.seen());
            if let Err(error) = self.outbox.append(report) {
                log::debug!(error:%; "a report could not be kept");
            }
        }
        None
    }

    /// Which part ended by itself, if there is one.
    fn broken(&self) -> Option<&'static str> {
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner);
        let publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        match (committer.as_ref(), publisher.as_ref()) {
            (Some(committer), _) if !committer.is_running() => Some("outbox's committer"),
            (_, Some(publisher)) if !publisher.is_running() => Some("publisher"),
            _ => None,
        }
    }

    /// With the policy `pause`, no checks are made while the outbox has no room for their results.
    fn mind_the_bound(&self, periodic: &mut Periodic) {
        let full = !self.outbox.has_room();
        if full != periodic.full {
            periodic.full = full;
            if full {
                log::warn!("the outbox is at its bound: no checks until there is room");
                self.schedule.pause();
            } else {
                log::info!("the outbox has room again: checks go on");
                self.schedule.resume();
            }
        }
    }

    /// A machine that came back from a snapshot must not reuse numbers; from inside, it is a jump of the wall clock.
    fn begin_epoch(&self, clock: &JumpWatch) {
        let seen = clock.seen();
        log::warn!(jump_us = seen.last_jump_us; "the wall clock jumped: a new epoch begins");
        let reporter = Arc::clone(&self.reporter);
        let begun = self.outbox.begin_epoch(move |opening| reporter.start(&opening, seen)).and_then(|_| {
            let continued = self.reporter.start_continued(&self.outbox.status(), seen);
            continued.into_iter().try_for_each(|payload| self.outbox.append(payload).map(drop))
        });
        if let Err(error) = begun {
            log::error!(error:%; "the new epoch could not begin");
        }
    }

    /// No new checks, running ones end, a last attempt to publish, a last report that says what is left.
    fn stop(&self) {
        // Or what runs would wait for a disk that refuses.
        self.outbox.hurry();
        self.schedule.stop();
        let publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner).take();
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(publisher) = publisher {
            publisher.drain(LAST_DRAIN);
            let clock = self.periodic.lock().unwrap_or_else(PoisonError::into_inner).clock.seen();
            let (status, missed) = (self.outbox.status(), self.schedule.missed());
            let report = self.reporter.report(AgentEvent::Stop, &status, missed, clock);
            match self.outbox.append_within(report, LAST_REPORT) {
                Ok(_) => drop(publisher.drain(LAST_REPORT)),
                Err(error) => log::warn!(error:%; "the last report could not be kept"),
            }
            publisher.stop();
        }
        if let Some(committer) = committer {
            committer.stop();
        }
        let pending = self.outbox.status().pending;
        if let Err(error) = self.outbox.publish_status() {
            log::debug!(error:%; "the outbox's status could not be written");
        }
        log::info!(pending; "the agent has stopped");
    }
}

/// Makes a result durable. There is no check without a result, so one that is too large goes without its tags.
fn keep(outbox: &Outbox, agent: &str, mut result: CheckResult) {
    let payload = wire::payload(agent, &Content::Result(Box::new(result.clone())));
    match outbox.append(payload) {
        Ok(_) => {}
        Err(AppendError::TooLarge(bytes)) => {
            log::error!(monitor = result.monitor.as_str(), bytes; "a result is too large: it goes without tags and pattern");
            (result.tags, result.pattern) = Default::default();
            if let Err(error) = outbox.append(wire::payload(agent, &Content::Result(Box::new(result)))) {
                log::error!(error:%; "a result is lost");
            }
        }
        Err(error @ (AppendError::Stopped | AppendError::TimedOut)) => log::error!(error:%; "a result is lost"),
    }
}
