//! The threads of a schedule: each watches the clock itself for the slot that it will fill.
//!
//! ```text
//!          the moment has come, or it is called             nothing more may start
//! watching ─────────────────────────────────────▶ working ─────────────────────────▶ watching, if fewer than two do
//!    ▲                                                                          ├──▶ idle
//!    └───────────────── called ◀── idle ──▶ ends after a while                  └──▶ ends, if threads are too many
//! ```
//!
//! To wake a thread costs more than the schedule does otherwise, so none is woken for a check: one thread watches for
//! the next slot, a second one for the slot after it. Anyone who begins a check leaves the other one watching, and is
//! mostly back before that one's slot is due. Only when no one would look at the clock in time is somebody called: the
//! thread that became idle last, so that the others stay idle long enough to end and their stacks leave the memory.
//!
//! There is one thread more than there may be checks at once: somebody watches even while all checks hang.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Condvar;

use super::grid::Moment;

/// A check needs less than 128 KiB, gzip included.
pub(super) const STACK: usize = 256 * 1024;
/// How many watch at once.
const WATCHERS: usize = 2;
/// Longest sleep of a thread that watches the clock. A condition's own clock stands still while the machine sleeps.
const LOOK: Duration = Duration::from_secs(1);

/// What a thread waits for.
pub(super) type Waker = Arc<Condvar>;

/// Who does what; threads that work are only counted.
pub(super) struct WorkerPool {
    watching: Vec<Watch>,
    /// The last one is called first.
    idle: Vec<Waker>,
    threads: usize,
    /// Most checks at once.
    workers: usize,
}

struct Watch {
    until: Moment,
    waker: Waker,
}

/// What a thread does that has no check to make.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Watches the clock until then.
    Watch(Moment),
    /// Waits to be called.
    Idle,
    /// Ends; it is counted no more.
    End,
}

/// Who is to look at the clock besides.
pub(super) enum Call {
    /// A thread that rests.
    Ring(Waker),
    /// A new thread, which is counted already.
    Make(Waker),
}

impl WorkerPool {
    /// A pool without threads, for this many checks at once.
    pub(super) fn new(workers: usize) -> WorkerPool {
        WorkerPool { watching: Vec::new(), idle: Vec::new(), threads: 0, workers: workers.max(1) }
    }

    /// From now on there are this many checks at once. Threads that are too many end when they rest, or are
    /// [called](Crew::all).
    pub(super) fn resize(&mut self, workers: usize) {
        self.workers = workers.max(1);
    }

    /// Has somebody look at the clock at a moment, now or later; none when somebody will.
    pub(super) fn call(&mut self, at: Moment, now: Moment) -> Option<Call> {
        if self.is_watched(at) {
            return None;
        }
        if let Some(watch) = self.watching.first_mut() {
            watch.until = now;
            return Some(Call::Ring(watch.waker.clone()));
        }
        let (call, waker) = match self.idle.pop() {
            Some(waker) => (Call::Ring(waker.clone()), waker),
            None if self.threads > self.workers => return None,
            None => {
                self.threads += 1;
                let waker = Waker::default();
                (Call::Make(waker.clone()), waker)
            }
        };
        self.watching.push(Watch { until: now, waker });
        Some(call)
    }

    /// A thread has no check to make; slots are due at these moments next. One that is `spare` ends if it can.
    pub(super) fn rest(&mut self, waker: &Waker, [first, second]: [Moment; 2], now: Moment, spare: bool) -> Rest {
        let is_watched = self.is_watched(first);
        if is_watched && (spare || self.threads > self.workers + 1) {
            self.threads -= 1;
            return Rest::End;
        }
        if is_watched && self.watching.len() >= WATCHERS {
            self.idle.push(waker.clone());
            return Rest::Idle;
        }
        let until = if is_watched { second } else { first }.min(now + LOOK);
        self.watching.push(Watch { until, waker: waker.clone() });
        Rest::Watch(until)
    }

    /// A thread rests no more. Whether it was idle until now.
    pub(super) fn wake(&mut self, waker: &Waker) -> bool {
        self.watching.retain(|watch| !Arc::ptr_eq(&watch.waker, waker));
        let before = self.idle.len();
        self.idle.retain(|idle| !Arc::ptr_eq(idle, waker));
        self.idle.len() < before
    }

    /// A thread has ended, or could not be made.
    pub(super) fn leave(&mut self, waker: &Waker) {
        self.wake(waker);
        self.threads -= 1;
    }

    /// All that rest.
    pub(super) fn all(&self) -> impl Iterator<Item = &Waker> {
        self.watching.iter().map(|watch| &watch.waker).chain(&self.idle)
    }

    /// How many threads there are.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    fn is_watched(&self, at: Moment) -> bool {
        self.watching.iter().any(|watch| watch.until <= at)
    }
}
