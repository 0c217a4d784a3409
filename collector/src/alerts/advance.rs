//! How an alert moves on.
//!
//! ```text
//!         in trouble          for long enough          all is well
//! (none) ───────────▶ pending ───────────────▶ firing ────────────▶ resolved
//!                        │ all is well, or nothing tells              │ in trouble
//!                        ▼                                            ▼
//!                     (none)                                       pending
//! ```
//! Beside that stands what receivers were told last. Where it differs from what is, and no maintenance is on, they are
//! told: so what happens within a maintenance is told at its end, if it still holds.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::judge::{Finding, Judgement, signed};
use super::message::Kind;
use crate::figures::state::Verdict;

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

/// What people are told of an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The monitor's name, or the agent's.
    pub name: String,
    /// The monitor's url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How the monitor is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Who is at fault: target, path or agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<String>,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// After so long without a collector whose rules say anything of it, an alert is over. That is longer than a reload takes
/// to arrive, or another collector to start.
pub(super) const GONE_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// So often is noted that an alert was judged.
const NOTED: SignedDuration = SignedDuration::from_mins(1);

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
    fn is_closed(&self) -> bool {
        self.phase == Phase::Resolved && self.told_at.is_none() && self.mark.is_none()
    }
}

/// What becomes of an alert.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// How it stands now; none: nothing is to be known of it.
    pub(super) alert: Option<Alert>,
    /// What is to be told of it.
    pub(super) tell: Option<Kind>,
}

/// What a rule brings along.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    /// Its word.
    pub(super) what: &'a str,
    /// Whom it tells.
    pub(super) receivers: &'a [&'a str],
    /// How long trouble has to last.
    pub(super) lasting: Duration,
    /// After which time it is told again.
    pub(super) repeat: Option<Duration>,
}

/// Moves an alert on by what its rule says.
pub(super) fn advance(
    previous: Option<&Alert>,
    judgement: Judgement,
    now: Timestamp,
    terms: Terms<'_>,
    silenced: Option<&str>,
) -> Step {
    let Some(alert) = moved(previous, judgement, now, terms.lasting) else { return Step { alert: None, tell: None } };
    let is_noted = alert.is_closed() || now.duration_since(alert.judged_at) < NOTED;
    let alert = Alert {
        silenced: silenced.map(str::to_owned),
        what: terms.what.to_owned(),
        receivers: terms.receivers.iter().map(|name| (*name).to_owned()).collect(),
        judged_at: if is_noted { alert.judged_at } else { now },
        ..alert
    };
    told(alert, now, terms.repeat)
}

/// What becomes of an alert of which no rule says anything any more.
pub(super) fn retire(previous: &Alert, now: Timestamp, silenced: Option<&str>) -> Step {
    let silenced = silenced.map(str::to_owned);
    let alert = match previous.phase {
        Phase::Pending if previous.told_at.is_none() => return Step { alert: None, tell: None },
        Phase::Pending | Phase::Firing => {
            let details = Details { reason: "it is no longer watched".into(), ..previous.details.clone() };
            Alert { phase: Phase::Resolved, changed_at: now, silenced, details, ..previous.clone() }
        }
        Phase::Resolved => Alert { silenced, ..previous.clone() },
    };
    told(alert, now, None)
}

fn moved(previous: Option<&Alert>, judgement: Judgement, now: Timestamp, lasting: Duration) -> Option<Alert> {
    let Judgement { finding, details, mark, .. } = judgement;
    let before = previous.map(|alert| alert.phase);
    let told_at = previous.and_then(|alert| alert.told_at);
    let fresh = |phase, since| Alert {
        phase,
        since,
        changed_at: now,
        told_at,
        silenced: None,
        what: String::new(),
        receivers: Vec::new(),
        judged_at: previous.map_or(now, |alert| alert.judged_at),
        mark,
        details: details.clone(),
    };
    match (finding, previous) {
        // What nobody saw go on does not count as lasting.
        (Finding::Unclear, Some(alert)) if alert.phase == Phase::Pending && told_at.is_none() => None,
        (Finding::Unclear, previous) => previous.map(|alert| Alert { mark: mark.or(alert.mark), ..alert.clone() }),
        // Its counts go on: the time of the last one is what tells when it is over.
        (Finding::Bad { .. }, Some(alert)) if alert.phase == Phase::Firing && mark.is_some() => {
            Some(fresh(Phase::Firing, alert.since))
        }
        (Finding::Bad { .. }, Some(alert)) if alert.phase == Phase::Firing => Some(Alert { details, ..alert.clone() }),
        (Finding::Bad { since, is_bounded, is_ripe }, previous) => {
            let known = previous.filter(|alert| alert.phase == Phase::Pending).map(|alert| alert.since);
            let since = if is_bounded { since } else { known.map_or(since, |known| known.min(since)) };
            let is_due = is_ripe && now.duration_since(since) >= signed(lasting);
            let next = fresh(if is_due { Phase::Firing } else { Phase::Pending }, since);
            let changed_at = previous.filter(|alert| alert.phase == next.phase).map_or(now, |alert| alert.changed_at);
            Some(Alert { changed_at, ..next })
        }
        (Finding::Good, Some(alert))
            if before == Some(Phase::Firing) || told_at.is_some() && before == Some(Phase::Pending) =>
        {
            // Why it failed is what people want to know of it.
            let Details { blame, reason, .. } = alert.details.clone();
            let resolved = fresh(Phase::Resolved, alert.since);
            Some(Alert { details: Details { blame, reason, ..resolved.details }, ..resolved })
        }
        (Finding::Good, Some(alert)) if alert.phase == Phase::Resolved => {
            Some(Alert { mark: mark.or(alert.mark), ..alert.clone() })
        }
        (Finding::Good, _) => mark.is_some().then(|| fresh(Phase::Resolved, now)),
    }
}

/// Whether what receivers know differs from what is.
fn told(alert: Alert, now: Timestamp, repeat: Option<Duration>) -> Step {
    let tell = match (alert.phase, alert.told_at) {
        _ if alert.silenced.is_some() => None,
        (Phase::Firing, None) => Some(Kind::Firing),
        (Phase::Firing, Some(at)) if repeat.is_some_and(|repeat| now.duration_since(at) >= signed(repeat)) => {
            Some(Kind::Repeat)
        }
        (Phase::Resolved, Some(_)) => Some(Kind::Resolved),
        _ => None,
    };
    let told_at = match tell {
        Some(Kind::Firing | Kind::Repeat) => Some(now),
        Some(Kind::Resolved) => None,
        _ => alert.told_at,
    };
    Step { alert: Some(Alert { told_at, ..alert }), tell }
}
