//! The grid of slots: pure arithmetic, in nanoseconds.
//!
//! A monitor's slots lie at `k · interval + phase` since the Unix epoch, for whole k, by the wall clock as it was when
//! the schedule began. From then on only the monotonic time since that moment counts: `slot = k · interval + phase −
//! began`. So nothing drifts, a wall clock that jumps moves no slot, and after a restart the slots lie where they were.
//! Which phases the monitors have is told in `phases`.

use std::time::Duration;

/// A point on the monotonic clock: the time since the schedule began.
pub(super) type Moment = Duration;

/// The slots of one monitor, from the next one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    next: Moment,
    interval: Duration,
}

/// The slots that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The last of them.
    pub(super) slot: Moment,
    /// How many there are before it.
    pub(super) earlier: u64,
}

impl Slots {
    /// The slots of a monitor from `now` on, in a schedule that began at `began` after the Unix epoch.
    pub(super) fn from(now: Moment, phase: Duration, interval: Duration, began: Duration) -> Slots {
        let interval = interval.max(Duration::from_nanos(1));
        let since = (began + now).as_nanos() + interval.as_nanos() - phase.as_nanos();
        let next = (interval.as_nanos() - since % interval.as_nanos()) % interval.as_nanos();
        Slots { next: now + nanos(next), interval }
    }

    /// The slots at another phase, moved by the shorter way. The next one may be overdue then: none is lost or doubled.
    pub(super) fn shifted(self, phase: Duration, began: Duration) -> Slots {
        let interval = self.interval.as_nanos();
        let later = (phase.as_nanos() + interval - (began + self.next).as_nanos() % interval) % interval;
        let (later, sooner) = (nanos(later), nanos(interval - later));
        let next = match self.next.checked_sub(sooner) {
            Some(earlier) if sooner < later => earlier,
            _ => self.next + later,
        };
        Slots { next, ..self }
    }

    /// The next slot.
    pub(super) fn next(&self) -> Moment {
        self.next
    }

    /// From slot to slot.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Takes the slots at or before `now`, if there are any.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Due> {
        let behind = now.checked_sub(self.next)?;
        let earlier = behind.as_nanos() / self.interval.as_nanos();
        let slot = self.next + nanos(earlier * self.interval.as_nanos());
        self.next = slot + self.interval;
        Some(Due { slot, earlier: u64::try_from(earlier).unwrap_or(u64::MAX) })
    }
}

/// Intervals and times since the epoch are below 2^64 nanoseconds, which are 584 years.
pub(super) fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn slots_lie_at_the_same_wall_clock_phase_after_a_restart() {
        let (phase, interval) = (3 * SECOND, 10 * SECOND);
        let first = Slots::from(Duration::ZERO, phase, interval, 1001 * SECOND);
        let second = Slots::from(Duration::ZERO, phase, interval, 1007 * SECOND);
        let exactly = Slots::from(Duration::ZERO, phase, interval, 1003 * SECOND);
        assert_eq!(first.next(), 2 * SECOND, "1003");
        assert_eq!(second.next(), 6 * SECOND, "1013");
        assert_eq!(exactly.next(), Duration::ZERO, "1003");
    }

    #[test]
    fn slots_that_passed_are_counted_and_the_last_of_them_is_due() {
        let mut slots = Slots::from(Duration::ZERO, Duration::ZERO, 10 * SECOND, Duration::ZERO);
        assert_eq!(slots.take_due(Duration::ZERO), Some(Due { slot: Duration::ZERO, earlier: 0 }));
        assert_eq!(slots.take_due(9 * SECOND), None);
        assert_eq!(slots.take_due(45 * SECOND), Some(Due { slot: 40 * SECOND, earlier: 3 }));
        assert_eq!(slots.next(), 50 * SECOND);
    }

    #[test]
    fn slots_that_begin_later_lie_on_the_same_grid() {
        let slots = Slots::from(25 * SECOND, 3 * SECOND, 10 * SECOND, 1001 * SECOND);
        assert_eq!(slots.next(), 32 * SECOND, "1033");
    }

    #[test]
    fn slots_that_shift_go_the_shorter_way_and_keep_their_number() {
        let began = 1000 * SECOND;
        let mut slots = Slots::from(Duration::ZERO, 3 * SECOND, 10 * SECOND, began);
        assert_eq!(slots.take_due(13 * SECOND), Some(Due { slot: 13 * SECOND, earlier: 1 }));
        for (phase, next) in [(4, 24), (1, 21), (9, 19), (3, 23), (3, 23)] {
            slots = slots.shifted(phase * SECOND, began);
            assert_eq!(slots.next(), next * SECOND, "phase {phase}");
        }
        let first = Slots::from(Duration::ZERO, Duration::ZERO, 10 * SECOND, began);
        assert_eq!(first.shifted(9 * SECOND, began).next(), 9 * SECOND, "there is nothing before the begin");
    }

    proptest! {
        #[test]
        fn no_slot_is_lost_or_made_up_and_none_drifts(
            interval in 1_u64..100_000_000_000,
            fraction in 0.0..1.0_f64,
            began in 0_u64..2_000_000_000_000_000_000,
            steps in proptest::collection::vec(0_u64..50_000_000_000, 1..30),
        ) {
            let interval = Duration::from_nanos(interval);
            let phase = interval.mul_f64(fraction).min(interval - Duration::from_nanos(1));
            let began = Duration::from_nanos(began);
            let mut slots = Slots::from(Duration::ZERO, phase, interval, began);
            prop_assert!(slots.next() < interval);
            let first = slots.next();
            let (mut now, mut taken) = (Duration::ZERO, 0_u128);
            for step in steps {
                now += Duration::from_nanos(step);
                if let Some(due) = slots.take_due(now) {
                    taken += u128::from(due.earlier) + 1;
                    prop_assert!(due.slot <= now && now - due.slot < interval);
                    prop_assert_eq!((began + due.slot).as_nanos() % interval.as_nanos(), phase.as_nanos());
                }
                let passed = now.checked_sub(first).map_or(0, |time| time.as_nanos() / interval.as_nanos() + 1);
                prop_assert_eq!(taken, passed);
            }
        }
    }
}
