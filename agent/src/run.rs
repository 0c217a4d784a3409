//! The running agent: its parts in the order of the data, a tick every second, reloads, and a clean stop.
//!
//! ```text
//! schedule ──▶ check ──▶ intake ──▶ │ outbox ──▶ publisher │
//!                                   └────── delivery ──────┘
//! ```
//!
//! Checks never wait for the disk: they hand their results to the intake. When the outbox can't be opened since its
//! disk refuses, delivery is tried again at each tick while checks go on.

mod delivery;
mod gaps;
mod health;
mod lists;
mod reload;
mod watchdog;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use sd_notify::NotifyState;
use settings::Hosts;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use wire::{CheckResult, Content};

use crate::check::{Checker, SetupError};
use crate::clock::JumpWatch;
use crate::config::{Config, Known, Monitor};
use crate::outbox::{AppendError, Intake, OpenError};
use crate::publish;
use crate::report::Reporter;
use crate::schedule::Schedule;
use delivery::{Delivery, LAST_DRAIN, LAST_REPORT, Setup};
use gaps::Gaps;
use health::{Health, Seen};
use lists::{Lists, Why};
use reload::Reloads;
use watchdog::{Look, Watchdog};

/// How often the outbox's status is written, its room is looked at, and the clocks are compared.
const TICK: Duration = Duration::from_secs(1);
/// How often the agent reports.
const REPORT_EVERY: Duration = Duration::from_secs(60);

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

/// Runs the agent until `stop` resolves, then stops it cleanly. Needs nothing remote to start. Each time that `reload`
/// resolves, the configuration is read again.
///
/// # Errors
/// When the outbox can't be opened, or the machine refuses what is needed to begin; later, when a part breaks down that
/// the others would wait for without end.
pub async fn run(config: Config, stop: impl Future<Output = ()>, reload: impl AsyncFnMut()) -> Result<(), RunError> {
    config.log_faults();
    config.log_changes();
    tokio::pin!(stop);
    let running = tokio::select! {
        // While a disk hangs or refuses, this may last.
        () = &mut stop => {
            log::info!("the agent stops before it ran");
            return Ok(());
        }
        started = spawn_blocking(move || Running::start(config)) => Arc::new(started.map_err(io::Error::other)??),
    };
    health::tell(&[NotifyState::Ready]);
    let pending = running.delivery().as_ref().map_or(0, |delivery| delivery.outbox().pending());
    log::info!(monitors = running.schedule.monitors().len(), pending; "the agent runs");
    let ended = tokio::select! {
        () = &mut stop => Ok(()),
        broken = tick_until_broken(&running) => Err(broken),
        never = reload_when_asked(&running, reload) => match never {},
        never = answer_anyone_who_asks(&running) => match never {},
    };
    health::tell(&[NotifyState::Stopping]);
    let patience = running.patience();
    log::info!("the agent stops: running checks end, the outbox is flushed");
    match timeout(patience, spawn_blocking(move || running.stop())).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => log::error!("the stop broke down"),
        Err(_) => log::error!("something hangs, maybe a disk: the stop waits no longer"),
    }
    ended
}

/// Ticks for as long as all parts run; answers which one does not.
async fn tick_until_broken(running: &Arc<Running>) -> RunError {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // In a thread of its own, since a disk may hang; one tick at a time, since it may hang for long.
        let ticking = Arc::clone(running);
        match spawn_blocking(move || ticking.tick()).await {
            Ok(Ok(())) => {}
            Ok(Err(broken)) => return broken,
            Err(_) => return RunError::BrokeDown("tick"),
        }
    }
}

/// Serves metrics, if that is wanted.
async fn answer_anyone_who_asks(running: &Arc<Running>) -> Infallible {
    let health = &running.health;
    let routes = settings::metrics(Arc::clone(health)).merge(settings::healthz(Arc::clone(health)));
    let routes = settings::for_hosts(routes, Hosts::of(running.http, None), refuse_name);
    settings::serve(running.http, None, routes).await
}

/// What anyone who asks by a foreign name is told.
fn refuse_name() -> (StatusCode, &'static str) {
    let told =
        "an agent that listens on loopback is asked by localhost or an address: set `http.listen` to another one\n";
    (StatusCode::MISDIRECTED_REQUEST, told)
}

/// Reads the configuration again whenever that is asked for; once for all who ask meanwhile.
async fn reload_when_asked(running: &Arc<Running>, mut reload: impl AsyncFnMut()) -> Infallible {
    loop {
        reload().await;
        health::tell_reloading();
        let reloading = Arc::clone(running);
        if spawn_blocking(move || reloading.reload()).await.is_err() {
            log::error!("the reload broke down");
        }
        health::tell(&[NotifyState::Ready]);
    }
}

/// The parts, in the order of the data.
struct Running {
    schedule: Schedule,
    /// Replaced at a reload, so that whatever it has read is read again.
    checker: Arc<Mutex<Arc<Checker>>>,
    intake: Intake,
    setup: Setup,
    reporter: Arc<Reporter>,
    /// None while the outbox can't be opened.
    delivery: Mutex<Option<Delivery>>,
    periodic: Mutex<Periodic>,
    reloads: Reloads,
    http: Option<SocketAddr>,
    health: Arc<Health>,
    watchdog: Watchdog,
    /// A reload has not been reported.
    reloaded: AtomicBool,
    /// The outbox's directory does not tell the monitors yet that run.
    unkept: AtomicBool,
}

struct Periodic {
    clock: JumpWatch,
    /// The clock jumped, and the new epoch has not begun.
    jumped: bool,
    reported: Instant,
    lists: Lists,
    gaps: Gaps,
    full: bool,
}

impl Running {
    fn start(config: Config) -> Result<Running, RunError> {
        publish::check(&config.kafka).map_err(RunError::Kafka)?;
        let (intake, setup) = (Intake::default(), Setup::new(&config));
        let reporter = Arc::new(Reporter::new(&config));
        let mut clock = JumpWatch::new();
        clock.look();
        let delivery = match Delivery::open(&setup, &intake, &reporter, clock.seen()) {
            Ok(delivery) => Some(delivery),
            Err(RunError::Outbox(error)) if error.may_pass() => {
                log::error!("{error}; checks go on, results wait in memory, and it is tried again");
                None
            }
            Err(error) => return Err(error),
        };
        let checker = Arc::new(Mutex::new(Arc::new(Checker::new()?)));
        let (reloads, http, health) = (Reloads::new(&config), config.http, Arc::new(Health::default()));
        let monitors: Vec<_> = config.monitors.into_iter().map(Arc::new).collect();
        let run = {
            let (agent, intake, checker) = (config.agent.name.clone(), intake.clone(), checker.clone());
            let health = health.clone();
            move |monitor: &Monitor, scheduled_at: Timestamp| {
                let checker = checker.lock().clone();
                let result = checker.check(monitor, scheduled_at);
                health.checked(result.outcome);
                keep(&intake, &agent, result);
            }
        };
        let schedule = Schedule::start(&config.agent.name, monitors, config.workers, Arc::new(run));
        let (reported, gaps) = (Instant::now(), Gaps::default());
        let lists = Lists::said(reported);
        let running = Running {
            schedule,
            checker,
            intake,
            setup,
            reporter,
            delivery: Mutex::new(delivery),
            periodic: Mutex::new(Periodic { clock, jumped: false, reported, lists, gaps, full: false }),
            reloads,
            http,
            health,
            watchdog: Watchdog::from_environment(),
            reloaded: AtomicBool::new(false),
            unkept: AtomicBool::new(true),
        };
        // Before the first tick, so that the metrics are whole from the first answer on.
        running.saw(running.delivery().as_ref());
        Ok(running)
    }

    fn delivery(&self) -> MutexGuard<'_, Option<Delivery>> {
        self.delivery.lock()
    }

    /// How long a stop may take: as long as the slowest check, and the last attempts to keep and to publish.
    fn patience(&self) -> Duration {
        self.reloads.slowest() + 2 * (LAST_DRAIN + LAST_REPORT)
    }

    /// Fails when a part has ended by itself.
    fn tick(&self) -> Result<(), RunError> {
        let mut periodic = self.periodic.lock();
        periodic.jumped |= periodic.clock.look();
        let clock = periodic.clock.seen();
        periodic.gaps.tell(self.schedule.missed());
        self.reloads.remind();
        let mut delivery = self.delivery();
        let Some(delivery) = &mut *delivery else {
            match Delivery::open(&self.setup, &self.intake, &self.reporter, clock) {
                Ok(opened) => {
                    log::warn!(waiting = self.intake.len(); "the outbox is open");
                    *delivery = Some(opened);
                    periodic.jumped = false;
                }
                Err(RunError::Outbox(error)) if error.may_pass() => {
                    log::debug!("{error}");
                    self.saw(None);
                }
                Err(error) => return Err(error),
            }
            return Ok(());
        };
        if let Some(broken) = delivery.broken() {
            return Err(RunError::BrokeDown(broken));
        }
        self.saw(Some(delivery));
        self.mind_the_bound(delivery, &mut periodic);
        self.keep_monitors();
        if delivery.is_settled(clock) {
            let now = Instant::now();
            if delivery.outbox().take_list_lost() {
                periodic.lists.may_be_lost(Why::Dropped);
            }
            if delivery.take_is_back() {
                periodic.lists.may_be_lost(Why::Reconnected);
            }
            if std::mem::take(&mut periodic.jumped) {
                periodic.lists = Lists::said(now);
                delivery.begin_epoch(clock);
            } else if self.reloaded.swap(false, Ordering::Relaxed) {
                periodic.lists = Lists::said(now);
                delivery.report_reload(&self.schedule.missed(), clock);
            } else if let Some(why) = periodic.lists.take_due(now, delivery.trouble().is_some()) {
                why.tell();
                delivery.report_again(&self.schedule.missed(), clock);
            } else if periodic.reported.elapsed() >= REPORT_EVERY {
                periodic.reported = Instant::now();
                delivery.report(self.schedule.missed(), clock);
            }
        }
        Ok(())
    }

    /// Tells how things are.
    fn saw(&self, delivery: Option<&Delivery>) {
        let mut seen = Seen {
            monitors: self.schedule.len(),
            outbox: delivery.map(Delivery::publish_status),
            in_memory: self.intake.len() as u64,
            thrown_away: self.intake.thrown_away(),
            published: delivery.map_or(0, Delivery::published),
            kafka: delivery.and_then(Delivery::trouble),
            missed: self.schedule.missed(),
            is_reload_refused: self.reloads.is_refused(),
            hangs: None,
        };
        seen.hangs = self.watchdog.look(Look {
            waiting: seen.in_memory > 0,
            position: seen.outbox.as_ref().map_or(0, |outbox| outbox.position),
            is_refused: seen.is_refused(),
            slots: self.health.checks() + seen.missed.values().sum::<u64>(),
            slot_within: self.reloads.slot_within(),
        });
        self.health.saw(seen);
    }

    /// Has the outbox's directory, which is open, tell the monitors that run, so that their ids stay over a restart.
    fn keep_monitors(&self) {
        if !self.unkept.swap(false, Ordering::Relaxed) {
            return;
        }
        let known = Known::of(self.schedule.monitors().iter().map(AsRef::as_ref));
        if let Err(error) = known.keep(self.setup.outbox()) {
            log::debug!(error:%; "the list of monitors is not kept: trying again");
            self.unkept.store(true, Ordering::Relaxed);
        }
    }

    /// With the policy `pause`, no checks are made while the outbox has no room for their results.
    fn mind_the_bound(&self, delivery: &Delivery, periodic: &mut Periodic) {
        let full = !delivery.outbox().has_room();
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

    /// No new checks, running ones end, a last attempt to publish, a last report that says what is left.
    fn stop(&self) {
        if let Some(delivery) = &*self.delivery() {
            // Or the stop would wait for a disk that refuses.
            delivery.outbox().hurry();
        }
        self.checker.lock().stop();
        self.reloads.stop_earlier();
        self.schedule.stop();
        let delivery = self.delivery().take();
        let Some(delivery) = delivery else {
            log::error!(lost = self.intake.len() as u64 + self.intake.thrown_away(); "the agent has stopped; results are lost: the disk refused them");
            return;
        };
        // Before the flush, which may last: what is due ends with the checks, and the missed slots are counted until then.
        let (ended, missed) = (Timestamp::now(), self.schedule.missed());
        let clock = self.periodic.lock().clock.seen();
        let pending = delivery.stop(ended, missed, clock);
        log::info!(pending; "the agent has stopped");
    }
}

/// Hands a result to the outbox. There is no check without a result, so one that is too large goes without its tags.
fn keep(intake: &Intake, agent: &str, mut result: CheckResult) {
    let payload = wire::payload(agent, &Content::Result(Box::new(result.clone())));
    match intake.keep(payload) {
        Ok(()) => {}
        Err(AppendError::TooLarge(bytes)) => {
            log::error!(monitor = result.monitor.as_str(), bytes; "a result is too large: it goes without tags and pattern");
            (result.tags, result.pattern) = Default::default();
            if let Err(error) = intake.keep(wire::payload(agent, &Content::Result(Box::new(result)))) {
                log::error!(error:%; "a result is lost");
            }
        }
        Err(error @ (AppendError::Stopped | AppendError::TimedOut)) => log::error!(error:%; "a result is lost"),
    }
}
