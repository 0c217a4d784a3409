//! The configuration, read again while the agent runs.
//!
//! ```text
//! file ─▶ load ── refused: nothing changes
//!          └▶ keep (what needs a restart; monitors whose entry became faulty) ─▶ checker, schedule, reporter
//! ```
//!
//! A file is taken as a whole or not at all, by the rules of a start. What a reload reads is all that a start reads:
//! included files, variables, secrets, certificates, the system's trust store.

use std::mem;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use settings::{Fault, LogThrottle};

use super::Running;
use crate::check::Checker;
use crate::config::{Config, Fixed, Known};
use crate::publish;

const REFUSED: &str = "the configuration is refused";

/// What reloads have to know, and how the last one went.
pub(super) struct Reloads {
    file: PathBuf,
    fixed: Fixed,
    /// Never locked while a file is read, which may take long.
    state: Mutex<State>,
}

struct State {
    slowest: Duration,
    /// The quickest monitor's interval; none when there is no monitor.
    quickest: Option<Duration>,
    /// The last reload was refused.
    is_refused: bool,
    /// When that is said again.
    log: LogThrottle,
    /// Checkers that were replaced, as long as a check runs with them.
    earlier: Vec<Weak<Checker>>,
}

impl Reloads {
    pub(super) fn new(config: &Config) -> Reloads {
        let (slowest, quickest) = (slowest(config), quickest(config));
        let (log, earlier) = (LogThrottle::default(), Vec::new());
        let state = Mutex::new(State { slowest, quickest, is_refused: false, log, earlier });
        Reloads { file: config.file.clone(), fixed: config.fixed(), state }
    }

    /// The longest timeout of all monitors that ran: one that was removed may still have its check.
    pub(super) fn slowest(&self) -> Duration {
        self.state.lock().slowest
    }

    /// How long it may take until a slot has ended: two intervals of the quickest monitor, since one may begin again at
    /// a reload, and the slowest check. None when there is no monitor.
    pub(super) fn slot_within(&self) -> Option<Duration> {
        let state = self.state.lock();
        state.quickest.map(|interval| 2 * interval + state.slowest)
    }

    /// Whether the last reload was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.state.lock().is_refused
    }

    /// Says from time to time that the last reload was refused.
    pub(super) fn remind(&self) {
        let mut state = self.state.lock();
        if state.is_refused && state.log.happened(REFUSED, 1, Instant::now()).is_some() {
            log::error!("{REFUSED}: the agent goes on with what it had before");
        }
    }

    /// What still runs as it was configured before is not tried again either: the agent stops.
    pub(super) fn stop_earlier(&self) {
        self.state.lock().earlier.iter().filter_map(Weak::upgrade).for_each(|checker| checker.stop());
    }

    fn taken(&self, config: &Config, earlier: &Arc<Checker>) {
        let mut state = self.state.lock();
        state.earlier.retain(|checker| checker.strong_count() > 0);
        state.earlier.push(Arc::downgrade(earlier));
        state.slowest = state.slowest.max(slowest(config));
        state.quickest = quickest(config);
        (state.is_refused, state.log) = (false, LogThrottle::default());
    }
}

impl Running {
    /// Reads the configuration again, and runs with it if it is sound; for one caller at a time.
    pub(super) fn reload(&self) {
        log::info!("the configuration is read again");
        if let Err(problems) = self.try_reload() {
            problems.iter().for_each(|problem| log::error!("{problem}"));
            {
                let mut state = self.reloads.state.lock();
                (state.is_refused, state.log) = (true, LogThrottle::default());
            }
            self.reloads.remind();
        }
    }

    fn try_reload(&self) -> Result<(), Vec<String>> {
        let known = Known::of(self.schedule.monitors().iter().map(AsRef::as_ref));
        let mut config =
            Config::load_after(&self.reloads.file, Some(known)).map_err(|refused| texts(&refused.faults))?;
        publish::check(&config.kafka).map_err(|problem| vec![format!("kafka: {problem}")])?;
        let checker = Checker::new().map_err(|error| vec![error.to_string()])?;
        let kept = config.keep(&self.reloads.fixed, &self.schedule.monitors());

        config.log_faults();
        config.log_changes();
        for id in &kept.monitors {
            log::warn!(monitor = id.as_str(); "its entry is faulty now: the monitor goes on as it was, until a restart");
        }
        for option in &kept.options {
            log::warn!(option = option.as_str(); "it changes with a restart only: the agent goes on with the old value");
        }

        let earlier = mem::replace(&mut *self.checker.lock(), Arc::new(checker));
        self.reloads.taken(&config, &earlier);
        self.reporter.runs(&config);
        let revision = config.revision;
        let monitors: Vec<_> = config.monitors.into_iter().map(Arc::new).collect();
        let count = monitors.len();
        let changes = self.schedule.replace(monitors, config.workers);
        self.reloaded.store(true, Ordering::Relaxed);
        self.unkept.store(true, Ordering::Relaxed);
        log::info!(
            monitors = count, added = changes.added, removed = changes.removed, changed = changes.changed,
            revision = revision.as_str();
            "the agent runs with the new configuration"
        );
        Ok(())
    }
}

fn texts(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(Fault::to_string).collect()
}

fn slowest(config: &Config) -> Duration {
    config.monitors.iter().map(|monitor| monitor.timeout).max().unwrap_or_default()
}

fn quickest(config: &Config) -> Option<Duration> {
    config.monitors.iter().map(|monitor| monitor.interval).min()
}
