//! An alert: what is known of a rule and a monitor or an agent.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::address;
use crate::notify::{Details, Item, Kind};

/// What is known of a rule and a monitor or an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// How it stands.
    pub phase: Phase,
    /// Since when the trouble lasts, or lasted.
    pub since: Timestamp,
    /// When it came to this phase.
    pub changed_at: Timestamp,
    /// When receivers were last told that it fires; none: they were told the end, or nothing.
    pub told_at: Option<Timestamp>,
    /// The maintenance for which they are told nothing.
    pub silenced: Option<String>,
    /// What its rule is about: down, slow, …
    pub what: String,
    /// Whom its rule tells.
    pub receivers: Vec<String>,
    /// When, to a minute, a collector last had a rule that says something of it.
    pub judged_at: Timestamp,
    /// A number that the rule remembers.
    pub mark: Option<i64>,
    /// What people are told of it.
    pub details: Details,
}

/// How an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// In trouble, but not yet for long enough.
    Pending,
    /// In trouble.
    Firing,
    /// No longer.
    Resolved,
}

impl Phase {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::Firing => "firing",
            Phase::Resolved => "resolved",
        }
    }

    /// The phase of a word.
    pub fn of(word: &str) -> Phase {
        [Phase::Pending, Phase::Firing].into_iter().find(|phase| phase.as_str() == word).unwrap_or(Phase::Resolved)
    }
}

/// After so long without a collector whose rules say anything of it, an alert is over. That is longer than a reload takes
/// to arrive, or another collector to start.
pub(super) const GONE_AFTER: SignedDuration = SignedDuration::from_mins(10);

impl Alert {
    /// Whether it is about a monitor; else it is about an agent.
    pub(super) fn is_of_monitor(&self) -> bool {
        self.details.url.is_some()
    }

    /// Whether no collector has judged it for so long that it is over.
    pub fn is_gone(&self, now: Timestamp) -> bool {
        now.duration_since(self.judged_at) >= GONE_AFTER
    }

    /// Whether it is over, and nothing is left to be told or remembered.
    pub(super) fn is_closed(&self) -> bool {
        self.phase == Phase::Resolved && self.told_at.is_none() && self.mark.is_none()
    }

    /// What is told of it now. `page` is the url at which people find our pages.
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
