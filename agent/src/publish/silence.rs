//! Measures how long brokers have left records without an answer, and keeps what the connections complain of meanwhile. After
//! some time the publisher tells this as the reason, asks Kafka how it is, and replaces the producer. This is a state machine: it
//! takes the time as an argument.

use std::time::{Duration, Instant};

use settings::Failure;

/// A silence of this length needs a reason. A broker that restarts, or one of several that is away, takes no longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often Kafka is asked during a silence.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A producer that fails after a silence of this length is not used again.
const TOO_LONG: Duration = Duration::from_secs(10);

/// The time since a record was answered for, and what the connections complained of meanwhile.
pub(super) struct Silence {
    since: Instant,
    asked: Instant,
    complaint: Option<Failure>,
}

impl Silence {
    /// No silence yet.
    pub(super) fn new(now: Instant) -> Silence {
        Silence { since: now, asked: now, complaint: None }
    }

    /// A record was answered for, or none is under way.
    pub(super) fn end(&mut self, now: Instant) {
        *self = Silence::new(now);
    }

    /// A connection complains. The most telling complaint is kept.
    pub(super) fn complain(&mut self, failure: Failure) {
        self.complaint = Some(failure.or_more_telling(self.complaint.take()));
    }

    /// Whether Kafka is to be asked how it is.
    pub(super) fn is_to_ask(&mut self, now: Instant) -> bool {
        let is_due = self.lasts(now) >= PATIENCE && now.saturating_duration_since(self.asked) >= ASK_EVERY;
        if is_due {
            self.asked = now;
        }
        is_due
    }

    /// Whether it has lasted so long that the producer may have lost its way.
    pub(super) fn is_too_long(&self, now: Instant) -> bool {
        self.lasts(now) >= TOO_LONG
    }

    fn lasts(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// The complaint, once the silence has lasted too long for it to pass.
    pub(super) fn take_reason(&mut self, now: Instant) -> Option<Failure> {
        if self.lasts(now) >= PATIENCE { self.complaint.take() } else { None }
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

    #[test]
    fn kafka_is_asked_now_and_then_while_nothing_is_answered() {
        let now = Instant::now();
        let mut silence = Silence::new(now);
        let asked = (0..100).filter(|tenth| silence.is_to_ask(now + Duration::from_millis(100 * tenth))).count();
        assert_eq!(asked, 4, "after 2, 4, 6 and 8 seconds");
        assert!(!silence.is_too_long(now + TOO_LONG / 2) && silence.is_too_long(now + TOO_LONG));
    }
}
