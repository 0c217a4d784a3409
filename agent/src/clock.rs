//! Notices a jump of the wall clock against the monotonic clock. The wall clock jumps when an administrator sets it, or when the
//! machine is restored from a snapshot. Sleep is no jump, since the monotonic clock counts the time of sleep, too.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use wire::Clock;

/// Time servers slew by less than this between two looks.
const JUMP: Duration = Duration::from_secs(2);

/// Compares the two clocks from look to look.
#[derive(Debug)]
pub struct JumpWatch {
    last: Option<(Timestamp, Duration)>,
    seen: Clock,
}

impl JumpWatch {
    /// A watch that has not looked yet.
    pub fn new() -> JumpWatch {
        JumpWatch { last: None, seen: Clock::default() }
    }

    /// Looks at both clocks; whether the wall clock jumped since the last look.
    pub fn look(&mut self) -> bool {
        let boot = clock_gettime(ClockId::Boottime);
        let counted = Duration::new(boot.tv_sec.unsigned_abs(), u32::try_from(boot.tv_nsec).unwrap_or(0));
        self.compare(Timestamp::now(), counted)
    }

    /// What the clock did since the start.
    pub fn seen(&self) -> Clock {
        self.seen
    }

    fn compare(&mut self, wall: Timestamp, counted: Duration) -> bool {
        let Some((wall_before, counted_before)) = self.last.replace((wall, counted)) else { return false };
        let passed = SignedDuration::try_from(counted.saturating_sub(counted_before)).unwrap_or(SignedDuration::MAX);
        let jump = wall.duration_since(wall_before) - passed;
        if jump.unsigned_abs() <= JUMP {
            return false;
        }
        self.seen.jumps += 1;
        self.seen.last_jump_us = i64::try_from(jump.as_micros()).unwrap_or(i64::MAX);
        true
    }
}

impl Default for JumpWatch {
    fn default() -> Self {
        JumpWatch::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn clocks_that_go_together_do_not_jump() {
        let mut watch = JumpWatch::new();
        assert!(!watch.compare(at(1_000), Duration::from_secs(5)));
        assert!(!watch.compare(at(1_003), Duration::from_secs(8)));
        assert!(!watch.compare(at(90_000), Duration::from_secs(5 + 89_000)));
        assert_eq!(watch.seen(), Clock::default());
    }

    #[test]
    fn a_jump_is_told_once_with_its_size_and_direction() {
        let mut watch = JumpWatch::new();
        watch.compare(at(1_000), Duration::from_secs(5));
        assert!(watch.compare(at(901), Duration::from_secs(6)));
        assert_eq!(watch.seen(), Clock { jumps: 1, last_jump_us: -100_000_000 });
        assert!(!watch.compare(at(902), Duration::from_secs(7)));
        assert!(watch.compare(at(1_903), Duration::from_secs(8)));
        assert_eq!(watch.seen(), Clock { jumps: 2, last_jump_us: 1_000_000_000 });
    }
}
