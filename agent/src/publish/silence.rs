//! Whether brokers have left records without an answer for so long that what the connections complain of is the reason.
//! A state machine: it takes the time as an argument.

use std::time::{Duration, Instant};

use settings::Failure;

/// How long that is. A broker that restarts, or one of several that is away, takes no longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time since a record was answered for, and what the connections complained of meanwhile.
pub(super) struct Silence {
    since: Instant,
    complaint: Option<Failure>,
}

impl Silence {
    /// No silence yet.
    pub(super) fn new(now: Instant) -> Silence {
        Silence { since: now, complaint: None }
    }

    /// A record was answered for, or none is under way.
    pub(super) fn end(&mut self, now: Instant) {
        *self = Silence::new(now);
    }

    /// A connection complains. The most telling complaint is kept.
    pub(super) fn complain(&mut self, failure: Failure) {
        self.complaint = Some(match self.complaint.take() {
            Some(earlier) => earlier.or_more_telling(failure),
            None => failure,
        });
    }

    /// The complaint, once the silence has lasted too long for it to pass.
    pub(super) fn take_reason(&mut self, now: Instant) -> Option<Failure> {
        let is_long = now.saturating_duration_since(self.since) >= PATIENCE;
        if is_long { self.complaint.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use settings::FailureKind;

    use super::*;

    #[test]
    fn a_complaint_is_the_reason_only_when_nothing_is_answered_for_long() {
        let refused = || Failure::new(FailureKind::Authentication, "refused");
        let now = Instant::now();
        let mut silence = Silence::new(now);
        silence.complain(refused());
        silence.complain(Failure::new(FailureKind::Connection, "broken"));
        assert_eq!(silence.take_reason(now + PATIENCE / 2), None);
        assert_eq!(silence.take_reason(now + PATIENCE), Some(refused()));
        assert_eq!(silence.take_reason(now + 2 * PATIENCE), None, "it was told");
        silence.complain(refused());
        silence.end(now + 3 * PATIENCE);
        assert_eq!(silence.take_reason(now + 5 * PATIENCE), None, "brokers answered meanwhile");
    }
}
