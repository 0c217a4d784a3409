//! Judges the facts by one rule: says of each monitor, each agent, or Kafka whether it is in trouble.

use jiff::{SignedDuration, Timestamp};

use super::alert::Alert;
use super::blind;
use super::facts::{Facts, Monitor};
use super::judgement::{Condition, Judgement, signed};
use crate::config::alerts::{Rule, What};
use crate::figures::agent::{AgentRow, Presence};
use crate::figures::incident::Blame;
use crate::figures::looks::look::Look;
use crate::figures::looks::state::{State, Verdict};
use crate::notify::Details;

/// When a rule looks at an agent for the first time, the records that this agent dropped before are told only if the
/// agent was first heard of within this time. So dropped records are told when they are the first that is heard of an
/// agent, and no new rule or collector over old tables tells old drops. The time is as long as a message is worth
/// telling, so that drops count even when a batch or an evaluation was held up for long.
const NEW_AGENT: SignedDuration = SignedDuration::from_hours(24);

/// The alert about dropped records is over after this time without another dropped record.
const NO_MORE_DROPPED: SignedDuration = SignedDuration::from_mins(10);

/// Returns all judgements of a rule. `previous` returns the alert that was known about a monitor, an agent, or Kafka.
pub(super) fn judge<'a>(rule: &Rule, facts: &Facts, previous: impl Fn(&str) -> Option<&'a Alert>) -> Vec<Judgement> {
    if rule.what.is_of_monitors() {
        let watched = facts.monitors.iter().filter(|monitor| rule.monitors.has(&monitor.id, &monitor.tags));
        return watched.map(|monitor| of_monitor(rule, facts, monitor)).collect();
    }
    if let What::Blind { .. } = rule.what {
        return vec![blind::of_kafka(facts.kafka.as_ref(), previous(blind::KAFKA), facts.as_of)];
    }
    let is_watched = |agent: &&AgentRow| rule.agents.is_empty() || rule.agents.contains(&agent.name);
    let watched = facts.agents.iter().filter(is_watched);
    watched.map(|agent| of_agent(rule.what, facts, agent, previous(&agent.name))).collect()
}

fn of_monitor(rule: &Rule, facts: &Facts, monitor: &Monitor) -> Judgement {
    let state = monitor.state();
    let now = facts.as_of;
    let mut details = Details {
        name: monitor.name.clone(),
        url: Some(monitor.url.clone()),
        verdict: Some(state.verdict),
        ..Details::default()
    };
    let condition = match rule.what {
        What::Down { checks, seen_by, .. } => {
            details.blame = if state.verdict == Verdict::Down { blame(Blame::Target) } else { blame(Blame::Path) };
            details.reason = failure(&state);
            down(monitor, &state, i64::from(checks), seen_by)
        }
        What::Slow { over, percentile, .. } => {
            let us = monitor.times_us.get(&rule.name).copied();
            details.blame = blame(Blame::Target);
            details.reason = match us {
                Some(us) => {
                    format!(
                        "p{percentile} of the response times is {}, not within {}",
                        seconds(us),
                        seconds(micros(over))
                    )
                }
                None => String::new(),
            };
            us.map_or(Condition::Unclear, |us| now_if(us > micros(over), now))
        }
        What::CertificateExpiring { within } => {
            let ends = state.certificate_first_end();
            let whose = if ends == state.certificate_not_after() {
                "its certificate"
            } else {
                "a certificate that it rests on"
            };
            details.blame = blame(Blame::Target);
            details.reason = ends.map(|ends| format!("{whose} ends at {ends}")).unwrap_or_default();
            let bound = now.checked_add(within).unwrap_or(Timestamp::MAX);
            ends.map_or(Condition::Unclear, |ends| now_if(ends <= bound, now))
        }
        What::AgentSilent { .. } | What::Backlog { .. } | What::Dropped | What::Doubled | What::Blind { .. } => {
            Condition::Unclear
        }
    };
    Judgement { subject: monitor.id.clone(), condition, details, mark: None }
}

/// Judges whether a site fails: `seen_by` agents have to see it fail, or all agents that look when there is no such
/// number.
fn down(monitor: &Monitor, state: &State, checks: i64, seen_by: Option<usize>) -> Condition {
    let (successes, failures) = (state.count(Look::Success), state.count(Look::Failure));
    let needed = seen_by.unwrap_or(successes + failures).max(1);
    if failures < needed {
        // An agent that looked before the failures began still shows that too few agents see the site fail.
        return if successes + state.count(Look::Earlier) > 0 { Condition::Good } else { Condition::Unclear };
    }
    let mut began: Vec<Timestamp> = monitor.failing().filter_map(|observation| observation.since).collect();
    began.sort();
    let Some(since) = began.get(needed - 1) else { return Condition::Unclear };
    Condition::Bad {
        since: *since,
        is_bounded: monitor.failing().all(|observation| observation.is_bounded),
        is_ripe: monitor.failing().filter(|observation| observation.failures >= checks).count() >= needed,
    }
}

/// Says why a site fails, and which agents see it.
fn failure(state: &State) -> String {
    let Some(trouble) = state.trouble().filter(|it| it.look == Look::Failure) else { return String::new() };
    let mut reason = trouble.outcome.clone().unwrap_or_default();
    for more in [trouble.status_code.map(|code| code.to_string()), trouble.error.clone()].into_iter().flatten() {
        reason.push_str(": ");
        reason.push_str(&more);
    }
    let failing = state.agents.iter().filter(|latest| latest.look == Look::Failure);
    let names: Vec<&str> = failing.map(|latest| latest.agent.as_str()).take(MOST_NAMES).collect();
    let (failing, looking) = (state.count(Look::Failure), state.count(Look::Failure) + state.count(Look::Success));
    let more = if failing > names.len() { ", …" } else { "" };
    format!("{reason} (seen by {}{more}; {failing} of {looking} that look)", names.join(", "))
}

/// The largest number of agents that are named in a reason.
const MOST_NAMES: usize = 5;

fn of_agent(what: What, facts: &Facts, agent: &AgentRow, previous: Option<&Alert>) -> Judgement {
    let now = facts.as_of;
    let mut details = Details { name: agent.name.clone(), blame: Some("agent".into()), ..Details::default() };
    let mut mark = None;
    let condition = match what {
        What::AgentSilent { lasting } => {
            let last_seen = agent.last_seen.map(|at| at.to_string()).unwrap_or_default();
            details.reason = format!("nothing was heard of it since {last_seen}");
            // An agent that has stopped, or was never heard, shows nothing about the path.
            let mut others = facts.agents.iter().filter(|it| it.name != agent.name && is_expected(it)).peekable();
            if others.peek().is_none() {
                details.reason += "; no other agent shows whether the way from it is at fault";
            } else if others.all(|other| is_silent(other, lasting, now)) {
                details.reason += ", nor of any other agent: the way from them may be at fault";
                details.blame = blame(Blame::Path);
            }
            match agent.last_seen {
                _ if is_away(agent) => Condition::Good,
                None => Condition::Unclear,
                Some(_) if !is_silent(agent, lasting, now) => Condition::Good,
                // This collector was not there for long enough to hear the agent.
                Some(_) if now.duration_since(facts.heard_since) < signed(lasting) => Condition::Unclear,
                Some(at) => Condition::Bad { since: at, is_bounded: true, is_ripe: true },
            }
        }
        What::Backlog { over } => {
            details.reason = format!("{} records wait in its outbox", agent.pending);
            let is_behind = u64::try_from(agent.pending).is_ok_and(|pending| pending > over);
            // The records in the outbox of a retired agent arrive only if a person finds that outbox.
            now_if(is_behind && agent.presence != Presence::Retired, now)
        }
        What::Dropped => {
            mark = Some(agent.dropped);
            let known = previous.and_then(|alert| alert.mark).unwrap_or_else(|| dropped_before(agent, now));
            details.reason =
                format!("it declared {} records dropped, of {} in all", agent.dropped - known, agent.dropped);
            match previous {
                _ if agent.dropped > known => now_if(true, now),
                Some(alert) if now.duration_since(alert.changed_at) < NO_MORE_DROPPED => Condition::Unclear,
                _ => Condition::Good,
            }
        }
        What::Doubled => {
            details.reason = "two hosts report under its name: give each an agent.name of its own".into();
            now_if(agent.doubled, now)
        }
        What::Down { .. } | What::Slow { .. } | What::CertificateExpiring { .. } | What::Blind { .. } => {
            Condition::Unclear
        }
    };
    Judgement { subject: agent.name.clone(), condition, details, mark }
}

/// Returns how many dropped records of an agent are no news to a rule that looks at it for the first time.
fn dropped_before(agent: &AgentRow, now: Timestamp) -> i64 {
    let is_new = agent.first_seen.is_some_and(|at| now.duration_since(at) < NEW_AGENT);
    if is_new { 0 } else { agent.dropped }
}

/// Returns whether nothing is expected from the agent: it said that it stops, or a person said that it is gone.
fn is_away(agent: &AgentRow) -> bool {
    matches!(agent.presence, Presence::Stopped | Presence::Retired)
}

/// Returns whether the agent is expected to report.
fn is_expected(agent: &AgentRow) -> bool {
    !is_away(agent) && agent.last_seen.is_some()
}

fn is_silent(agent: &AgentRow, lasting: std::time::Duration, now: Timestamp) -> bool {
    agent.last_seen.is_none_or(|at| now.duration_since(at) >= signed(lasting))
}

fn now_if(is_bad: bool, now: Timestamp) -> Condition {
    if is_bad { Condition::Bad { since: now, is_bounded: false, is_ripe: true } } else { Condition::Good }
}

fn blame(blame: Blame) -> Option<String> {
    let word = match blame {
        Blame::Target => "target",
        Blame::Path => "path",
    };
    Some(word.into())
}

fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[allow(clippy::cast_precision_loss)] // for people
fn seconds(us: i64) -> String {
    format!("{:.3} s", us as f64 / 1e6)
}
