//! Whether the agent does its work. Only while it does, systemd's watchdog is fed and `/healthz` answers 200.
//!
//! Each tick looks at what the loops have to show for themselves, from outside, since a loop that hangs can't say so:
//!
//! - the **tick** itself: one that hangs feeds no one;
//! - the **committer**: while results wait, positions go up, or the disk is known to refuse;
//! - the **schedule** and its workers: each slot of the quickest monitor ends as a check or as one that was missed.
//!
//! That Kafka, a site or the disk is away holds up none of them.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sd_notify::NotifyState;

use super::health;

/// How long the committer may have nothing to show: on a slow disk a commit takes seconds, salvage of a chunk longer.
const COMMITTER: Duration = Duration::from_secs(60);
/// How long the schedule may be late beside what the quickest monitor's interval and the slowest check take.
const SCHEDULE: Duration = Duration::from_secs(30);

/// What a tick saw of the loops.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// Records wait for the committer.
    pub(super) waiting: bool,
    /// How many it has written.
    pub(super) position: u64,
    /// The disk refuses, or the outbox is not open: the agent knows, and tries again.
    pub(super) is_refused: bool,
    /// Slots that ended, whether by a check or without one.
    pub(super) slots: u64,
    /// The longest time in which a slot has to end; none when there is no monitor.
    pub(super) slot_within: Option<Duration>,
}

/// Looks at the loops, and feeds systemd's watchdog, where there is one.
#[derive(Debug)]
pub(super) struct Watchdog {
    is_systemds: bool,
    progress: Mutex<Progress>,
}

impl Watchdog {
    /// With the one that systemd asks for in the environment.
    pub(super) fn from_environment() -> Watchdog {
        let is_systemds = sd_notify::watchdog_enabled().is_some();
        Watchdog { is_systemds, progress: Mutex::new(Progress::new(Instant::now())) }
    }

    /// Which loop hangs; feeds the watchdog if none does.
    pub(super) fn look(&self, look: Look) -> Option<&'static str> {
        let mut progress = self.progress.lock();
        let stalled = progress.stalled(look, Instant::now());
        match stalled {
            None if self.is_systemds => health::tell(&[NotifyState::Watchdog]),
            Some(part) if progress.said != stalled => log::error!("the {part} hangs"),
            _ => {}
        }
        progress.said = stalled;
        stalled
    }
}

#[derive(Debug)]
struct Progress {
    position: u64,
    committed: Instant,
    slots: u64,
    filled: Instant,
    said: Option<&'static str>,
}

impl Progress {
    fn new(now: Instant) -> Progress {
        Progress { position: 0, committed: now, slots: 0, filled: now, said: None }
    }

    /// Which loop has had nothing to show for too long.
    fn stalled(&mut self, look: Look, now: Instant) -> Option<&'static str> {
        if !look.waiting || look.is_refused || look.position != self.position {
            (self.position, self.committed) = (look.position, now);
        }
        if look.slot_within.is_none() || look.slots != self.slots {
            (self.slots, self.filled) = (look.slots, now);
        }
        let patience = look.slot_within.unwrap_or_default() + SCHEDULE;
        if now.duration_since(self.committed) > COMMITTER {
            Some("outbox's committer")
        } else if now.duration_since(self.filled) > patience {
            Some("schedule")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn look() -> Look {
        Look { waiting: true, position: 7, is_refused: false, slots: 9, slot_within: Some(Duration::from_secs(10)) }
    }

    /// What is stalled when it looks like this now, and `again` an hour later.
    fn an_hour_later(first: Look, again: Look) -> Option<&'static str> {
        let now = Instant::now();
        let mut progress = Progress::new(now);
        assert_eq!(progress.stalled(first, now), None);
        progress.stalled(again, now + LONG)
    }

    #[test]
    fn loops_that_get_on_are_fed() {
        assert_eq!(an_hour_later(look(), Look { position: 8, slots: 10, ..look() }), None);
    }

    #[test]
    fn a_committer_that_leaves_results_waiting_is_noticed() {
        assert_eq!(an_hour_later(look(), Look { slots: 10, ..look() }), Some("outbox's committer"));
        assert_eq!(an_hour_later(look(), Look { slots: 10, waiting: false, ..look() }), None, "it has nothing to do");
        assert_eq!(an_hour_later(look(), Look { slots: 10, is_refused: true, ..look() }), None, "it is the disk");
    }

    #[test]
    fn a_schedule_whose_slots_do_not_end_is_noticed() {
        assert_eq!(an_hour_later(look(), Look { position: 8, ..look() }), Some("schedule"));
        let none = Look { position: 8, slot_within: None, ..look() };
        assert_eq!(an_hour_later(look(), none), None, "there is no monitor");
        let daily = Look { position: 8, slot_within: Some(2 * LONG), ..look() };
        assert_eq!(an_hour_later(look(), daily), None, "its slots are far apart");
    }

    #[test]
    fn a_loop_that_was_late_is_fed_again() {
        let now = Instant::now();
        let mut progress = Progress::new(now);
        assert_eq!(progress.stalled(look(), now), None);
        assert!(progress.stalled(look(), now + LONG).is_some());
        assert_eq!(progress.stalled(Look { position: 8, slots: 10, ..look() }, now + 2 * LONG), None);
    }
}
