//! The two clocks of a schedule: the monotonic clock that slots follow, and the wall clock that gives slots their names.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

use super::grid::Moment;

/// A difference between the clocks below this is no jump: time servers correct less without one.
const JUMP: SignedDuration = SignedDuration::from_secs(1);

/// Less than this may pass between reading one clock and the next.
const LEAST_SLEEP: Duration = Duration::from_secs(1);

/// The monotonic clock, from the moment at which the schedule began. It goes on while the machine sleeps, so that the
/// slots of that time pass, and are counted as missed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Duration,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { began: read(ClockId::Boottime) }
    }

    pub(super) fn now(&self) -> Moment {
        read(ClockId::Boottime).saturating_sub(self.began)
    }
}

fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// Notices that the machine slept: of the two clocks that only count, one stands still then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sleep {
    until_now: Duration,
}

impl Sleep {
    pub(super) fn new() -> Sleep {
        Sleep { until_now: total_sleep() }
    }

    /// How long it slept since the last look, if it did.
    pub(super) fn look(&mut self) -> Option<Duration> {
        self.compare(total_sleep())
    }

    fn compare(&mut self, total: Duration) -> Option<Duration> {
        let slept = total.saturating_sub(self.until_now);
        if slept < LEAST_SLEEP {
            return None;
        }
        self.until_now = total;
        Some(slept)
    }
}

/// Since the machine was booted; a little too much, since the clocks are read one after the other.
fn total_sleep() -> Duration {
    let counted = read(ClockId::Monotonic);
    read(ClockId::Boottime).saturating_sub(counted)
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

    const SECOND: Duration = Duration::from_secs(1);
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
    fn sleep_is_told_once_and_what_passes_between_two_readings_is_none() {
        let mut sleep = Sleep { until_now: 40 * SECOND };
        assert_eq!(sleep.compare(40 * SECOND + Duration::from_millis(3)), None);
        assert_eq!(sleep.compare(100 * SECOND), Some(60 * SECOND));
        assert_eq!(sleep.compare(100 * SECOND), None);
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
