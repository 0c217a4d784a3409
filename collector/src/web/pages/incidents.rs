//! The words for the incidents of a monitor, for what was at fault, and for times in which no agent looked.

use jiff::Timestamp;

use super::status::reason;
use super::words::{When, counted, grouped, listed};
use crate::figures::counts::Counts;
use crate::figures::detail::{Detail, Gap, Late};
use crate::figures::incident::{Blame, Incident};
use crate::figures::looks::state::Verdict;
use crate::text::plain;
use crate::words::shortly;

/// An incident in words.
pub(super) struct Befell {
    pub(super) from: When,
    /// The end of the incident; none while it goes on.
    pub(super) to: Option<When>,
    pub(super) lasted: String,
    /// The class of the style and of the symbol.
    pub(super) class: &'static str,
    pub(super) blame: String,
    pub(super) why: String,
    pub(super) failures: String,
}

/// Returns the text when there are no incidents. Incidents are made from single results, which are deleted sooner than
/// their sums.
pub(super) fn none(counts: &Counts) -> &'static str {
    match counts.failed() {
        0 => "No failure was seen in this time.",
        _ => "Failures are known only in sums: single results of that time are gone.",
    }
}

/// Returns the words of an incident for readers who may know agents and errors.
pub(super) fn befell(it: &Incident, now: Timestamp) -> Befell {
    let failing = listed(&it.failing);
    let blame = match (it.blame, &it.failing[..]) {
        (Blame::Target, [_]) => format!("the site, as far as {failing} can tell: no other agent looked"),
        (Blame::Target, [_, _]) => format!("the site: both {failing} saw it"),
        (Blame::Target, all) => format!("the site: all {} agents saw it ({failing})", all.len()),
        (Blame::Path, _) if it.passing.is_empty() => format!("the path: {failing} failed, but never all at one time"),
        (Blame::Path, _) => format!("the path: {failing} failed, {} passed", listed(&it.passing)),
    };
    let why = reason(&it.outcome, it.status_code, it.error.as_deref());
    Befell { blame, why, failures: counted(it.failures, "failed check"), ..befell_in_public(it, now) }
}

/// Returns the words of an incident for everyone. They say nothing about who looks, or why it fails.
pub(super) fn befell_in_public(it: &Incident, now: Timestamp) -> Befell {
    let (class, blame) = match it.blame {
        Blame::Target => ("down", "it was down"),
        Blame::Path => ("partial", "it failed from some places"),
    };
    Befell {
        from: When(it.began),
        to: it.ended.map(When),
        lasted: match it.is_end_known {
            true => shortly(it.lasted(now)),
            false => format!("{} or longer: its end was not seen", shortly(it.lasted(now))),
        },
        class,
        blame: blame.into(),
        why: String::new(),
        failures: String::new(),
    }
}

/// An incident that goes on.
pub(super) struct Ongoing {
    pub(super) from: When,
    /// The words ` or before` when the incident was already there when the window began.
    pub(super) or_before: &'static str,
    pub(super) lasted: String,
}

/// Returns the incident that a monitor is in now, if there is one.
pub(super) fn ongoing(detail: &Detail) -> Option<Ongoing> {
    let state = &detail.summary.state;
    if detail.summary.is_retired || !matches!(state.verdict, Verdict::Down | Verdict::Partial) {
        return None;
    }
    let it = detail.incidents.iter().find(|it| it.ended.is_none())?;
    let is_cut = it.began.duration_since(detail.window.since) < detail.period.bars().0 / 4;
    Some(Ongoing {
        from: When(it.began),
        or_before: if is_cut { " or before" } else { "" },
        lasted: shortly(it.lasted(detail.as_of)),
    })
}

/// A time in which fewer results arrived than were due.
pub(super) struct Missed {
    pub(super) from: When,
    pub(super) to: When,
    pub(super) lasted: String,
    pub(super) what: String,
    pub(super) how_many: String,
}

/// Returns a gap in words.
pub(super) fn missed(gap: &Gap) -> Missed {
    let what = match (gap.agent.as_deref().map(plain), gap.unseen, gap.agent_errors) {
        (None, ..) => "not monitored".into(),
        (Some(agent), _, ..=0) => format!("{agent} sent less than was due"),
        (Some(agent), ..=0, _) => format!("{agent} spoiled its checks"),
        (Some(agent), ..) => format!("{agent} sent less than was due, and spoiled some of it"),
    };
    let counts = [(gap.unseen, "not seen"), (gap.agent_errors, "spoiled")];
    let parts = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", counted(*n, "check")));
    Missed {
        from: When(gap.began),
        to: When(gap.ended),
        lasted: shortly(gap.ended.duration_since(gap.began)),
        what,
        how_many: parts.collect::<Vec<_>>().join(", "),
    }
}

/// Late results, which had waited at their agent.
pub(super) struct CameLate {
    pub(super) hour: When,
    pub(super) came_at: When,
    pub(super) agent: String,
    pub(super) results: String,
}

/// Returns late results in words.
pub(super) fn came_late(late: &Late) -> CameLate {
    CameLate {
        hour: When(late.hour),
        came_at: When(late.received_at),
        agent: plain(&late.agent),
        results: grouped(late.results),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blame(blame: Blame, failing: &[&str], passing: &[&str]) -> String {
        let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect();
        let at = Timestamp::UNIX_EPOCH;
        let (failing, passing) = (names(failing), names(passing));
        let outcome = "timeout".into();
        let it = Incident {
            blame,
            began: at,
            ended: None,
            is_end_known: true,
            failing,
            passing,
            failures: 1,
            outcome,
            status_code: None,
            error: None,
        };
        befell(&it, at).blame
    }

    #[test]
    fn blame_names_who_saw_what() {
        assert_eq!(blame(Blame::Target, &["a", "b", "c"], &[]), "the site: all 3 agents saw it (a, b and c)");
        assert_eq!(blame(Blame::Target, &["a"], &[]), "the site, as far as a can tell: no other agent looked");
        assert_eq!(blame(Blame::Path, &["a"], &["b", "c"]), "the path: a failed, b and c passed");
        assert_eq!(blame(Blame::Path, &["a", "b"], &[]), "the path: a and b failed, but never all at one time");
    }

    #[test]
    fn a_gap_says_whether_no_one_looked_or_an_agent_sent_too_little_or_spoiled_what_it_did() {
        let said = |agent: Option<&str>, unseen, agent_errors| {
            let at = Timestamp::UNIX_EPOCH;
            let ended = at + jiff::SignedDuration::from_hours(2);
            let Missed { what, how_many, lasted, .. } =
                missed(&Gap { agent: agent.map(Into::into), began: at, ended, unseen, agent_errors });
            format!("{what}, {lasted}: {how_many}")
        };
        assert_eq!(said(None, 120, 0), "not monitored, 2h: 120 checks not seen");
        assert_eq!(said(Some("a"), 1, 0), "a sent less than was due, 2h: 1 check not seen");
        assert_eq!(said(Some("a"), 0, 3), "a spoiled its checks, 2h: 3 checks spoiled");
    }
}
