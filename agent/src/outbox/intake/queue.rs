//! What waits for the committer, in memory.
//!
//! Two lines: what somebody waits for an answer to, and results that are simply to be kept. Anyone who brings a result
//! never waits, so that no disk delays a check; while the disk refuses, results beyond a bound are thrown away, the
//! oldest first, and counted, so that the committer can declare them once the disk takes records again.
//!
//! A commit costs as much CPU as several checks. So results alone are committed at most once in [`PACE`]: a lone one at
//! once, those that follow it closely together. Meanwhile the journal has them, too.

use crate::outbox::disk::frame::PAYLOAD;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::answer::{Asker, Pending, Rounds};
use super::append::{AppendError, Opening};
use crate::config::Sync;
use crate::outbox::disk::journal::{Journal, Turns, Unwritten};

/// Most records of one commit.
const GROUP: usize = 4_096;
/// Least time between commits of results that no one waits for, unless there are [`MANY`].
const PACE: Duration = Duration::from_millis(100);
const MANY: usize = 1_024;
/// Most records that somebody waits for; anyone who appends more waits for room.
const ASKED: usize = 16_384;
/// Most results that wait, and most bytes of them.
const KEPT: Bound = Bound { records: 16_384, bytes: 16 * 1024 * 1024 };

pub(in crate::outbox) type Opener = Box<dyn FnOnce(Opening) -> Vec<u8> + Send>;

pub(in crate::outbox) enum Request {
    Append(Vec<u8>, Asker),
    BeginEpoch(Opener, Asker),
}

/// What the committer does next.
#[derive(Default)]
pub(in crate::outbox) struct Work {
    pub(in crate::outbox) asked: Vec<Request>,
    pub(in crate::outbox) kept: Vec<Vec<u8>>,
    /// The ordinal of the last of them.
    pub(in crate::outbox) ordinal: u64,
    /// How many results before these were thrown away.
    pub(in crate::outbox) thrown_away: u64,
    /// Everything was acknowledged.
    pub(in crate::outbox) drained: bool,
    /// A reader met damage.
    pub(in crate::outbox) damaged: bool,
}

#[derive(Clone, Copy)]
struct Bound {
    records: usize,
    bytes: usize,
}

/// Takes results before there is an outbox and while its disk refuses. Clones are the same one.
#[derive(Clone, Default)]
pub struct Intake {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    room: Condvar,
}

#[derive(Default)]
struct Waiting {
    asked: VecDeque<Request>,
    rounds: Rounds,
    kept: VecDeque<Vec<u8>>,
    kept_bytes: usize,
    /// The ordinal of the last result that was handed in.
    ordinal: u64,
    journal: Option<Turns>,
    /// Taken by the committer, which holds them until the disk takes them.
    taken: usize,
    thrown_away: u64,
    /// When results were last taken.
    kept_at: Option<Instant>,
    sync_always: bool,
    drained: bool,
    damaged: bool,
    /// The committer waits without a moment at which it looks by itself, and is to be woken.
    asleep: bool,
    impatient: bool,
    stopping: bool,
    stopped: bool,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("waiting", &self.len()).finish()
    }
}

impl Intake {
    /// Takes a record that is to be durable soon. Never waits.
    ///
    /// # Errors
    /// When the record is too large, or the outbox has stopped.
    pub fn keep(&self, payload: Vec<u8>) -> Result<(), AppendError> {
        self.keep_within(payload, KEPT)
    }

    fn keep_within(&self, payload: Vec<u8>, bound: Bound) -> Result<(), AppendError> {
        if payload.len() > PAYLOAD {
            return Err(AppendError::TooLarge(payload.len()));
        }
        let mut waiting = self.waiting();
        if waiting.stopped {
            return Err(AppendError::Stopped);
        }
        let unwritten = waiting.number(&payload);
        while waiting.kept.len() >= bound.records || waiting.kept_bytes + payload.len() > bound.bytes {
            let Some(oldest) = waiting.kept.pop_front() else { break };
            waiting.kept_bytes -= oldest.len();
            waiting.thrown_away += 1;
        }
        waiting.kept_bytes += payload.len();
        waiting.kept.push_back(payload);
        // Each wake that is not needed costs more than a check's share of the commit.
        if std::mem::take(&mut waiting.asleep) || waiting.kept.len() == MANY {
            self.inner.changed.notify_one();
        }
        drop(waiting);
        if let Some(unwritten) = unwritten {
            unwritten.write();
        }
        Ok(())
    }

    /// From now on results are written to a journal while they wait, beginning with those that wait already. The first of
    /// them is the one after an ordinal.
    pub(in crate::outbox) fn attach(&self, journal: Journal, ordinal: u64, sync: Sync) {
        let mut waiting = self.waiting();
        let mut turns = Turns::new(journal, ordinal);
        let kept = (ordinal + 1..).zip(&waiting.kept);
        let unwritten: Vec<Unwritten> = kept.map(|(ordinal, payload)| turns.take(ordinal, payload)).collect();
        waiting.ordinal = ordinal + unwritten.len() as u64;
        waiting.journal = Some(turns);
        waiting.sync_always = sync == Sync::Always;
        drop(waiting);
        unwritten.into_iter().for_each(Unwritten::write);
    }

    /// How many records wait.
    pub fn len(&self) -> usize {
        let waiting = self.waiting();
        waiting.asked.len() + waiting.kept.len() + waiting.taken
    }

    /// Waits until all that waits is durable, or given up; whether that came in time.
    pub(in crate::outbox) fn wait_until_empty(&self, patience: Duration) -> bool {
        let is_busy = |waiting: &Waiting| !waiting.asked.is_empty() || !waiting.kept.is_empty() || waiting.taken > 0;
        let mut waiting = self.waiting();
        self.inner.room.wait_while_for(&mut waiting, |waiting| is_busy(waiting), patience);
        !is_busy(&waiting)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many results were thrown away and are not declared yet.
    pub fn thrown_away(&self) -> u64 {
        self.waiting().thrown_away
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.inner.waiting.lock()
    }

    /// Takes a request that is to be answered. Waits while too many wait already.
    pub(in crate::outbox) fn ask(&self, request: impl FnOnce(Asker) -> Request) -> Result<Pending, AppendError> {
        let mut waiting = self.waiting();
        while waiting.asked.len() >= ASKED && !waiting.stopped {
            self.inner.room.wait(&mut waiting);
        }
        if waiting.stopped {
            return Err(AppendError::Stopped);
        }
        let (asker, pending) = waiting.rounds.ask();
        waiting.asked.push_back(request(asker));
        if waiting.asked.len() == 1 {
            self.inner.changed.notify_one();
        }
        Ok(pending)
    }

    /// Says that everything was acknowledged, so that the committer may roll and the space is given back.
    pub(in crate::outbox) fn drained(&self) {
        let mut waiting = self.waiting();
        waiting.drained = true;
        if std::mem::take(&mut waiting.asleep) {
            self.inner.changed.notify_one();
        }
    }

    /// Says that there is a chunk to repair.
    pub(in crate::outbox) fn damaged(&self) {
        self.waiting().damaged = true;
        self.inner.changed.notify_one();
    }

    /// From now on what the disk refuses is answered rather than tried again.
    pub(in crate::outbox) fn hurry(&self) {
        self.waiting().impatient = true;
    }

    pub(in crate::outbox) fn is_impatient(&self) -> bool {
        self.waiting().impatient
    }

    /// Ends the committer once nothing waits.
    pub(in crate::outbox) fn stop(&self) {
        let mut waiting = self.waiting();
        (waiting.impatient, waiting.stopping) = (true, true);
        self.inner.changed.notify_one();
    }

    /// All that waits, up to a group; none when it is time to end. With `patience`, no work when that is over. Results up
    /// to the ordinal `committed` are committed.
    pub(in crate::outbox) fn take(&self, patience: Option<Duration>, committed: u64) -> Option<Work> {
        let mut waiting = self.waiting();
        waiting.taken = 0;
        self.inner.room.notify_all();
        let until = patience.map(|patience| Instant::now() + patience);
        loop {
            let now = Instant::now();
            let due = waiting.due(now);
            if due.is_some_and(|due| due <= now) || until.is_some_and(|until| until <= now) {
                return Some(self.take_now(&mut waiting, committed));
            }
            if waiting.stopping && due.is_none() {
                waiting.stopped = true;
                self.inner.room.notify_all();
                return None;
            }
            // After a group it looks by itself for the next one, so that no one has to wake it twice for that.
            let look = waiting.kept_at.map(|at| at + waiting.pace()).filter(|look| *look > now);
            waiting.asleep = due.is_none() && look.is_none();
            match due.into_iter().chain(until).chain(look).min() {
                None => self.inner.changed.wait(&mut waiting),
                Some(end) => {
                    self.inner.changed.wait_until(&mut waiting, end);
                }
            }
        }
    }

    fn take_now(&self, waiting: &mut Waiting, committed: u64) -> Work {
        waiting.rounds.close();
        let asked = waiting.asked.len().min(GROUP);
        let kept = waiting.kept.len().min(GROUP - asked);
        let work = Work {
            asked: waiting.asked.drain(..asked).collect(),
            kept: waiting.kept.drain(..kept).collect(),
            ordinal: waiting.ordinal - waiting.kept.len() as u64,
            thrown_away: if kept > 0 { std::mem::take(&mut waiting.thrown_away) } else { 0 },
            drained: std::mem::take(&mut waiting.drained),
            damaged: std::mem::take(&mut waiting.damaged),
        };
        if kept > 0 {
            waiting.kept_at = Some(Instant::now());
        }
        waiting.taken = work.asked.len() + work.kept.len();
        waiting.kept_bytes -= work.kept.iter().map(Vec::len).sum::<usize>();
        if waiting.kept.is_empty()
            && let Some(turns) = &mut waiting.journal
        {
            turns.turn(committed);
        }
        self.inner.room.notify_all();
        work
    }
}

impl Waiting {
    /// Numbers a result that is handed in, and prepares it for the journal where there is one.
    fn number(&mut self, payload: &[u8]) -> Option<Unwritten> {
        self.ordinal += 1;
        Some(self.journal.as_mut()?.take(self.ordinal, payload))
    }

    /// The least time between commits of results alone.
    fn pace(&self) -> Duration {
        if self.sync_always { Duration::ZERO } else { PACE }
    }

    /// When the committer is to take what waits; none when nothing does. To give space back is as little urgent as
    /// results.
    fn due(&self, now: Instant) -> Option<Instant> {
        if !self.asked.is_empty() || self.damaged {
            return Some(now);
        }
        if self.kept.is_empty() && !self.drained {
            return None;
        }
        let paced = self.kept_at.map_or(now, |at| at + self.pace());
        Some(if self.stopping || self.kept.len() >= MANY { now } else { paced })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_its_bound_the_oldest_results_are_thrown_away_and_counted() {
        let intake = Intake::default();
        let bound = Bound { records: 3, bytes: 10 };
        for n in 0..5 {
            intake.keep_within(vec![n; 2], bound).unwrap();
        }
        assert_eq!((intake.len(), intake.thrown_away()), (3, 2));
        intake.keep_within(vec![9; 8], bound).unwrap();
        assert_eq!((intake.len(), intake.thrown_away()), (2, 4));
        let work = intake.take(None, 0).unwrap();
        assert_eq!((work.kept, work.ordinal, work.thrown_away), (vec![vec![4; 2], vec![9; 8]], 6, 4));
        assert_eq!((intake.len(), intake.thrown_away()), (2, 0));
        assert!(!intake.wait_until_empty(Duration::ZERO));
        intake.take(Some(Duration::ZERO), 0).unwrap();
        assert!(intake.is_empty() && intake.wait_until_empty(Duration::ZERO));
    }

    #[test]
    fn results_that_follow_closely_are_committed_together_and_a_lone_one_at_once() {
        let now = Instant::now();
        let after =
            |kept: usize| Waiting { kept: vec![Vec::new(); kept].into(), kept_at: Some(now), ..Waiting::default() };
        let lone = Waiting { kept_at: None, ..after(1) };
        assert_eq!(lone.due(now), Some(now));
        assert_eq!(after(1).due(now), Some(now + PACE));
        assert_eq!(after(MANY - 1).due(now), Some(now + PACE));
        assert_eq!(after(MANY).due(now), Some(now));
        assert_eq!(after(0).due(now), None);
        assert_eq!(Waiting { sync_always: true, ..after(1) }.due(now), Some(now));
    }

    #[test]
    fn nothing_else_waits_for_the_pace_of_results() {
        let now = Instant::now();
        let paced = || Waiting { kept: vec![Vec::new()].into(), kept_at: Some(now), ..Waiting::default() };
        assert_eq!(Waiting { stopping: true, ..paced() }.due(now), Some(now));
        assert_eq!(Waiting { drained: true, ..paced() }.due(now), Some(now + PACE));
        assert_eq!(Waiting { damaged: true, ..paced() }.due(now), Some(now));
        let intake = Intake::default();
        intake.keep(Vec::new()).unwrap();
        intake.take(None, 0).unwrap();
        intake.keep(Vec::new()).unwrap();
        let _pending = intake.ask(|asker| Request::Append(Vec::new(), asker)).unwrap();
        let work = intake.take(None, 0).unwrap();
        assert_eq!((work.asked.len(), work.kept.len()), (1, 1));
    }

    #[test]
    fn a_committer_that_looks_by_itself_is_not_woken_by_results() {
        let intake = Intake::default();
        intake.keep(Vec::new()).unwrap();
        intake.take(None, 0).unwrap();
        let taking = std::thread::spawn({
            let intake = intake.clone();
            move || [intake.take(None, 0).unwrap(), intake.take(None, 0).unwrap()].map(|work| work.kept.len())
        });
        intake.keep(Vec::new()).unwrap();
        while !intake.is_empty() {
            std::thread::yield_now();
        }
        while !intake.waiting().asleep {
            std::thread::yield_now();
        }
        intake.keep(Vec::new()).unwrap();
        assert_eq!(taking.join().unwrap(), [1, 1]);
    }

    #[test]
    fn anyone_who_only_looks_for_work_for_a_while_gets_none_when_there_is_none() {
        let work = Intake::default().take(Some(Duration::from_millis(1)), 0).unwrap();
        assert!(work.asked.is_empty() && work.kept.is_empty() && !work.damaged && !work.drained);
    }
}
