//! The judgement: what a rule says about one monitor, one agent, or Kafka.

use jiff::{SignedDuration, Timestamp};

use crate::notify::Details;

/// What a rule says about a monitor, an agent, or Kafka.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judgement {
    /// The monitor's id, the agent's name, or Kafka.
    pub(super) subject: String,
    pub(super) condition: Condition,
    /// What people are told about the subject.
    pub(super) details: Details,
    /// A number that the alert remembers until the next evaluation.
    pub(super) mark: Option<i64>,
}

/// Whether the subject is in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// The subject is in trouble. `since` may be too late unless it `is_bounded`. The trouble counts once it `is_ripe`
    /// and lasts for long enough.
    Bad { since: Timestamp, is_bounded: bool, is_ripe: bool },
    /// The subject is not in trouble.
    Good,
    /// Nothing is known about the subject. The alert stays as it is, except that a pending alert that was never told is
    /// dropped.
    Unclear,
}

pub(crate) fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
