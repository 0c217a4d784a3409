//! What is due when, and the worker threads that do it.
//!
//! ```text
//! clock ─▶ grid: which slots are due ─▶ plan: may it start, or is it missed and why ─▶ run(monitor, slot)
//!            └ phases: spread evenly      └ lanes: who may have a worker
//! ```
//!
//! Each monitor has an exact grid of slots that neither drifts nor follows jumps of the wall clock. A slot is
//! filled by one check, or it is missed and counted with a reason; `plan` has the rules. The threads that make
//! the checks watch the clock themselves, by turns; `worker_pool` has who does what.
//!
//! Monitors can be [replaced](Schedule::replace) while all this goes on; those that stay notice nothing of it.

mod clock;
mod grid;
mod lanes;
mod missed;
mod monitor_table;
mod phases;
mod plan;
#[cfg(test)]
mod tests;
mod worker_pool;

use parking_lot::{Condvar, Mutex, MutexGuard};

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Monitor;
use clock::{Clock, Sleep, Wall};
use grid::{Moment, Slots};
use missed::Missed;
use monitor_table::MonitorTable;
use phases::phases;
use plan::Plan;
use worker_pool::{Call, Rest, STACK, Waker, WorkerPool};

/// How long a thread waits to be called.
const IDLE: Duration = Duration::from_secs(30);

/// Runs one check; the time is its slot's.
type Run = dyn Fn(&Monitor, Timestamp) + Send + Sync;

/// A running schedule. It stops when dropped.
pub struct Schedule {
    agent: String,
    /// When it began, since the Unix epoch by the wall clock as it was then: all grids hang on it.
    began: Duration,
    engine: Arc<Engine>,
}

/// What [`Schedule::replace`] has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Monitors that were not there before.
    pub added: usize,
    /// Monitors that are there no more.
    pub removed: usize,
    /// Monitors that have other options; of a secret it is not known whether it is another.
    pub changed: usize,
}

struct Engine {
    run: Arc<Run>,
    clock: Clock,
    idle: Duration,
    state: Mutex<State>,
    ended: Condvar,
}

struct State {
    monitor_table: MonitorTable,
    plan: Plan,
    worker_pool: WorkerPool,
    wall: Wall,
    sleep: Sleep,
    stopping: bool,
    /// No thread could be made when one was needed, and none since.
    refused: bool,
}

/// A check to make.
struct Task {
    index: usize,
    monitor: Arc<Monitor>,
    scheduled_at: Timestamp,
}

/// A monitor with its place in the grid.
struct Place {
    monitor: Arc<Monitor>,
    phase: Duration,
    /// It is new, or has other options.
    renewed: bool,
}

impl Schedule {
    /// Starts to fill the monitors' slots, with at most `workers` checks at once. `run` is called in a worker thread
    /// with the monitor and its slot's time by the wall clock, never twice at once for one monitor.
    ///
    /// # Panics
    /// When no thread can be made at all.
    pub fn start(agent: &str, monitors: Vec<Arc<Monitor>>, workers: usize, run: Arc<Run>) -> Schedule {
        Schedule::start_with(agent, monitors, workers, run, IDLE)
    }

    fn start_with(agent: &str, monitors: Vec<Arc<Monitor>>, workers: usize, run: Arc<Run>, idle: Duration) -> Schedule {
        let wall = Wall::new(Timestamp::now());
        let began = wall.since_epoch();
        let (monitor_table, plan, worker_pool, sleep) =
            (MonitorTable::default(), Plan::new(workers), WorkerPool::new(workers), Sleep::new());
        let state =
            Mutex::new(State { monitor_table, plan, worker_pool, wall, sleep, stopping: false, refused: false });
        let engine = Arc::new(Engine { run, clock: Clock::start(), idle, state, ended: Condvar::new() });
        let schedule = Schedule { agent: agent.into(), began, engine };
        schedule.replace(monitors, workers);
        let first = schedule.engine.locked().call_for_next(schedule.engine.clock.now());
        first.map_or(Ok(()), |call| schedule.engine.answer(call)).expect("a thread for the schedule can be made");
        schedule
    }

    /// From now on these are the monitors, and this many checks are made at once; for one caller at a time. A monitor whose
    /// id stays keeps its grid (unless its interval is another), a check that runs, and its place among those that wait.
    /// Checks of monitors that go are not cut off.
    pub fn replace(&self, monitors: Vec<Arc<Monitor>>, workers: usize) -> Changes {
        let phases = phases(&self.agent, monitors.iter().map(|monitor| (monitor.id.as_str(), monitor.interval)));
        let here = self.monitors().into_iter().map(|monitor| (monitor.id.clone(), monitor));
        let mut before: HashMap<String, Arc<Monitor>> = here.collect();
        let mut changes = Changes::default();
        // All that takes long comes before checks have to wait for it.
        let places = monitors.into_iter().zip(phases).map(|(monitor, phase)| {
            let renewed = match before.remove(&monitor.id) {
                None => {
                    changes.added += 1;
                    true
                }
                Some(old) => {
                    let changed = old != monitor;
                    changes.changed += usize::from(changed);
                    changed
                }
            };
            Place { monitor, phase, renewed }
        });
        let places: Vec<Place> = places.collect();
        changes.removed = before.len();

        let mut state = self.engine.locked();
        let now = self.engine.clock.now();
        state.advance(now);
        for id in before.keys() {
            state.remove(id);
        }
        for place in places {
            state.place(place, now, self.began);
        }
        state.plan.resize(workers);
        state.plan.reschedule();
        state.worker_pool.resize(workers);
        // Anyone who watches does so for slots that may be others now.
        for waker in state.worker_pool.all() {
            waker.notify_one();
        }
        changes
    }

    /// The monitors, as they are now.
    pub fn monitors(&self) -> Vec<Arc<Monitor>> {
        self.engine.locked().monitor_table.all().cloned().collect()
    }

    /// How many monitors there are.
    #[expect(clippy::len_without_is_empty, reason = "no caller asks")]
    pub fn len(&self) -> usize {
        self.engine.locked().monitor_table.all().count()
    }

    /// Starts no new checks until [`resume`](Schedule::resume); the slots are missed.
    pub fn pause(&self) {
        self.engine.locked().plan.hold(Missed::Paused);
    }

    /// Fills slots again.
    pub fn resume(&self) {
        let mut state = self.engine.locked();
        // What passed until now was paused, even if no one has looked at the clock meanwhile.
        state.advance(self.engine.clock.now());
        if !state.stopping {
            state.plan.release();
        }
    }

    /// Slots without a check since the start, by reason: `overlap`, `no_worker`, `late`, `suspended`, `paused`,
    /// `stopped`.
    pub fn missed(&self) -> BTreeMap<String, u64> {
        let mut state = self.engine.locked();
        if state.stopping {
            // No one else looks at the clock any more.
            state.advance(self.engine.clock.now());
        }
        state.plan.missed()
    }

    /// Starts no new checks, and returns when those that run have ended.
    pub fn stop(&self) {
        let mut state = self.engine.locked();
        state.stopping = true;
        state.plan.hold(Missed::Stopped);
        for waker in state.worker_pool.all() {
            waker.notify_one();
        }
        while state.worker_pool.threads() > 0 {
            self.engine.ended.wait(&mut state);
        }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Engine {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A thread's life: it makes the checks that may start, and rests when there are none.
    fn live(self: &Arc<Engine>, waker: &Waker) {
        let mut state = self.locked();
        state.worker_pool.wake(waker);
        state.refused = false;
        let mut is_spare = false;
        loop {
            let now = self.clock.now();
            state.advance(now);
            if let Some(task) = state.next_task(now) {
                let call = state.call_for_next(now);
                drop(state);
                self.help(call);
                state = self.work(&task);
                continue;
            }
            if state.stopping {
                state.worker_pool.leave(waker);
                break;
            }
            let next = state.plan.next_dues();
            let patience = match state.worker_pool.rest(waker, next, now, is_spare) {
                Rest::Watch(until) => until.saturating_sub(self.clock.now()),
                Rest::Idle => self.idle,
                Rest::End => break,
            };
            let waited = waker.wait_for(&mut state, patience);
            is_spare = state.worker_pool.wake(waker) && waited.timed_out();
        }
        self.ended.notify_all();
    }

    /// One check.
    fn work(&self, task: &Task) -> MutexGuard<'_, State> {
        let began = self.clock.now();
        if catch_unwind(AssertUnwindSafe(|| (self.run)(&task.monitor, task.scheduled_at))).is_err() {
            log::error!(monitor = task.monitor.id.as_str(); "a check broke down");
        }
        let took = self.clock.now().saturating_sub(began);
        let mut state = self.locked();
        let left = state.plan.finished(task.index, took);
        state.forget(task.index, left);
        state
    }

    /// Without the thread that could not be made checks go on, in those that there are.
    fn help(self: &Arc<Engine>, call: Option<Call>) {
        let made = call.map_or(Ok(()), |call| self.answer(call));
        if let Err(error) = made {
            let mut state = self.locked();
            let threads = state.worker_pool.threads();
            if !std::mem::replace(&mut state.refused, true) {
                log::error!(error:%, threads; "no more worker threads can be made: checks wait");
            }
        }
    }

    /// Wakes who was called, or makes it.
    fn answer(self: &Arc<Engine>, call: Call) -> io::Result<()> {
        let waker = match call {
            Call::Ring(waker) => {
                waker.notify_one();
                return Ok(());
            }
            Call::Make(waker) => waker,
        };
        let (engine, its_bell) = (self.clone(), waker.clone());
        let made = thread::Builder::new().name("worker".into()).stack_size(STACK).spawn(move || engine.live(&its_bell));
        match made {
            Ok(_) => Ok(()),
            Err(error) => {
                self.locked().worker_pool.leave(&waker);
                Err(error)
            }
        }
    }
}

impl State {
    fn advance(&mut self, now: Moment) {
        let overdue = match self.sleep.look() {
            Some(slept) => {
                log::warn!(seconds = slept.as_secs(); "the machine slept: nothing was checked meanwhile");
                Missed::Suspended
            }
            None => Missed::Late,
        };
        self.plan.advance(now, overdue);
    }

    fn next_task(&mut self, now: Moment) -> Option<Task> {
        if self.stopping {
            return None;
        }
        let start = self.plan.start(now)?;
        let monitor = self.monitor_table.get(start.monitor)?.clone();
        Some(Task { index: start.monitor, monitor, scheduled_at: self.wall.name(start.slot, now, Timestamp::now()) })
    }

    /// Anyone who begins a check sees to it that somebody looks at the clock when there is more to do.
    fn call_for_next(&mut self, now: Moment) -> Option<Call> {
        let [next, _] = self.plan.next_dues();
        let at = if self.plan.is_open() { now } else { next };
        self.worker_pool.call(at, now)
    }

    fn place(&mut self, place: Place, now: Moment, began: Duration) {
        let Place { monitor, phase, renewed } = place;
        let interval = monitor.interval;
        let restarted = Slots::from(now, phase, interval, began);
        let Some(index) = self.monitor_table.find(&monitor.id) else {
            let index = self.monitor_table.seat(monitor);
            return self.plan.add(index, restarted);
        };
        // One that has not quite left has had no slots meanwhile.
        let stayed = self.monitor_table.get(index).is_some();
        self.monitor_table.replace(index, monitor);
        self.plan.keep(index, renewed, |slots| match stayed && slots.interval() == interval {
            true => slots.shifted(phase, began),
            false => restarted,
        });
    }

    fn remove(&mut self, id: &str) {
        let Some(index) = self.monitor_table.find(id) else { return };
        match self.plan.remove(index) {
            true => self.monitor_table.free(index),
            false => self.monitor_table.leave(index),
        }
    }

    /// A run has ended; its monitor may have been removed meanwhile.
    fn forget(&mut self, index: usize, left: bool) {
        if left {
            self.monitor_table.free(index);
        }
    }
}
