//! The two clocks of a schedule: the monotonic one that slots follow, and the wall clock that they are named by.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

use super::grid::Moment;

/// A difference between the clocks below this is no jump: time servers correct less without one.
const JUMP: SignedDuration = SignedDuration::from_secs(1);

/// The monotonic clock, from the moment at which the schedule began. It goes on while the machine sleeps, so that the
/// slots of that time pass, and are counted as missed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Duration,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { began: since_boot() }
    }

    pub(super) fn now(&self) -> Moment {
        since_boot().saturating_sub(self.began)
    }
}

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// What moments are called by the wall clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall {
    began: Timestamp,
}

impl Wall {
    /// The schedule began at this time.
    pub(super) fn new(began: Timestamp) -> Wall {
        Wall { began }
    }

    /// That time, since the Unix epoch.
    pub(super) fn since_epoch(&self) -> Duration {
        Duration::try_from(self.began.as_duration()).unwrap_or_default()
    }

    /// A slot's time by the wall clock, which shows `time` at `now`. Slots keep their exact times, unless the wall clock
    /// jumped: then they are named by the new time.
    pub(super) fn name(&mut self, slot: Moment, now: Moment, time: Timestamp) -> Timestamp {
        let jumped = time.duration_since(self.plus(now));
        if jumped.abs() > JUMP {
            self.began = self.began.checked_add(jumped).unwrap_or(self.began);
        }
        self.plus(slot)
    }

    fn plus(&self, moment: Moment) -> Timestamp {
        self.began.checked_add(moment).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    const SLOT: Moment = Duration::from_secs(10);
    const NOW: Moment = Duration::from_millis(10_003);

    #[test]
    fn slots_have_their_exact_times_whenever_they_are_named() {
        let mut wall = Wall::new(at(1_000));
        assert_eq!(wall.since_epoch(), Duration::from_secs(1_000));
        assert_eq!(wall.name(SLOT, NOW, at(1_010)), at(1_010));
        assert_eq!(wall.name(2 * SLOT, 2 * NOW, at(1_020)), at(1_020));
    }

    #[test]
    fn a_jump_of_the_wall_clock_changes_what_slots_are_called() {
        let mut wall = Wall::new(at(1_000));
        let named = wall.name(SLOT, NOW, at(5_000));
        assert_eq!(named.round(jiff::Unit::Second).unwrap(), at(5_000));
        let back = wall.name(SLOT, NOW, at(10));
        assert_eq!(back.round(jiff::Unit::Second).unwrap(), at(10));
    }
}
