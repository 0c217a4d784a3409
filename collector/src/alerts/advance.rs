//! Moves an alert from one phase to the next.
//!
//! ```text
//!         in trouble          for long enough          all is well
//! (none) ───────────▶ pending ───────────────▶ firing ────────────▶ resolved
//!                        │ all is well, or nothing tells              │ in trouble
//!                        ▼                                            ▼
//!                     (none)                                       pending
//! ```
//! An alert also remembers what receivers were told last. When this differs from the present phase and no maintenance
//! is active, they are told. So an event during a maintenance is told at its end, if it still holds then.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::alert::{Alert, Phase};
use super::judgement::{Condition, Judgement, signed};
use crate::notify::{Details, Kind};

/// The time that must pass before the moment of a judgement is noted again.
const NOTED: SignedDuration = SignedDuration::from_mins(1);

/// The outcome of one step of an alert.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// The alert after the step; none when nothing about it has to be kept.
    pub(super) alert: Option<Alert>,
    /// The kind of message that receivers are to get about it, if any.
    pub(super) tell: Option<Kind>,
}

/// What a rule contributes to each of its alerts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    /// The word of the rule.
    pub(super) what: &'a str,
    /// The receivers that the rule tells.
    pub(super) receivers: &'a [&'a str],
    /// How long trouble has to last before the alert fires.
    pub(super) lasting: Duration,
    /// The time after which an alert that still fires is told again.
    pub(super) repeat: Option<Duration>,
}

/// Moves an alert on according to what its rule says.
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

/// Ends an alert that no rule judges any more.
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
    let Judgement { condition, details, mark, .. } = judgement;
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
    match (condition, previous) {
        // Trouble that no agent saw continue does not count as lasting.
        (Condition::Unclear, Some(alert)) if alert.phase == Phase::Pending && told_at.is_none() => None,
        (Condition::Unclear, previous) => previous.map(|alert| Alert { mark: mark.or(alert.mark), ..alert.clone() }),
        // An alert with a mark gets a new time of change, because dropped records are over some time after the latest
        // change.
        (Condition::Bad { .. }, Some(alert)) if alert.phase == Phase::Firing && mark.is_some() => {
            Some(fresh(Phase::Firing, alert.since))
        }
        (Condition::Bad { .. }, Some(alert)) if alert.phase == Phase::Firing => {
            Some(Alert { details, ..alert.clone() })
        }
        (Condition::Bad { since, is_bounded, is_ripe }, previous) => {
            let known = previous.filter(|alert| alert.phase == Phase::Pending).map(|alert| alert.since);
            let since = if is_bounded { since } else { known.map_or(since, |known| known.min(since)) };
            let is_due = is_ripe && now.duration_since(since) >= signed(lasting);
            let next = fresh(if is_due { Phase::Firing } else { Phase::Pending }, since);
            let changed_at = previous.filter(|alert| alert.phase == next.phase).map_or(now, |alert| alert.changed_at);
            Some(Alert { changed_at, ..next })
        }
        (Condition::Good, Some(alert))
            if before == Some(Phase::Firing) || told_at.is_some() && before == Some(Phase::Pending) =>
        {
            // A message about the end of an alert repeats the reason of the failure, because people want to know it.
            let Details { blame, reason, .. } = alert.details.clone();
            let resolved = fresh(Phase::Resolved, alert.since);
            Some(Alert { details: Details { blame, reason, ..resolved.details }, ..resolved })
        }
        (Condition::Good, Some(alert)) if alert.phase == Phase::Resolved => {
            Some(Alert { mark: mark.or(alert.mark), ..alert.clone() })
        }
        (Condition::Good, _) => mark.is_some().then(|| fresh(Phase::Resolved, now)),
    }
}

/// Decides whether receivers are told, by comparing what they know with the phase of the alert.
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
