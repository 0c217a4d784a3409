//! What a rule says of one monitor, one agent, or Kafka.

use jiff::{SignedDuration, Timestamp};

use crate::notify::Details;

/// What a rule says of a monitor or an agent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judgement {
    /// The monitor's id, or the agent's name.
    pub(super) subject: String,
    pub(super) condition: Condition,
    /// What people are told of it.
    pub(super) details: Details,
    /// A number to remember until next time.
    pub(super) mark: Option<i64>,
}

/// Whether it is in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// It is. `since` may be too late unless it `is_bounded`; it counts once it `is_ripe` and lasts for long enough.
    Bad { since: Timestamp, is_bounded: bool, is_ripe: bool },
    /// It isn't.
    Good,
    /// Nothing tells: all stays as it is.
    Unclear,
}

pub(crate) fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
