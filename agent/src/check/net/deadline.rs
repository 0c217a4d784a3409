//! The one absolute deadline of a check.

use std::io;
use std::time::{Duration, Instant};

use wire::Outcome;

use crate::check::outcome::Fault;

/// Less than this is no matter of lacking CPU.
const LATE: Duration = Duration::from_millis(100);

/// The moment after which a check does nothing more.
#[derive(Clone, Copy, Debug)]
pub(in crate::check) struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// `timeout` after `start`; a day at most, which is the longest duration of a result.
    pub(in crate::check) fn after(start: Instant, timeout: Duration) -> Deadline {
        let timeout = timeout.min(Duration::from_micros(wire::limits::DURATION_US));
        Deadline { at: start + timeout, timeout }
    }

    /// The time that is left; never zero.
    pub(in crate::check) fn left(&self) -> Option<Duration> {
        self.at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// The later one of the two.
    pub(in crate::check) fn later(self, other: Deadline) -> Deadline {
        if other.at > self.at { other } else { self }
    }

    /// The fault of having passed it, with what was going on. All waiting ends at the deadline; who notices that much
    /// later had no CPU, or was stopped, and can't tell what the site did meanwhile.
    pub(in crate::check) fn passed(&self, doing: &str) -> Fault {
        let late = self.at.elapsed();
        if late >= self.timeout / 2 && late >= LATE {
            let text = format!("{doing}: this machine had no CPU for the check until {late:.1?} after its timeout");
            return Fault::new(Outcome::AgentError, text);
        }
        Fault::new(Outcome::Timeout, format!("{doing}: not done within {:?}", self.timeout))
    }

    /// The fault of a connection on which no HTTP is spoken.
    pub(in crate::check) fn of_stream(self, doing: &str, error: &io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::TimedOut if self.left().is_none() => self.passed(doing),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero => {
                Fault::new(Outcome::ConnectionClosed, format!("{doing}: the connection ended"))
            }
            _ => Fault::io(Outcome::ConnectionClosed, doing, error),
        }
    }
}

/// A duration as results have it: whole microseconds, a day at most.
pub(in crate::check) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(wire::limits::DURATION_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn outcome(ago: Duration, timeout: Duration) -> Outcome {
        Deadline::after(Instant::now().checked_sub(ago + timeout).unwrap(), timeout).passed("waiting").outcome()
    }

    #[test]
    fn a_deadline_that_is_noticed_much_too_late_is_the_agents_trouble() {
        assert_eq!(outcome(SECOND, 60 * SECOND), Outcome::Timeout);
        assert_eq!(outcome(40 * SECOND, 60 * SECOND), Outcome::AgentError);
        assert_eq!(outcome(SECOND, SECOND), Outcome::AgentError);
    }

    #[test]
    fn no_day_is_too_long_and_no_time_too_short() {
        assert!(Deadline::after(Instant::now(), Duration::MAX).left().is_some());
        assert!(Deadline::after(Instant::now(), Duration::ZERO).left().is_none());
    }
}
