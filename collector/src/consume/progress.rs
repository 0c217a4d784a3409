//! The state that the polling thread and the writing threads share: a slot for one task of each writer, what is done,
//! and the generation of the group's assignment. A generation begins with the question from where its partitions are
//! read. Its batches come after that.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::batch::Batch;
use crate::position::{Log, Positions, Start, Written};

/// A task for a writer.
#[derive(Debug)]
pub(super) enum Task {
    /// Find from where these partitions are to be read. They belong to this writer from then on.
    Locate(Log, Vec<i32>),
    /// Store a batch.
    Write(Batch),
}

pub(super) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    generation: u64,
    writers: Vec<Writer>,
    /// The offset after what is stored, for each partition, in this generation.
    done: Positions,
    /// The answers of this generation, by writer.
    located: BTreeMap<usize, Start>,
    /// Whether a writer found in this generation that the database is not where it was left.
    is_moved: bool,
    /// Whether the assignment is about to end. Then nothing new is begun, and no thread waits for a database.
    is_ending: bool,
    is_closed: bool,
}

#[derive(Default)]
struct Writer {
    slot: Option<(u64, Task)>,
    is_writing: bool,
}

impl Writer {
    fn is_idle(&self) -> bool {
        self.slot.is_none() && !self.is_writing
    }
}

impl Progress {
    /// Creates the state for this number of writers.
    pub(super) fn new(writers: usize) -> Progress {
        let writers = (0..writers).map(|_| Writer::default()).collect();
        Progress { state: Mutex::new(State { writers, ..State::default() }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Returns the generation of the assignment.
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Puts a batch into the slot of a writer that has nothing to do, and gives it back while the writer is busy. So a
    /// writer and the gathering of its next batch need two batches in memory, not three.
    pub(super) fn hand_over(&self, writer: usize, generation: u64, batch: Batch) -> Result<(), Batch> {
        let mut state = self.lock();
        if !state.writers[writer].is_idle() || state.is_ending {
            return Err(batch);
        }
        state.writers[writer].slot = Some((generation, Task::Write(batch)));
        self.changed.notify_all();
        Ok(())
    }

    /// Asks a writer from where these partitions are to be read, and returns whether the writer had time for that.
    pub(super) fn ask(&self, writer: usize, generation: u64, log: &Log, partitions: &[i32]) -> bool {
        let mut state = self.lock();
        let is_asked = state.writers[writer].is_idle() && !state.is_ending;
        if is_asked {
            state.writers[writer].slot = Some((generation, Task::Locate(log.clone(), partitions.to_vec())));
            self.changed.notify_all();
        }
        is_asked
    }

    /// Takes a writer's answer to that question. It is none when the writer gave up.
    pub(super) fn located(&self, writer: usize, generation: u64, start: Option<Start>) {
        let mut state = self.lock();
        state.writers[writer].is_writing = false;
        if let Some(start) = start
            && generation == state.generation
        {
            state.located.insert(writer, start);
        }
        self.changed.notify_all();
    }

    /// Returns the answers of this number of writers, once all are there.
    pub(super) fn starts(&self, writers: usize) -> Option<Vec<Start>> {
        let state = self.lock();
        (state.located.len() == writers).then(|| state.located.values().cloned().collect())
    }

    /// Forgets the answers.
    pub(super) fn forget_starts(&self) {
        self.lock().located.clear();
    }

    /// Returns whether the database is not where it was left.
    pub(super) fn is_moved(&self) -> bool {
        self.lock().is_moved
    }

    /// Returns whether a task waits in a writer's slot.
    #[cfg(test)]
    pub(super) fn has_task(&self, writer: usize) -> bool {
        self.lock().writers[writer].slot.is_some()
    }

    /// Waits until a writer has nothing to do, for this time at most.
    pub(super) fn wait_for_room(&self, writer: usize, longest: Duration) {
        drop(self.wait(self.lock(), longest, |state| state.writers[writer].is_idle()));
    }

    /// Waits for the next task of a writer and returns it. It returns `None` at the end.
    pub(super) fn next(&self, writer: usize) -> Option<(u64, Task)> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some((generation, task)) = state.writers[writer].slot.take() {
                self.changed.notify_all();
                if generation == state.generation && !state.is_ending {
                    state.writers[writer].is_writing = true;
                    return Some((generation, task));
                }
                continue;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Returns whether no thread waits for a batch of this generation any more.
    pub(super) fn is_over(&self, generation: u64) -> bool {
        let state = self.lock();
        state.is_ending || state.generation != generation
    }

    /// Returns whether all writing is to end.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Notes the outcome of a writer's batch, which goes up to these positions.
    pub(super) fn written(&self, writer: usize, generation: u64, written: Written, ends: &Positions) {
        let mut state = self.lock();
        state.writers[writer].is_writing = false;
        if generation == state.generation {
            match written {
                Written::Stored => state.done.extend(ends),
                Written::Moved => state.is_moved = true,
                Written::GivenUp => {}
            }
        }
        self.changed.notify_all();
    }

    /// Returns what was stored since the last call.
    pub(super) fn take_done(&self) -> Positions {
        std::mem::take(&mut self.lock().done)
    }

    /// Ends the generation: waits for what is being written, for this time at most, passes what is done to `commit`,
    /// and forgets the rest.
    pub(super) fn end_generation(&self, longest: Duration, commit: impl FnOnce(Positions)) {
        let mut state = self.lock();
        state.is_ending = true;
        state.empty_slots();
        self.changed.notify_all();
        let mut state = self.wait(state, longest, |state| !state.writers.iter().any(|writer| writer.is_writing));
        let done = std::mem::take(&mut state.done);
        state.generation += 1;
        state.located.clear();
        state.is_moved = false;
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
        state.empty_slots();
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
            self.changed.wait_for(&mut state, left);
        }
        state
    }
}

impl State {
    fn empty_slots(&mut self) {
        self.writers.iter_mut().for_each(|writer| writer.slot = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;

    const LONG: Duration = Duration::from_secs(60);

    fn ends(next: i64) -> Positions {
        BTreeMap::from([(0, Position { next, leader_epoch: None })])
    }

    #[test]
    fn a_writer_takes_one_batch_until_it_is_written() {
        let progress = Progress::new(1);
        assert!(progress.hand_over(0, 0, Batch::default()).is_ok());
        assert!(progress.hand_over(0, 0, Batch::default()).is_err());
        assert!(progress.next(0).is_some());
        assert!(progress.hand_over(0, 0, Batch::default()).is_err());
        progress.written(0, 0, Written::GivenUp, &ends(4));
        assert!(progress.hand_over(0, 0, Batch::default()).is_ok());
    }

    #[test]
    fn what_is_done_is_taken_once() {
        let progress = Progress::new(1);
        progress.written(0, 0, Written::Stored, &ends(5));
        progress.written(0, 0, Written::GivenUp, &ends(4));
        assert_eq!(progress.take_done(), ends(5));
        assert!(progress.take_done().is_empty());
    }

    #[test]
    fn the_end_of_a_generation_commits_what_is_done_and_forgets_the_rest() {
        let progress = Progress::new(1);
        progress.written(0, 0, Written::Stored, &ends(5));
        assert!(progress.hand_over(0, 0, Batch::default()).is_ok());
        let mut committed = Positions::new();
        progress.end_generation(LONG, |done| committed = done);
        assert_eq!(committed, ends(5));
        assert_eq!(progress.generation(), 1);
        assert!(progress.is_over(0) && !progress.is_over(1));
        progress.written(0, 0, Written::Stored, &ends(9));
        assert!(progress.take_done().is_empty(), "a batch of an old generation is not committed in the new one");
        assert!(progress.hand_over(0, 1, Batch::default()).is_ok(), "the slot was emptied");
    }

    #[test]
    fn the_end_of_a_generation_waits_for_what_is_being_written() {
        let progress = Progress::new(1);
        assert!(progress.hand_over(0, 0, Batch::default()).is_ok());
        assert!(progress.next(0).is_some());
        std::thread::scope(|scope| {
            let ending = scope.spawn(|| {
                let mut committed = Positions::new();
                progress.end_generation(LONG, |done| committed = done);
                committed
            });
            while !progress.is_over(0) {
                std::thread::yield_now();
            }
            progress.written(0, 0, Written::Stored, &ends(3));
            assert_eq!(ending.join().unwrap(), ends(3));
        });
    }

    #[test]
    fn a_closed_progress_has_no_next_batch_and_keeps_what_is_done() {
        let progress = Progress::new(1);
        assert!(progress.hand_over(0, 0, Batch::default()).is_ok());
        progress.written(0, 0, Written::Stored, &ends(4));
        progress.close();
        assert!(progress.next(0).is_none());
        assert_eq!(progress.take_done(), ends(4));
    }

    #[test]
    fn writers_have_slots_of_their_own_and_the_end_of_a_generation_waits_for_all() {
        let progress = Progress::new(2);
        assert!((0..2).all(|writer| progress.hand_over(writer, 0, Batch::default()).is_ok()));
        assert!((0..2).all(|writer| progress.next(writer).is_some()));
        progress.written(0, 0, Written::Stored, &ends(5));
        let mut committed = Positions::new();
        progress.end_generation(Duration::ZERO, |done| committed = done);
        assert_eq!(committed, ends(5), "the other one takes too long");
        progress.written(1, 0, Written::Stored, &ends(3));
        assert!(progress.take_done().is_empty());
    }

    #[test]
    fn a_generation_knows_where_it_begins_once_all_writers_have_said_so() {
        let progress = Progress::new(2);
        let start = |next| Start { database: uuid::Uuid::nil(), positions: ends(next) };
        assert!(progress.ask(0, 0, &Log::default(), &[0]) && progress.ask(1, 0, &Log::default(), &[1]));
        assert!(!progress.ask(0, 0, &Log::default(), &[0]), "it is asked already");
        assert!((0..2).all(|writer| matches!(progress.next(writer), Some((0, Task::Locate(..))))));
        progress.located(0, 0, Some(start(3)));
        assert_eq!(progress.starts(2), None);
        progress.located(1, 0, Some(start(4)));
        assert_eq!(progress.starts(2), Some(vec![start(3), start(4)]));
        progress.written(0, 0, Written::Moved, &ends(9));
        assert!(progress.is_moved() && progress.take_done().is_empty());
        progress.end_generation(Duration::ZERO, drop);
        assert!(!progress.is_moved() && progress.starts(2).is_none());
    }
}
