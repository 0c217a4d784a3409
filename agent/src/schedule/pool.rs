//! Worker threads that come when there is work and go when there is none.
//!
//! The thread that became idle last works first: the others stay idle long enough to end, and their stacks leave the
//! memory.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A check needs less than 128 KiB, gzip included.
const STACK: usize = 256 * 1024;

/// How long a thread waits for more work.
const IDLE: Duration = Duration::from_secs(30);

type Job = Box<dyn FnOnce() + Send>;

/// The threads.
pub(super) struct Pool {
    shared: Arc<Shared>,
    most: usize,
}

struct Shared {
    state: Mutex<State>,
    ended: Condvar,
    idle: Duration,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// What idle threads wait on; the last one is called first.
    idle: Vec<Arc<Condvar>>,
    threads: usize,
    closed: bool,
}

impl Pool {
    /// A pool of at most so many threads; it has none yet.
    pub(super) fn new(most: usize) -> Pool {
        Pool::with(most, IDLE)
    }

    fn with(most: usize, idle: Duration) -> Pool {
        Pool { shared: Arc::new(Shared { state: Mutex::default(), ended: Condvar::new(), idle }), most: most.max(1) }
    }

    /// Runs a job, at once if a thread is free or can be made, else as soon as one is.
    ///
    /// # Errors
    /// When there is no thread at all and none can be made; the job is dropped.
    pub(super) fn run(&self, job: Job) -> io::Result<()> {
        let mut state = self.shared.locked();
        if let Some(thread) = state.idle.pop() {
            thread.notify_one();
        } else if state.threads < self.most {
            let shared = self.shared.clone();
            match thread::Builder::new().name("worker".into()).stack_size(STACK).spawn(move || shared.work()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(error),
                Err(_) => {}
            }
        }
        state.queue.push_back(job);
        Ok(())
    }

    /// Ends all threads, after what they are doing and what is queued.
    pub(super) fn close(&self) {
        let mut state = self.shared.locked();
        state.closed = true;
        for thread in state.idle.drain(..) {
            thread.notify_one();
        }
        while state.threads > 0 {
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life.
    fn work(&self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    /// The next job. None ends the thread, which is then no longer counted.
    fn next(&self) -> Option<Job> {
        let mut state = self.locked();
        let mut patient = true;
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            if state.closed || !patient {
                state.threads -= 1;
                self.ended.notify_all();
                return None;
            }
            let me = Arc::new(Condvar::new());
            state.idle.push(me.clone());
            let uncalled = |state: &mut State| state.idle.iter().any(|thread| Arc::ptr_eq(thread, &me));
            (state, _) = me.wait_timeout_while(state, self.idle, uncalled).unwrap_or_else(PoisonError::into_inner);
            patient = !uncalled(&mut state);
            state.idle.retain(|thread| !Arc::ptr_eq(thread, &me));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn threads(pool: &Pool) -> usize {
        pool.shared.locked().threads
    }

    #[test]
    fn the_pool_grows_with_the_work_to_its_bound_and_queues_the_rest() {
        let pool = Pool::new(2);
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
        let pool = Pool::with(4, Duration::ZERO);
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
        let pool = Pool::new(1);
        let (ended, ends) = channel();
        for job in 0..5 {
            let ended = ended.clone();
            pool.run(Box::new(move || ended.send(job).unwrap())).unwrap();
        }
        pool.close();
        assert_eq!(ends.try_iter().collect::<Vec<i32>>(), [0, 1, 2, 3, 4]);
    }
}
