//! What the polling and the writing thread know of each other: a slot for one batch, what is done, and the
//! generation of the group's assignment.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::batch::Batch;

#[derive(Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    generation: u64,
    slot: Option<(u64, Batch)>,
    is_writing: bool,
    /// For each partition the offset that comes after what is stored; of this generation.
    done: BTreeMap<i32, i64>,
    /// The assignment is about to end: nothing new is begun, and nobody waits for a database.
    is_ending: bool,
    is_closed: bool,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation of the assignment.
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Puts a batch into the slot; gives it back while the slot is taken.
    pub(super) fn hand_over(&self, generation: u64, batch: Batch) -> Result<(), Batch> {
        let mut state = self.lock();
        if state.slot.is_some() || state.is_ending {
            return Err(batch);
        }
        state.slot = Some((generation, batch));
        self.changed.notify_all();
        Ok(())
    }

    /// Whether a batch waits in the slot.
    #[cfg(test)]
    pub(super) fn has_batch(&self) -> bool {
        self.lock().slot.is_some()
    }

    /// Waits until the slot is free, for so long at most.
    pub(super) fn wait_for_room(&self, longest: Duration) {
        drop(self.wait(self.lock(), longest, |state| state.slot.is_none()));
    }

    /// The next batch to write, when it comes; `None` at the end.
    pub(super) fn next(&self) -> Option<(u64, Batch)> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some((generation, batch)) = state.slot.take() {
                self.changed.notify_all();
                if generation == state.generation && !state.is_ending {
                    state.is_writing = true;
                    return Some((generation, batch));
                }
                continue;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether nobody waits for a batch of this generation any more.
    pub(super) fn is_over(&self, generation: u64) -> bool {
        let state = self.lock();
        state.is_ending || state.generation != generation
    }

    /// Whether all writing is to end.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// The batch was stored up to these offsets, or not.
    pub(super) fn written(&self, generation: u64, ends: Option<&BTreeMap<i32, i64>>) {
        let mut state = self.lock();
        state.is_writing = false;
        if let Some(ends) = ends
            && generation == state.generation
        {
            state.done.extend(ends);
        }
        self.changed.notify_all();
    }

    /// What was stored since the last time.
    pub(super) fn take_done(&self) -> BTreeMap<i32, i64> {
        std::mem::take(&mut self.lock().done)
    }

    /// Ends the generation: waits shortly for what is being written, lets `commit` have what is done, and forgets
    /// the rest.
    pub(super) fn end_generation(&self, longest: Duration, commit: impl FnOnce(BTreeMap<i32, i64>)) {
        let mut state = self.lock();
        state.is_ending = true;
        state.slot = None;
        self.changed.notify_all();
        let mut state = self.wait(state, longest, |state| !state.is_writing);
        let done = std::mem::take(&mut state.done);
        state.generation += 1;
        drop(state);
        commit(done);
        let mut state = self.lock();
        state.is_ending = state.is_closed;
        self.changed.notify_all();
    }

    /// Ends all writing.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_ending = true;
        state.is_closed = true;
        state.slot = None;
        self.changed.notify_all();
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        longest: Duration,
        until: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let began = Instant::now();
        while !until(&state) {
            let left = longest.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn ends(offset: i64) -> BTreeMap<i32, i64> {
        BTreeMap::from([(0, offset)])
    }

    #[test]
    fn the_slot_takes_one_batch_until_it_is_taken() {
        let progress = Progress::default();
        assert!(progress.hand_over(0, Batch::default()).is_ok());
        assert!(progress.hand_over(0, Batch::default()).is_err());
        assert!(progress.next().is_some());
        assert!(progress.hand_over(0, Batch::default()).is_ok());
    }

    #[test]
    fn what_is_done_is_taken_once() {
        let progress = Progress::default();
        progress.written(0, Some(&ends(5)));
        progress.written(0, None);
        assert_eq!(progress.take_done(), ends(5));
        assert!(progress.take_done().is_empty());
    }

    #[test]
    fn the_end_of_a_generation_commits_what_is_done_and_forgets_the_rest() {
        let progress = Progress::default();
        progress.written(0, Some(&ends(5)));
        assert!(progress.hand_over(0, Batch::default()).is_ok());
        let mut committed = BTreeMap::new();
        progress.end_generation(LONG, |done| committed = done);
        assert_eq!(committed, ends(5));
        assert_eq!(progress.generation(), 1);
        assert!(progress.is_over(0) && !progress.is_over(1));
        progress.written(0, Some(&ends(9)));
        assert!(progress.take_done().is_empty(), "a batch of an old generation is not committed in the new one");
        assert!(progress.hand_over(1, Batch::default()).is_ok(), "the slot was emptied");
    }

    #[test]
    fn the_end_of_a_generation_waits_for_what_is_being_written() {
        let progress = Progress::default();
        assert!(progress.hand_over(0, Batch::default()).is_ok());
        assert!(progress.next().is_some());
        std::thread::scope(|scope| {
            let ending = scope.spawn(|| {
                let mut committed = BTreeMap::new();
                progress.end_generation(LONG, |done| committed = done);
                committed
            });
            while !progress.is_over(0) {
                std::thread::yield_now();
            }
            progress.written(0, Some(&ends(3)));
            assert_eq!(ending.join().unwrap(), ends(3));
        });
    }

    #[test]
    fn a_closed_progress_has_no_next_batch_and_keeps_what_is_done() {
        let progress = Progress::default();
        assert!(progress.hand_over(0, Batch::default()).is_ok());
        progress.written(0, Some(&ends(4)));
        progress.close();
        assert!(progress.next().is_none());
        assert_eq!(progress.take_done(), ends(4));
    }
}
