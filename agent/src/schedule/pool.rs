//! Worker threads that come when there is work and go when there is none.
//!
//! The thread that became idle last works first: the others stay idle long enough to end, and their stacks leave the
//! memory.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A check needs less than 128 KiB, gzip included.
const STACK: usize = 256 * 1024;

/// How long a thread waits for more work.
const IDLE: Duration = Duration::from_secs(30);

type Work<J> = dyn Fn(J) + Send + Sync;

/// Threads that work on jobs `J`.
pub(super) struct Pool<J> {
    shared: Arc<Shared<J>>,
}

struct Shared<J> {
    work: Box<Work<J>>,
    state: Mutex<State<J>>,
    ended: Condvar,
    idle: Duration,
}

struct State<J> {
    queue: VecDeque<J>,
    /// Idle threads; the last one is called first.
    idle: Vec<Arc<Bell>>,
    threads: usize,
    most: usize,
    closed: bool,
    /// No thread could be made when one was needed.
    refused: bool,
}

/// What an idle thread waits for.
#[derive(Default)]
struct Bell {
    condition: Condvar,
    /// It is meant, and off the list of those that are idle. Changed under the pool's lock.
    rung: AtomicBool,
}

impl<J: Send + 'static> Pool<J> {
    /// A pool of at most so many threads; it has none yet.
    pub(super) fn new(most: usize, work: impl Fn(J) + Send + Sync + 'static) -> Pool<J> {
        Pool::with(most, IDLE, work)
    }

    fn with(most: usize, idle: Duration, work: impl Fn(J) + Send + Sync + 'static) -> Pool<J> {
        let (queue, threads) = (VecDeque::new(), Vec::new());
        let most = most.max(1);
        let state = State { queue, idle: threads, threads: 0, most, closed: false, refused: false };
        let (work, state, ended) = (Box::new(work), Mutex::new(state), Condvar::new());
        Pool { shared: Arc::new(Shared { work, state, ended, idle }) }
    }

    /// Does a job, at once if a thread is free or can be made, else as soon as one is.
    ///
    /// # Errors
    /// When there is no thread at all and none can be made; the job is dropped.
    pub(super) fn run(&self, job: J) -> io::Result<()> {
        let mut state = self.shared.locked();
        if let Some(bell) = state.idle.pop() {
            state.queue.push_back(job);
            bell.rung.store(true, Ordering::Relaxed);
            // The thread will want the lock at once.
            drop(state);
            bell.condition.notify_one();
            return Ok(());
        }
        if state.threads < state.most {
            let shared = self.shared.clone();
            match thread::Builder::new().name("worker".into()).stack_size(STACK).spawn(move || shared.work()) {
                Ok(_) => {
                    state.threads += 1;
                    state.refused = false;
                }
                Err(error) if state.threads == 0 => return Err(error),
                Err(error) if !state.refused => {
                    log::error!(error:%, threads = state.threads; "no more worker threads can be made: checks wait");
                    state.refused = true;
                }
                Err(_) => {}
            }
        }
        state.queue.push_back(job);
        Ok(())
    }

    /// From now on there are at most so many threads. Those that are too many end after what they are doing.
    pub(super) fn resize(&self, most: usize) {
        let mut state = self.shared.locked();
        state.most = most.max(1);
        let spare = state.threads.saturating_sub(state.most).min(state.idle.len());
        for bell in state.idle.drain(..spare) {
            bell.rung.store(true, Ordering::Relaxed);
            bell.condition.notify_one();
        }
    }

    /// Ends all threads, after what they are doing and what is queued.
    pub(super) fn close(&self) {
        let mut state = self.shared.locked();
        state.closed = true;
        for bell in state.idle.drain(..) {
            bell.rung.store(true, Ordering::Relaxed);
            bell.condition.notify_one();
        }
        while state.threads > 0 {
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<J> Shared<J> {
    fn locked(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life.
    fn work(&self) {
        let bell = Arc::new(Bell::default());
        while let Some(job) = self.next(&bell) {
            (self.work)(job);
        }
    }

    /// The next job. None ends the thread, which is then no longer counted.
    fn next(&self, bell: &Arc<Bell>) -> Option<J> {
        let mut state = self.locked();
        let mut patient = true;
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            if state.closed || !patient || state.threads > state.most {
                state.threads -= 1;
                self.ended.notify_all();
                return None;
            }
            state.idle.push(bell.clone());
            let waited;
            (state, waited) = bell.condition.wait_timeout(state, self.idle).unwrap_or_else(PoisonError::into_inner);
            if !bell.rung.swap(false, Ordering::Relaxed) {
                state.idle.retain(|idle| !Arc::ptr_eq(idle, bell));
                patient = !waited.timed_out();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    type Job = Box<dyn FnOnce() + Send>;

    fn pool(most: usize, idle: Duration) -> Pool<Job> {
        Pool::with(most, idle, |job: Job| job())
    }

    fn threads(pool: &Pool<Job>) -> usize {
        pool.shared.locked().threads
    }

    #[test]
    fn the_pool_grows_with_the_work_to_its_bound_and_queues_the_rest() {
        let pool = pool(2, IDLE);
        let (ended, ends) = channel();
        let gates: Vec<_> = (0..3)
            .map(|job| {
                let (open, gate) = channel::<()>();
                let ended = ended.clone();
                let work = move || {
                    gate.recv().ok();
                    ended.send(job).ok();
                };
                pool.run(Box::new(work)).unwrap();
                open
            })
            .collect();
        assert_eq!(threads(&pool), 2);
        drop(gates);
        let mut jobs: Vec<i32> = ends.iter().take(3).collect();
        jobs.sort_unstable();
        assert_eq!(jobs, [0, 1, 2]);
        pool.close();
        assert_eq!(threads(&pool), 0);
    }

    #[test]
    fn threads_without_work_end_and_new_ones_come_with_new_work() {
        let pool = pool(4, Duration::ZERO);
        for _ in 0..3 {
            let (ended, ends) = channel();
            pool.run(Box::new(move || ended.send(()).unwrap())).unwrap();
            ends.recv().unwrap();
            let mut state = pool.shared.locked();
            while state.threads > 0 {
                state = pool.shared.ended.wait(state).unwrap();
            }
        }
    }

    #[test]
    fn closing_waits_for_what_runs_and_for_what_is_queued() {
        let pool = pool(1, IDLE);
        let (ended, ends) = channel();
        for job in 0..5 {
            let ended = ended.clone();
            pool.run(Box::new(move || ended.send(job).unwrap())).unwrap();
        }
        pool.close();
        assert_eq!(ends.try_iter().collect::<Vec<i32>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_pool_that_is_made_smaller_loses_the_threads_that_are_too_many_and_grows_again() {
        let pool = pool(3, IDLE);
        let busy = |count: usize| {
            let gates: Vec<_> = (0..count).map(|_| channel::<()>()).collect();
            let (began, begins) = channel();
            let open: Vec<_> = gates
                .into_iter()
                .map(|(open, gate)| {
                    let began = began.clone();
                    let job = move || {
                        began.send(()).ok();
                        gate.recv().ok();
                    };
                    pool.run(Box::new(job)).unwrap();
                    open
                })
                .collect();
            (open, begins)
        };
        let (open, begins) = busy(3);
        assert_eq!(begins.iter().take(3).count(), 3);
        pool.resize(1);
        drop(open);
        let mut state = pool.shared.locked();
        while state.threads > 1 {
            state = pool.shared.ended.wait(state).unwrap();
        }
        drop(state);
        pool.resize(2);
        let (open, begins) = busy(2);
        assert_eq!(begins.iter().take(2).count(), 2);
        pool.resize(1);
        drop(open);
        pool.close();
    }
}
