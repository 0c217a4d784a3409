//! Who may have a worker: three lanes, so that sites which hang can't keep the others waiting.
//!
//! | lane | its monitors | may have |
//! |---|---|---|
//! | fast | whose last run was fast | all workers |
//! | new | that never ended a run | all but an eighth, less what hangs |
//! | slow | whose last run took longer than [`SLOW_FROM`] | half, less what hangs |
//!
//! What *hangs* is any run that takes longer than that already: a site that was fast yesterday is counted as slow from
//! that moment on, not only once its deadline has passed. No one can know whether a new monitor hangs; the eighth keeps
//! those that are known to be fast on time while many new ones turn out to.

use std::collections::VecDeque;
use std::time::Duration;

use super::grid::Moment;

/// A run that takes longer makes its monitor a slow one, until a run is faster.
pub(super) const SLOW_FROM: Duration = Duration::from_secs(1);

/// A lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Fast,
    New,
    Slow,
}

impl Lane {
    pub(super) const ALL: [Lane; 3] = [Lane::Fast, Lane::New, Lane::Slow];

    /// The lane of a monitor whose last run took so long.
    pub(super) fn after(took: Duration) -> Lane {
        if took > SLOW_FROM { Lane::Slow } else { Lane::Fast }
    }
}

/// A run that is counted; its lane changes when it hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Running {
    began: Moment,
    lane: Lane,
}

/// The workers, by what they are doing.
pub(super) struct Workers {
    most: usize,
    running: [usize; 3],
    /// Runs that are younger than [`SLOW_FROM`], or have ended: when each began, and of which monitor.
    young: VecDeque<(Moment, usize)>,
}

impl Workers {
    pub(super) fn new(most: usize) -> Workers {
        Workers { most: most.max(1), running: [0; 3], young: VecDeque::new() }
    }

    /// From now on there are this many.
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most.max(1);
    }

    /// Whether a monitor of this lane may start.
    pub(super) fn are_free_for(&self, lane: Lane) -> bool {
        let [_, new, slow] = self.running;
        let unproven = new + slow < (self.most - self.most / 8).max(1);
        let free = match lane {
            Lane::Fast => true,
            Lane::New => unproven,
            Lane::Slow => unproven && slow < (self.most / 2).max(1),
        };
        free && self.running() < self.most
    }

    /// How many checks run.
    pub(super) fn running(&self) -> usize {
        self.running.iter().sum()
    }

    /// A run of this monitor begins.
    pub(super) fn begin(&mut self, monitor: usize, lane: Lane, now: Moment) -> Running {
        self.running[lane as usize] += 1;
        if lane != Lane::Slow {
            self.young.push_back((now, monitor));
        }
        Running { began: now, lane }
    }

    /// A run has ended.
    pub(super) fn end(&mut self, run: Running) {
        self.running[run.lane as usize] -= 1;
    }

    /// The monitor of a run that hangs now, if it has not ended; once for each.
    pub(super) fn hanging(&mut self, now: Moment) -> Option<usize> {
        let (began, _) = self.young.front()?;
        if now.saturating_sub(*began) <= SLOW_FROM {
            return None;
        }
        self.young.pop_front().map(|(_, monitor)| monitor)
    }

    /// Counts a run as slow that began so long ago.
    pub(super) fn notice(&mut self, run: &mut Running, now: Moment) {
        if now.saturating_sub(run.began) > SLOW_FROM {
            self.end(*run);
            run.lane = Lane::Slow;
            self.running[run.lane as usize] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Duration::ZERO;
    const LATER: Moment = Duration::from_secs(2);

    /// How many monitors of a lane may start one after the other.
    fn fill(workers: &mut Workers, lane: Lane) -> Vec<Running> {
        let mut runs = Vec::new();
        while workers.are_free_for(lane) {
            runs.push(workers.begin(runs.len(), lane, START));
        }
        runs
    }

    #[test]
    fn new_and_slow_monitors_together_leave_an_eighth_to_fast_ones() {
        let mut workers = Workers::new(64);
        assert_eq!(fill(&mut workers, Lane::Slow).len(), 32);
        assert_eq!(fill(&mut workers, Lane::New).len(), 24);
        assert_eq!(fill(&mut workers, Lane::Fast).len(), 8);
        let mut workers = Workers::new(64);
        assert_eq!(fill(&mut workers, Lane::New).len(), 56);
        assert!(!workers.are_free_for(Lane::Slow));
    }

    #[test]
    fn a_run_that_hangs_counts_as_slow_before_it_ends() {
        let mut workers = Workers::new(8);
        let mut runs: Vec<Running> = (0..4).map(|monitor| workers.begin(monitor, Lane::Fast, START)).collect();
        workers.end(runs[3]);
        assert_eq!(workers.hanging(START + SLOW_FROM), None, "all are young");
        assert!(workers.are_free_for(Lane::Slow));
        // The fourth has ended and begun again.
        runs[3] = workers.begin(3, Lane::Slow, LATER);
        while let Some(monitor) = workers.hanging(LATER) {
            workers.notice(&mut runs[monitor], LATER);
        }
        assert!(!workers.are_free_for(Lane::Slow), "three hang, one is slow");
        assert!(workers.are_free_for(Lane::Fast));
        runs.into_iter().for_each(|run| workers.end(run));
        assert_eq!(workers.running(), 0);
    }

    #[test]
    fn a_single_worker_serves_every_lane() {
        for lane in Lane::ALL {
            assert_eq!(fill(&mut Workers::new(1), lane).len(), 1, "{lane:?}");
        }
    }
}
