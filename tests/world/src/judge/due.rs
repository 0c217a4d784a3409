//! What is said to be due is at most one slot less than what the grid has, for each time without a gap.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::Case;
use crate::agent::{Agent, Time};
use crate::common::timestamp;
use crate::fault::FaultKind;
use crate::figures::due::{Schedule, Span};
use crate::monitor::INTERVAL;
use crate::rules::Rule;

/// This is any agent's id.
const AGENT: i32 = 1;

pub(super) fn is_enough(case: &mut Case<'_>) {
    let until = case.world.common.now;
    for agent in case.world.agents.iter().filter(|agent| agent.was_never_reloaded()) {
        let times = ended(&agent.times);
        let real = slots(agent, &times, until);
        let due = match case.world.common.has(Rule::Due) {
            true => told(&times, until),
            false => rounded(&times, until),
        };
        let gaps = times.iter().filter(|time| time.is_stopped).count() as i64;
        if due + gaps + 1 < real {
            let runs = times.len();
            case.finds(FaultKind::TooFewDue, || format!("{}: {due} of {real} slots in {runs} runs", agent.name));
        }
    }
}

/// A run ends with its clean stop, or else with the next run.
struct Ended {
    begins: i64,
    ends: Option<i64>,
    is_stopped: bool,
    /// The next run began then.
    next: Option<i64>,
}

fn ended(times: &[Time]) -> Vec<Ended> {
    let end = |(index, time): (usize, &Time)| {
        let next = times.get(index + 1).map(|next| next.begins);
        Ended { begins: time.begins, ends: time.stopped.or(next), is_stopped: time.stopped.is_some(), next }
    };
    times.iter().enumerate().map(end).collect()
}

/// Counts the slots of the grid.
fn slots(agent: &Agent, times: &[Ended], until: i64) -> i64 {
    let Some(monitor) = agent.monitors.first() else { return 0 };
    times.iter().map(|time| monitor.slots(time.begins, time.ends.unwrap_or(until))).sum()
}

/// Counts the slots that fit into each time.
fn rounded(times: &[Ended], until: i64) -> i64 {
    times.iter().map(|time| (time.ends.unwrap_or(until) - time.begins) / INTERVAL).sum()
}

/// Counts the slots as the product does.
fn told(times: &[Ended], until: i64) -> i64 {
    let span = |time: &Ended| Span {
        agent_id: AGENT,
        interval: SignedDuration::from_millis(INTERVAL),
        tags: BTreeMap::new(),
        begins: timestamp(time.begins),
        ends: time.ends.map(timestamp),
        is_stopped: time.is_stopped,
        resumes: if time.is_stopped { time.next.map(timestamp) } else { None },
    };
    let schedule = Schedule::new(times.iter().map(span).collect(), timestamp(until));
    schedule.due(timestamp(0), timestamp(until)).remove(&AGENT).unwrap_or_default()
}
