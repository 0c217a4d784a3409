//! The one absolute deadline of a check.

use std::time::{Duration, Instant};

use wire::Outcome;

use super::outcome::Fault;

/// The moment after which a check does nothing more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// `timeout` after `start`; a day at most, which is the longest duration of a result.
    pub(super) fn after(start: Instant, timeout: Duration) -> Deadline {
        let timeout = timeout.min(Duration::from_micros(wire::limits::DURATION_US));
        Deadline { at: start + timeout, timeout }
    }

    /// The time that is left; never zero.
    pub(super) fn left(&self) -> Option<Duration> {
        self.at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// The later one of the two.
    pub(super) fn later(self, other: Deadline) -> Deadline {
        if other.at > self.at { other } else { self }
    }

    /// The fault of having passed it, with what was going on.
    pub(super) fn passed(&self, doing: &str) -> Fault {
        Fault::new(Outcome::Timeout, format!("{doing}: not done within {:?}", self.timeout))
    }
}

/// A duration as results have it: whole microseconds, a day at most.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(wire::limits::DURATION_US)
}
