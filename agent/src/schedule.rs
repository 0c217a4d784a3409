//! What is due when, and the worker threads that do it.
//!
//! ```text
//! clock ─▶ grid: which slots are due ─▶ plan: may it start, or is it missed and why ─▶ pool ─▶ run(monitor, slot)
//! ```
//!
//! Each monitor has an exact grid of slots that neither drifts nor follows jumps of the wall clock. A slot is
//! filled by one check, or it is missed and counted with a reason; `plan` has the rules. One thread watches
//! the clock; a worker that ends a check takes the next slot that waits, without a way over that thread.

mod clock;
mod grid;
mod plan;
mod pool;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Monitor;
use clock::{Clock, Wall};
use grid::{Moment, Slots, phase};
use plan::{Plan, Start};
use pool::Pool;

/// Longest sleep of the thread that watches the clock. A condition's own clock stands still while the machine sleeps.
const LOOK: Duration = Duration::from_secs(1);

/// Runs one check; the time is its slot's.
type Run = dyn Fn(&Monitor, Timestamp) + Send + Sync;

/// A running schedule. It stops when dropped.
pub struct Schedule {
    shared: Arc<Shared>,
    watch: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    monitors: Vec<Arc<Monitor>>,
    run: Arc<Run>,
    clock: Clock,
    pool: Pool,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    plan: Plan,
    wall: Wall,
    stopping: bool,
}

/// A check to make.
struct Task {
    start: Start,
    scheduled_at: Timestamp,
}

impl Schedule {
    /// Starts to fill the monitors' slots, with at most `workers` checks at once. `run` is called in a worker thread
    /// with the monitor and its slot's time by the wall clock, never twice at once for one monitor.
    ///
    /// # Panics
    /// When no thread can be made at all.
    pub fn start(agent: &str, monitors: Vec<Arc<Monitor>>, workers: usize, run: Arc<Run>) -> Schedule {
        let (clock, wall) = (Clock::start(), Wall::new(Timestamp::now()));
        let slots = |monitor: &Arc<Monitor>| {
            Slots::new(phase(agent, &monitor.id, monitor.interval), monitor.interval, wall.since_epoch())
        };
        let plan = Plan::new(monitors.iter().map(slots).collect(), workers);
        let state = Mutex::new(State { plan, wall, stopping: false });
        let pool = Pool::new(workers);
        let shared = Arc::new(Shared { monitors, run, clock, pool, state, changed: Condvar::new() });
        let watching = shared.clone();
        let watch = thread::Builder::new().name("schedule".into()).spawn(move || watching.watch());
        Schedule { shared, watch: Mutex::new(Some(watch.expect("a thread for the schedule can be made"))) }
    }

    /// Starts no new checks until [`resume`](Schedule::resume); the slots are missed.
    pub fn pause(&self) {
        self.shared.locked().plan.pause();
    }

    /// Fills slots again.
    pub fn resume(&self) {
        let mut state = self.shared.locked();
        // What passed until now was paused, even if nobody has looked at the clock meanwhile.
        state.plan.advance(self.shared.clock.now());
        state.plan.resume();
    }

    /// Slots without a check since the start, by reason: `overlap`, `no_worker`, `late`, `paused`.
    pub fn missed(&self) -> BTreeMap<String, u64> {
        self.shared.locked().plan.missed()
    }

    /// Starts no new checks, and returns when those that run have ended.
    pub fn stop(&self) {
        self.shared.locked().stopping = true;
        self.shared.changed.notify_all();
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        if watch.is_some_and(|watch| watch.join().is_err()) {
            log::error!("the schedule's thread broke down");
        }
        self.shared.pool.close();
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the clock and hands out what is due.
    fn watch(self: Arc<Shared>) {
        let mut state = self.locked();
        while !state.stopping {
            let now = self.clock.now();
            state.plan.advance(now);
            while let Some(task) = state.next_task(now) {
                self.hand_out(&mut state, task);
            }
            let next = state.plan.next_due().map(|due| due.saturating_sub(self.clock.now()));
            let sleep = next.unwrap_or(LOOK).min(LOOK);
            (state, _) = self.changed.wait_timeout(state, sleep).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn hand_out(self: &Arc<Shared>, state: &mut State, task: Task) {
        let monitor = task.start.monitor;
        let shared = self.clone();
        if let Err(error) = self.pool.run(Box::new(move || shared.work(task))) {
            log::error!(error:%; "no worker thread can be made");
            state.plan.failed_to_start(monitor);
        }
    }

    /// A worker's job: one check, and then whatever waits for a worker.
    fn work(&self, task: Task) {
        let mut next = Some(task);
        while let Some(task) = next {
            let monitor = &self.monitors[task.start.monitor];
            let began = self.clock.now();
            if catch_unwind(AssertUnwindSafe(|| (self.run)(monitor, task.scheduled_at))).is_err() {
                log::error!(monitor = monitor.id.as_str(); "a check broke down");
            }
            let now = self.clock.now();
            let mut state = self.locked();
            state.plan.finished(task.start.monitor, now.saturating_sub(began));
            next = state.next_task(now);
        }
    }
}

impl State {
    fn next_task(&mut self, now: Moment) -> Option<Task> {
        if self.stopping {
            return None;
        }
        let start = self.plan.start(now)?;
        Some(Task { start, scheduled_at: self.wall.name(start.slot, now, Timestamp::now()) })
    }
}
