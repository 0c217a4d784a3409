//! The status of a monitor in words that say no more than is known, and that say how many agents see it.

use super::words::When;
use crate::figures::counts::{Bounds, Counts};
use crate::figures::looks::look::Look;
use crate::figures::looks::state::{State, Verdict};
use crate::figures::overview::Summary;
use crate::text::{cut, plain};
use crate::web::request::filter::named;
use crate::words::percent;

/// The largest length of a reason in a list, in characters.
const REASON: usize = 160;

/// How a monitor is now.
pub(super) struct Status {
    /// The class of the style and of the symbol.
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    /// The explanation after the word, which is often empty.
    pub(super) why: String,
    /// The moment with which the explanation ends.
    pub(super) since: Option<When>,
}

impl Status {
    /// Returns the status for readers who may know agents and errors.
    pub(super) fn of(monitor: &Summary) -> Status {
        let status = Status::of_public(monitor);
        if monitor.is_retired {
            return status;
        }
        let state = &monitor.state;
        let trouble = || {
            state.trouble().map_or_else(String::new, |it| {
                reason(it.outcome.as_deref().unwrap_or("failure"), it.status_code, it.error.as_deref())
            })
        };
        let why = match state.verdict {
            Verdict::Down => trouble(),
            Verdict::Partial => format!("{}: {}", who_says(state), trouble()),
            Verdict::Unknown if state.count(Look::AgentError) > 0 => format!("no agent can tell: {}", trouble()),
            Verdict::Up if state.count(Look::Success) < state.agents.len() => who_says(state),
            Verdict::Up | Verdict::Unknown => return status,
        };
        Status { why, since: None, ..status }
    }

    /// Returns the status for everyone.
    pub(super) fn of_public(monitor: &Summary) -> Status {
        if monitor.is_retired {
            let why = "no longer monitored".into();
            return Status { class: "retired", word: "Retired", why, since: None };
        }
        let (class, word) = named(monitor.state.verdict);
        let (why, since) = match (monitor.state.verdict, looked(&monitor.state)) {
            (Verdict::Down | Verdict::Up, _) => ("", None),
            (Verdict::Partial, _) => ("it fails from some places", None),
            (Verdict::Unknown, _) if monitor.state.count(Look::AgentError) > 0 => {
                ("its state is not known at the moment", None)
            }
            (Verdict::Unknown, None) => ("not monitored for as long as is known", None),
            (Verdict::Unknown, looked) => ("not monitored since", looked),
        };
        Status { class, word, why: why.into(), since }
    }
}

/// Returns when any agent looked last, as far as is known.
pub(super) fn looked(state: &State) -> Option<When> {
    state.agents.iter().filter_map(|latest| latest.checked_at).max().map(When)
}

/// Returns how many agents say what.
pub(super) fn who_says(state: &State) -> String {
    let of = state.agents.len();
    let count = |look| state.count(look);
    let silent = count(Look::Silent);
    if of == 0 {
        return "No agent is to look at it".into();
    }
    let mut said = match state.verdict {
        Verdict::Down | Verdict::Partial => {
            format!("{} of {of} agents {} it fail", count(Look::Failure), see(count(Look::Failure)))
        }
        Verdict::Up => format!("{} of {of} agents {} it succeed", count(Look::Success), see(count(Look::Success))),
        Verdict::Unknown => format!("None of {of} agents can tell"),
    };
    if count(Look::Earlier) > 0 {
        said.push_str(&format!(", {} looked last before that", count(Look::Earlier)));
    }
    if count(Look::AgentError) > 0 {
        said.push_str(&format!(", {} in trouble itself", count(Look::AgentError)));
    }
    if silent > 0 {
        said.push_str(&format!(", {silent} silent"));
    }
    said
}

fn see(agents: usize) -> &'static str {
    if agents == 1 { "sees" } else { "see" }
}

/// Returns why a check failed: `status mismatch 503: expected …`.
pub(super) fn reason(outcome: &str, status_code: Option<i16>, error: Option<&str>) -> String {
    let mut reason = plain(outcome).replace('_', " ");
    if let Some(code) = status_code {
        reason.push_str(&format!(" {code}"));
    }
    if let Some(error) = error {
        reason.push_str(": ");
        reason.push_str(error);
    }
    cut(&reason, REASON)
}

/// An uptime that also says what it leaves open. It is whole only when all that was due was seen to succeed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::web) struct Uptime {
    pub(super) seen: String,
    /// The bounds, or the reason why there are none. It is empty when the number says everything.
    pub(super) note: String,
}

impl Uptime {
    pub(super) fn of(counts: &Counts) -> Uptime {
        let (seen, note) = match (counts.uptime(), counts.bounds()) {
            (_, None) => ("–".into(), "nothing was due".into()),
            (None, Some(_)) => ("unknown".into(), "nothing was seen".into()),
            (Some(seen), Some(bounds)) if bounds.lower >= bounds.upper => (percent(seen), String::new()),
            (Some(seen), Some(bounds)) if seen >= 1.0 => (at_least(bounds), "no failure seen".into()),
            (Some(seen), Some(bounds)) => {
                let lower = percent(bounds.lower);
                (percent(seen), format!("{}–{}", lower.trim_end_matches('%'), percent(bounds.upper)))
            }
        };
        Uptime { seen, note }
    }

    /// Returns the uptime as one number, for places without room for bounds. When not all that was due was seen, it is
    /// the lower bound.
    pub(in crate::web) fn least(counts: &Counts) -> String {
        match counts.bounds().filter(|bounds| counts.uptime().is_some() && bounds.lower < bounds.upper) {
            Some(bounds) => at_least(bounds),
            None => Uptime::of(counts).seen,
        }
    }
}

fn at_least(bounds: Bounds) -> String {
    format!("≥ {}", percent(bounds.lower))
}

/// Returns the share of the due results that arrived.
pub(super) fn coverage(counts: &Counts) -> String {
    counts.coverage().map_or_else(|| "–".into(), percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::period::Period;
    use crate::web::fixture;

    fn uptime(checks: i64, success: i64, agent_errors: i64, unseen: i64) -> (String, String) {
        let Uptime { seen, note } = Uptime::of(&Counts { checks, success, agent_errors, unseen });
        (seen, note)
    }

    #[test]
    fn an_uptime_is_whole_only_when_all_was_seen_and_else_stands_with_its_bounds() {
        assert_eq!(uptime(100, 100, 0, 0), ("100.000%".into(), String::new()));
        assert_eq!(uptime(99, 99, 0, 1), ("≥ 99.000%".into(), "no failure seen".into()));
        assert_eq!(uptime(100, 99, 1, 0), ("≥ 99.000%".into(), "no failure seen".into()));
        assert_eq!(uptime(90, 89, 0, 10), ("98.888%".into(), "89.000–99.000%".into()));
        assert_eq!(uptime(90, 89, 0, 0), ("98.888%".into(), String::new()));
        assert_eq!(uptime(0, 0, 0, 60), ("unknown".into(), "nothing was seen".into()));
        assert_eq!(uptime(0, 0, 0, 0), ("–".into(), "nothing was due".into()));
    }

    #[test]
    fn an_uptime_in_one_number_is_never_more_than_is_known() {
        let least =
            |checks, success, agent_errors, unseen| Uptime::least(&Counts { checks, success, agent_errors, unseen });
        assert_eq!([least(100, 99, 0, 0), least(100, 100, 0, 0)], ["99.000%", "100.000%"]);
        assert_eq!(
            [least(10, 10, 0, 90), least(90, 89, 0, 10), least(100, 99, 1, 0)],
            ["≥ 10.000%", "≥ 89.000%", "≥ 99.000%"]
        );
        assert_eq!([least(0, 0, 0, 60), least(5, 0, 5, 0), least(0, 0, 0, 0)], ["unknown", "unknown", "–"]);
    }

    #[test]
    fn what_is_said_is_no_more_than_is_known() {
        let all = fixture::overview(100, Period::Day);
        let said = |suffix: &str| {
            let monitor = all.monitors.iter().find(|it| it.name.ends_with(suffix)).unwrap();
            let Status { word, why, since, .. } = Status::of(monitor);
            format!("{word}: {why} {}", since.map_or_else(String::new, |since| since.to_string()))
        };
        assert_eq!(said("007"), "Down: status mismatch 503: expected a status of 200 to 299, got 503 ");
        assert!(said("023").starts_with("Partly down: 1 of 3 agents sees it fail: status mismatch 503"));
        assert!(said("041").starts_with("Unknown: not monitored since <time datetime=\"2026-11-27T11:35:03Z\">"));
        assert_eq!(said("059"), "Unknown: no agent can tell: agent error ");
        assert_eq!(said("083"), "Up: 2 of 3 agents see it succeed, 1 silent ");
        assert_eq!((said("001"), said("019")), ("Up:  ".into(), "Retired: no longer monitored ".into()));
    }
}
