//! The grid of slots: pure arithmetic, in nanoseconds.
//!
//! A monitor's slots lie at `k · interval + phase` since the Unix epoch, for whole k, by the wall clock as it was when
//! the schedule began. From then on only the monotonic time since that moment counts: `slot = k · interval + phase −
//! began`. So nothing drifts, a wall clock that jumps moves no slot, and after a restart the slots lie where they were.

use std::time::Duration;

/// A point on the monotonic clock: the time since the schedule began.
pub(super) type Moment = Duration;

/// Where a monitor's slots lie within its interval: spread evenly over the monitors of an agent, and over agents that
/// check the same monitor, yet the same at each start.
///
/// The hash is FNV-1a with 64 bits over the agent's name, a zero byte and the monitor's id, then the finalizer of
/// SplitMix64, which spreads it over all bits; it is scaled to the interval by `hash · interval / 2^64`. It is part of
/// what the agent promises: with another hash all slots would move at an update.
pub(super) fn phase(agent: &str, monitor: &str, interval: Duration) -> Duration {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in agent.bytes().chain([0]).chain(monitor.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    nanos((u128::from(hash) * interval.as_nanos()) >> 64)
}

/// The slots of one monitor, from the next one on.
#[derive(Clone, Copy, Debug)]
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
    /// The slots of a monitor in a schedule that begins at `began` after the Unix epoch; the first is at or after that.
    pub(super) fn new(phase: Duration, interval: Duration, began: Duration) -> Slots {
        let interval = interval.max(Duration::from_nanos(1));
        let since = (began.as_nanos() + interval.as_nanos() - phase.as_nanos()) % interval.as_nanos();
        let next = (interval.as_nanos() - since) % interval.as_nanos();
        Slots { next: nanos(next), interval }
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
fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_phase_is_what_it_always_was() {
        let phases: Vec<u128> = [("edge-1", "shop"), ("edge-1", "shop2"), ("edge-2", "shop"), ("", "")]
            .iter()
            .map(|(agent, monitor)| phase(agent, monitor, 10 * SECOND).as_micros())
            .collect();
        assert_eq!(phases, [3_842_255, 3_343_913, 2_145_472, 1_483_830]);
    }

    #[test]
    fn phases_spread_evenly_over_the_interval() {
        let mut tenths = [0; 10];
        for monitor in 0..10_000 {
            let phase = phase("edge-1", &format!("monitor {monitor}"), 10 * SECOND);
            tenths[usize::try_from(phase.as_secs()).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }

    #[test]
    fn slots_lie_at_the_same_wall_clock_phase_after_a_restart() {
        let (phase, interval) = (3 * SECOND, 10 * SECOND);
        let first = Slots::new(phase, interval, 1001 * SECOND);
        let second = Slots::new(phase, interval, 1007 * SECOND);
        let exactly = Slots::new(phase, interval, 1003 * SECOND);
        assert_eq!(first.next(), 2 * SECOND, "1003");
        assert_eq!(second.next(), 6 * SECOND, "1013");
        assert_eq!(exactly.next(), Duration::ZERO, "1003");
    }

    #[test]
    fn slots_that_passed_are_counted_and_the_last_of_them_is_due() {
        let mut slots = Slots::new(Duration::ZERO, 10 * SECOND, Duration::ZERO);
        assert_eq!(slots.take_due(Duration::ZERO), Some(Due { slot: Duration::ZERO, earlier: 0 }));
        assert_eq!(slots.take_due(9 * SECOND), None);
        assert_eq!(slots.take_due(45 * SECOND), Some(Due { slot: 40 * SECOND, earlier: 3 }));
        assert_eq!(slots.next(), 50 * SECOND);
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
            let mut slots = Slots::new(phase, interval, began);
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
