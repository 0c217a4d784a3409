//! The alert: what is known about a rule together with a monitor, an agent, or Kafka.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::address;
use crate::notify::{Details, Item, Kind};

/// What is known about a rule together with a monitor, an agent, or Kafka.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// The phase of the alert.
    pub phase: Phase,
    /// The moment since which the trouble lasts, or when it began if it is over.
    pub since: Timestamp,
    /// The moment when the alert came to this phase.
    pub changed_at: Timestamp,
    /// The moment when receivers were last told that the alert fires; none when they were told its end, or nothing.
    pub told_at: Option<Timestamp>,
    /// The reason of the maintenance that keeps receivers from being told.
    pub silenced: Option<String>,
    /// What the rule is about: `down`, `slow`, …
    pub what: String,
    /// The receivers that the rule tells.
    pub receivers: Vec<String>,
    /// The moment, to a minute, when a collector last had a rule that judges this alert.
    pub judged_at: Timestamp,
    /// A number that the rule remembers.
    pub mark: Option<i64>,
    /// What people are told about the alert.
    pub details: Details,
}

/// The phase of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The subject is in trouble, but not yet for long enough.
    Pending,
    /// The subject is in trouble for long enough.
    Firing,
    /// The subject is no longer in trouble.
    Resolved,
}

impl Phase {
    /// Returns the word of the phase.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::Firing => "firing",
            Phase::Resolved => "resolved",
        }
    }

    /// Returns the phase that a word names.
    pub fn of(word: &str) -> Phase {
        [Phase::Pending, Phase::Firing].into_iter().find(|phase| phase.as_str() == word).unwrap_or(Phase::Resolved)
    }
}

/// An alert is over after this time without a collector that has a rule for it. It is longer than the time that a
/// reload takes to arrive, or that another collector takes to start.
pub(super) const GONE_AFTER: SignedDuration = SignedDuration::from_mins(10);

impl Alert {
    /// Returns whether the alert is about a monitor. Any other alert is about an agent or Kafka.
    pub(super) fn is_of_monitor(&self) -> bool {
        self.details.url.is_some()
    }

    /// Returns whether the alert is over because no collector has judged it for a long time.
    pub fn is_gone(&self, now: Timestamp) -> bool {
        now.duration_since(self.judged_at) >= GONE_AFTER
    }

    /// Returns whether the alert is over, and nothing is left to be told or remembered.
    pub(super) fn is_closed(&self) -> bool {
        self.phase == Phase::Resolved && self.told_at.is_none() && self.mark.is_none()
    }

    /// Returns what is told about the alert now. `page` is the url at which people find the status pages.
    pub(super) fn item(&self, kind: Kind, rule: &str, subject: &str, at: Timestamp, page: Option<&str>) -> Item {
        let page = page.map(|page| match self.is_of_monitor() {
            true => address::monitor(page, subject),
            false => format!("{page}/agents"),
        });
        Item {
            kind,
            rule: rule.into(),
            what: self.what.clone(),
            subject: subject.into(),
            details: self.details.clone(),
            since: self.since,
            at,
            page,
        }
    }
}
