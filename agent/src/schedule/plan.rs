//! What may start when: the rules of the schedule, without clocks and threads.
//!
//! ```text
//!          due                    a worker is free
//! slots ────────▶ waiting (lane) ──────────────────▶ running ──▶ finished
//!   │ overlap, late, paused        │ no_worker, paused
//!   └────────────▶ missed ◀────────┘
//! ```
//!
//! A slot that is due waits for a free worker in one of two lanes, and not longer than [`PATIENCE`] or half its
//! interval: a check much after its slot would be no measurement of that time. The slow lane is for monitors whose last
//! run took more than [`SLOW_FROM`]; it may have at most half of the workers, so that sites which hang can't keep the
//! others waiting.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use super::grid::{Moment, Slots};

/// Longest time that a slot is started late.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A run that takes longer makes its monitor a slow one, until a run is faster.
pub(super) const SLOW_FROM: Duration = Duration::from_secs(1);

/// Why a slot had no check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Missed {
    /// The monitor's last check was still running.
    Overlap,
    /// All workers, or all that its lane may have, were busy.
    NoWorker,
    /// The schedule could not run then: the machine slept, or the process was stopped.
    Late,
    /// The schedule was paused.
    Paused,
}

impl Missed {
    /// The reason's word, as in reports.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Missed::Overlap => "overlap",
            Missed::NoWorker => "no_worker",
            Missed::Late => "late",
            Missed::Paused => "paused",
        }
    }
}

/// A slot whose check may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// Which monitor, by its index.
    pub(super) monitor: usize,
    /// The slot.
    pub(super) slot: Moment,
}

/// The state of a schedule.
pub(super) struct Plan {
    tracks: Vec<Track>,
    due: BinaryHeap<Reverse<(Moment, usize)>>,
    lanes: [Lane; 2],
    workers: usize,
    missed: BTreeMap<Missed, u64>,
    paused: bool,
}

struct Track {
    slots: Slots,
    state: State,
    lane: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Waiting,
    Running,
}

/// Slots that wait, in the order in which they became due, and how many of the lane's checks run.
struct Lane {
    waiting: VecDeque<Start>,
    running: usize,
    most: usize,
}

const FAST: usize = 0;
const SLOW: usize = 1;

impl Plan {
    /// A plan for these monitors, with so many workers.
    pub(super) fn new(slots: Vec<Slots>, workers: usize) -> Plan {
        let workers = workers.max(1);
        let due = slots.iter().enumerate().map(|(index, slots)| Reverse((slots.next(), index))).collect();
        let tracks = slots.into_iter().map(|slots| Track { slots, state: State::Idle, lane: FAST }).collect();
        let lane = |most| Lane { waiting: VecDeque::new(), running: 0, most };
        let lanes = [lane(workers), lane((workers / 2).max(1))];
        Plan { tracks, due, lanes, workers, missed: BTreeMap::new(), paused: false }
    }

    /// When the plan has to be looked at again, unless a check ends before.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.peek().map(|Reverse((moment, _))| *moment)
    }

    /// Takes note of the slots that are due.
    pub(super) fn advance(&mut self, now: Moment) {
        while let Some(Reverse((moment, monitor))) = self.due.peek().copied() {
            if moment > now {
                break;
            }
            self.due.pop();
            self.take_slots(monitor, now);
            self.due.push(Reverse((self.tracks[monitor].slots.next(), monitor)));
        }
    }

    fn take_slots(&mut self, monitor: usize, now: Moment) {
        let track = &mut self.tracks[monitor];
        let Some(due) = track.slots.take_due(now) else { return };
        let (state, lane) = (track.state, track.lane);
        let in_time = now - due.slot <= patience(track.slots.interval());
        if self.paused {
            self.miss(Missed::Paused, due.earlier + 1);
            return;
        }
        self.miss(Missed::Late, due.earlier);
        if state == State::Running {
            self.miss(Missed::Overlap, 1);
            return;
        }
        if state == State::Waiting {
            // Its turn did not come within an interval.
            self.lanes[lane].waiting.retain(|waiting| waiting.monitor != monitor);
            self.tracks[monitor].state = State::Idle;
            self.miss(Missed::NoWorker, 1);
        }
        if in_time {
            self.tracks[monitor].state = State::Waiting;
            self.lanes[lane].waiting.push_back(Start { monitor, slot: due.slot });
        } else {
            self.miss(Missed::Late, 1);
        }
    }

    /// The next slot whose check may start, if a worker is free for it.
    pub(super) fn start(&mut self, now: Moment) -> Option<Start> {
        for lane in [FAST, SLOW] {
            self.expire(lane, now);
        }
        if self.running() >= self.workers {
            return None;
        }
        let open = |lane: &usize| {
            let lane = &self.lanes[*lane];
            lane.running < lane.most && !lane.waiting.is_empty()
        };
        let lane = [FAST, SLOW].into_iter().filter(open).min_by_key(|lane| self.lanes[*lane].waiting[0].slot)?;
        let start = self.lanes[lane].waiting.pop_front()?;
        self.lanes[lane].running += 1;
        self.tracks[start.monitor].state = State::Running;
        Some(start)
    }

    fn expire(&mut self, lane: usize, now: Moment) {
        while let Some(first) = self.lanes[lane].waiting.front().copied() {
            let patience = patience(self.tracks[first.monitor].slots.interval());
            if now.saturating_sub(first.slot) <= patience {
                break;
            }
            self.lanes[lane].waiting.pop_front();
            self.tracks[first.monitor].state = State::Idle;
            self.miss(Missed::NoWorker, 1);
        }
    }

    /// A check ended.
    pub(super) fn finished(&mut self, monitor: usize, took: Duration) {
        let track = &mut self.tracks[monitor];
        self.lanes[track.lane].running -= 1;
        track.state = State::Idle;
        track.lane = if took > SLOW_FROM { SLOW } else { FAST };
    }

    /// A check that was to start could not.
    pub(super) fn failed_to_start(&mut self, monitor: usize) {
        let track = &mut self.tracks[monitor];
        self.lanes[track.lane].running -= 1;
        track.state = State::Idle;
        self.miss(Missed::NoWorker, 1);
    }

    /// From now on slots are missed.
    pub(super) fn pause(&mut self) {
        self.paused = true;
        for lane in [FAST, SLOW] {
            for waiting in std::mem::take(&mut self.lanes[lane].waiting) {
                self.tracks[waiting.monitor].state = State::Idle;
                self.miss(Missed::Paused, 1);
            }
        }
    }

    /// From now on slots are filled again.
    pub(super) fn resume(&mut self) {
        self.paused = false;
    }

    /// How many checks run.
    pub(super) fn running(&self) -> usize {
        self.lanes.iter().map(|lane| lane.running).sum()
    }

    /// Slots without a check, by reason.
    pub(super) fn missed(&self) -> BTreeMap<String, u64> {
        self.missed.iter().map(|(reason, count)| (reason.as_str().to_owned(), *count)).collect()
    }

    fn miss(&mut self, reason: Missed, slots: u64) {
        if slots > 0 {
            *self.missed.entry(reason).or_default() += slots;
        }
    }
}

/// How late a slot may start.
fn patience(interval: Duration) -> Duration {
    PATIENCE.min(interval / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const FAST_RUN: Duration = Duration::from_millis(10);
    const SLOW_RUN: Duration = Duration::from_secs(3);

    /// Monitors with an interval of 10 s whose slots are all at the same time.
    fn plan(monitors: usize, workers: usize) -> Plan {
        Plan::new(vec![Slots::new(Duration::ZERO, 10 * SECOND, Duration::ZERO); monitors], workers)
    }

    /// All monitors that may start at `now`.
    fn starts(plan: &mut Plan, now: Moment) -> Vec<usize> {
        plan.advance(now);
        std::iter::from_fn(|| plan.start(now)).map(|start| start.monitor).collect()
    }

    fn missed(plan: &Plan, reason: &str) -> u64 {
        plan.missed().get(reason).copied().unwrap_or(0)
    }

    #[test]
    fn each_slot_starts_once_when_it_is_due() {
        let mut plan = plan(1, 4);
        for slot in 0..3 {
            let due = slot * 10 * SECOND;
            assert_eq!(plan.next_due(), Some(due));
            assert_eq!(starts(&mut plan, due), [0]);
            assert_eq!(starts(&mut plan, due), [] as [usize; 0]);
            plan.finished(0, FAST_RUN);
            assert_eq!(starts(&mut plan, due + 9 * SECOND), [] as [usize; 0]);
        }
        assert!(plan.missed().is_empty());
    }

    #[test]
    fn a_monitor_that_still_runs_misses_its_slot_as_overlap() {
        let mut plan = plan(1, 4);
        assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
        assert_eq!(starts(&mut plan, 10 * SECOND), [] as [usize; 0]);
        assert_eq!(missed(&plan, "overlap"), 1);
        plan.finished(0, SLOW_RUN);
        assert_eq!(starts(&mut plan, 20 * SECOND), [0]);
    }

    #[test]
    fn a_slot_waits_for_a_worker_but_not_for_ever() {
        let mut plan = plan(3, 1);
        assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
        plan.finished(0, FAST_RUN);
        assert_eq!(starts(&mut plan, SECOND), [1], "the next takes the worker, a little late");
        plan.finished(1, SLOW_RUN);
        assert_eq!(starts(&mut plan, 6 * SECOND), [] as [usize; 0], "too late for the third");
        assert_eq!(missed(&plan, "no_worker"), 1);
        assert_eq!(starts(&mut plan, 10 * SECOND).len(), 1);
    }

    #[test]
    fn slots_that_passed_while_nothing_ran_are_late_and_counted_one_by_one() {
        let mut plan = plan(1, 4);
        assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
        plan.finished(0, FAST_RUN);
        assert_eq!(starts(&mut plan, 58 * SECOND), [] as [usize; 0]);
        assert_eq!(missed(&plan, "late"), 5, "10, 20, 30, 40, and 50, which is more than 5 s ago");
        assert_eq!(starts(&mut plan, 82 * SECOND), [0], "60 and 70 passed, 80 is not too late");
        assert_eq!(missed(&plan, "late"), 7);
    }

    #[test]
    fn while_paused_slots_are_missed_also_those_that_waited() {
        let mut plan = plan(2, 1);
        assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
        plan.pause();
        plan.finished(0, FAST_RUN);
        assert_eq!(starts(&mut plan, Duration::ZERO), [] as [usize; 0]);
        assert_eq!(starts(&mut plan, 10 * SECOND), [] as [usize; 0]);
        assert_eq!(missed(&plan, "paused"), 3);
        plan.resume();
        assert_eq!(starts(&mut plan, 20 * SECOND), [0]);
    }

    #[test]
    fn slow_monitors_have_at_most_half_of_the_workers() {
        let mut plan = plan(6, 4);
        for round in 0..2 {
            let now = round * 10 * SECOND;
            for _ in 0..6 {
                for monitor in starts(&mut plan, now) {
                    // Monitors 0 to 3 hang, 4 and 5 don't.
                    plan.finished(monitor, if monitor < 4 { SLOW_RUN } else { FAST_RUN });
                }
            }
        }
        let mut running = starts(&mut plan, 20 * SECOND);
        running.sort_unstable();
        assert_eq!(running, [0, 1, 4, 5], "two of those that hang, and both of the others");
        plan.finished(4, FAST_RUN);
        assert_eq!(starts(&mut plan, 20 * SECOND), [] as [usize; 0], "the free worker is kept for fast ones");
        plan.finished(0, FAST_RUN);
        assert_eq!(starts(&mut plan, 20 * SECOND), [2], "the next slow one may come");
        plan.finished(5, FAST_RUN);
        assert_eq!(starts(&mut plan, 30 * SECOND), [0, 4], "0 was fast, so it may have the other workers again");
    }

    #[test]
    fn one_worker_serves_slow_monitors_too() {
        let mut plan = plan(1, 1);
        for slot in 0..3 {
            assert_eq!(starts(&mut plan, slot * 10 * SECOND), [0]);
            plan.finished(0, SLOW_RUN);
        }
    }

    #[test]
    fn a_check_that_could_not_start_is_missed_and_its_worker_is_free_again() {
        let mut plan = plan(1, 1);
        assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
        plan.failed_to_start(0);
        assert_eq!(missed(&plan, "no_worker"), 1);
        assert_eq!(starts(&mut plan, 10 * SECOND), [0]);
    }
}
