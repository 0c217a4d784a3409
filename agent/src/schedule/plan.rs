//! What may start when: the rules of the schedule, without clocks and threads.
//!
//! ```text
//!          due                    a worker is free
//! slots ────────▶ waiting (lane) ──────────────────▶ running ──▶ finished
//!   │ overlap, late, paused, …     │ no_worker, paused, …
//!   └────────────▶ missed ◀────────┘
//! ```
//!
//! A slot that is due waits for a free worker in its monitor's lane (see `lanes`), and not longer than [`PATIENCE`] or
//! half its interval: a check much after its slot would be no measurement of that time.
//!
//! Monitors come and go while the plan runs. One that goes while its check runs keeps its index until that has ended:
//! should it come back before, it still does not overlap itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use super::grid::{Moment, Slots};
use super::lanes::{Lane, Running, Workers};
use super::missed::{Missed, Tally};

/// Longest time that a slot is started late.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

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
    /// By lane, in the order in which they became due.
    waiting: [VecDeque<Start>; 3],
    workers: Workers,
    missed: Tally,
    /// Why nothing starts, if so.
    held: Option<Missed>,
}

struct Track {
    slots: Slots,
    state: State,
    lane: Lane,
    /// It was removed.
    gone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Waiting,
    Running(Running),
}

impl Plan {
    /// A plan without monitors, for this many workers.
    pub(super) fn new(workers: usize) -> Plan {
        Plan {
            tracks: Vec::new(),
            due: BinaryHeap::new(),
            waiting: Default::default(),
            workers: Workers::new(workers),
            missed: Tally::default(),
            held: None,
        }
    }

    /// From now on there are this many workers.
    pub(super) fn resize(&mut self, workers: usize) {
        self.workers.resize(workers);
    }

    /// Puts a new monitor at an index that is free, the next one or an earlier one. [`reschedule`](Plan::reschedule)
    /// has to follow, also after the next two.
    pub(super) fn add(&mut self, monitor: usize, slots: Slots) {
        let track = Track { slots, state: State::Idle, lane: Lane::New, gone: false };
        match self.tracks.get_mut(monitor) {
            Some(free) => *free = track,
            None => self.tracks.push(track),
        }
    }

    /// Gives a monitor other slots, or the same. A `renewed` one checks something else from now on, so that no one
    /// knows how fast it is.
    pub(super) fn keep(&mut self, monitor: usize, renewed: bool, slots: impl FnOnce(Slots) -> Slots) {
        let track = &mut self.tracks[monitor];
        track.gone = false;
        track.slots = slots(track.slots);
        // One that waits keeps its place.
        if renewed && track.state != State::Waiting {
            track.lane = Lane::New;
        }
    }

    /// Removes a monitor. Whether its index is free now; else it is once its check has [`finished`](Plan::finished).
    pub(super) fn remove(&mut self, monitor: usize) -> bool {
        self.stop_waiting(monitor);
        let track = &mut self.tracks[monitor];
        track.gone = true;
        track.state == State::Idle
    }

    /// Looks again at which slots come next.
    pub(super) fn reschedule(&mut self) {
        let there = self.tracks.iter().enumerate().filter(|(_, track)| !track.gone);
        self.due = there.map(|(monitor, track)| Reverse((track.slots.next(), monitor))).collect();
    }

    /// When the plan has to be looked at again, unless a check ends before, and when after that.
    pub(super) fn next_dues(&self) -> [Moment; 2] {
        let heap = self.due.as_slice();
        let Some(Reverse((first, monitor))) = heap.first() else { return [Moment::MAX; 2] };
        // The heap's second is among the two below its first one, unless that is sooner there again. In a heap that were
        // laid out otherwise it would be a later one: somebody would be called in time all the same.
        let again = first.saturating_add(self.tracks[*monitor].slots.interval());
        let second = heap.iter().skip(1).take(2).map(|Reverse((moment, _))| *moment).fold(again, Moment::min);
        [*first, second]
    }

    /// Takes note of the slots that are due. Those that are `overdue`, since no one looked in time, are missed for that
    /// reason.
    pub(super) fn advance(&mut self, now: Moment, overdue: Missed) {
        loop {
            let Some(mut first) = self.due.peek_mut() else { break };
            let Reverse((moment, monitor)) = *first;
            if moment > now {
                break;
            }
            let slots = &mut self.tracks[monitor].slots;
            let due = slots.take_due(now);
            // Moves down to its new place in one step.
            *first = Reverse((slots.next(), monitor));
            drop(first);
            let Some(due) = due else { continue };
            self.take(Start { monitor, slot: due.slot }, due.earlier, now, overdue);
        }
    }

    /// A slot is due, and this many before it were.
    fn take(&mut self, start: Start, earlier: u64, now: Moment, overdue: Missed) {
        if let Some(reason) = self.held {
            return self.missed.add(reason, earlier + 1);
        }
        self.missed.add(overdue, earlier);
        if self.stop_waiting(start.monitor) {
            // Its turn did not come within an interval.
            self.missed.add(Missed::NoWorker, 1);
        }
        let track = &mut self.tracks[start.monitor];
        if track.state != State::Idle {
            self.missed.add(Missed::Overlap, 1);
        } else if now - start.slot > patience(track.slots) {
            self.missed.add(overdue, 1);
        } else {
            track.state = State::Waiting;
            self.waiting[track.lane as usize].push_back(start);
        }
    }

    /// Whether it waited.
    fn stop_waiting(&mut self, monitor: usize) -> bool {
        let track = &mut self.tracks[monitor];
        if track.state != State::Waiting {
            return false;
        }
        track.state = State::Idle;
        self.waiting[track.lane as usize].retain(|waiting| waiting.monitor != monitor);
        true
    }

    /// The next slot whose check may start, if a worker is free for it.
    pub(super) fn start(&mut self, now: Moment) -> Option<Start> {
        self.expire(now);
        while let Some(monitor) = self.workers.hanging(now) {
            if let State::Running(run) = &mut self.tracks[monitor].state {
                self.workers.notice(run, now);
            }
        }
        let lane = self.open()?;
        let start = self.waiting[lane as usize].pop_front()?;
        self.tracks[start.monitor].state = State::Running(self.workers.begin(start.monitor, lane, now));
        Some(start)
    }

    /// Whether another slot could start now.
    pub(super) fn is_open(&self) -> bool {
        self.open().is_some()
    }

    /// The lane of the slot that is to start next.
    fn open(&self) -> Option<Lane> {
        let first = |lane: Lane| self.waiting[lane as usize].front().map(|start| (start.slot, lane));
        let open = Lane::ALL.into_iter().filter(|lane| self.workers.are_free_for(*lane));
        open.filter_map(first).min_by_key(|(slot, _)| *slot).map(|(_, lane)| lane)
    }

    fn expire(&mut self, now: Moment) {
        for waiting in &mut self.waiting {
            while let Some(first) = waiting.front() {
                let track = &mut self.tracks[first.monitor];
                if now.saturating_sub(first.slot) <= patience(track.slots) {
                    break;
                }
                track.state = State::Idle;
                waiting.pop_front();
                self.missed.add(Missed::NoWorker, 1);
            }
        }
    }

    /// A check ended. Whether its monitor was removed meanwhile, so that its index is free now.
    pub(super) fn finished(&mut self, monitor: usize, took: Duration) -> bool {
        let track = &mut self.tracks[monitor];
        track.lane = Lane::after(took);
        if let State::Running(run) = std::mem::replace(&mut track.state, State::Idle) {
            self.workers.end(run);
        }
        track.gone
    }

    /// From now on slots are missed for this reason.
    pub(super) fn hold(&mut self, reason: Missed) {
        self.held = Some(reason);
        for start in self.waiting.iter_mut().flat_map(std::mem::take) {
            self.tracks[start.monitor].state = State::Idle;
            self.missed.add(reason, 1);
        }
    }

    /// From now on slots are filled again.
    pub(super) fn release(&mut self) {
        self.held = None;
    }

    /// Slots without a check, by reason.
    pub(super) fn missed(&self) -> BTreeMap<String, u64> {
        self.missed.by_word()
    }
}

/// How late a slot may start.
fn patience(slots: Slots) -> Duration {
    PATIENCE.min(slots.interval() / 2)
}

#[cfg(test)]
mod tests;
