//! Computes what should have arrived, from what agents said: which monitors they check, how often, and from when to
//! when.
//!
//! ```text
//! agent a   ├── checks every 30 s ──┤ clean stop      ├── checks every 30 s ──
//! agent b             ├── checks every 60 s ──┤ clean stop
//!                                             └─ idle ─┘
//! ```
//! An agent that dies without saying so is still expected to look, so the checks that it did not make count as not
//! seen. An agent that stops cleanly is not expected to look while another one looks. The time in which no agent looks
//! although one had before is *idle* time, and it counts as not seen, too. A monitor that is gone from a configuration
//! is no longer due.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::counts::Counts;
use super::overview::Tags;

/// A span: a time in which an agent was to check a monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The agent.
    pub agent_id: i32,
    /// The interval of its checks.
    pub interval: SignedDuration,
    /// The tags of the monitor in this span.
    pub tags: Tags,
    /// The beginning of the span.
    pub begins: Timestamp,
    /// The end of the span; none while it lasts.
    pub ends: Option<Timestamp>,
    /// Whether a clean stop ended the span.
    pub is_stopped: bool,
    /// The moment when the agent began again after a clean stop; none while it has not.
    pub resumes: Option<Timestamp>,
}

/// What agents were to do for one monitor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    spans: Vec<Span>,
    /// The idle times, up to the moment of the schedule.
    idle: Vec<Idle>,
}

/// Idle time, in which no agent looked although one had before.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Idle {
    begins: Timestamp,
    ends: Timestamp,
    interval: SignedDuration,
}

impl Schedule {
    /// Creates the schedule of these spans at a moment.
    pub fn new(mut spans: Vec<Span>, now: Timestamp) -> Schedule {
        spans.sort_by_key(|span| span.begins);
        let idle = idle(&spans, now);
        Schedule { spans, idle }
    }

    /// Returns which agents are to look at the monitor now, and how often.
    pub fn lookers(&self) -> impl Iterator<Item = (i32, SignedDuration)> {
        self.spans.iter().filter(|span| span.ends.is_none()).map(|span| (span.agent_id, span.interval))
    }

    /// Returns how often an agent was to look at the monitor at a moment; none when it was not.
    pub fn interval_of(&self, agent_id: i32, at: Timestamp) -> Option<SignedDuration> {
        let holds =
            |span: &&Span| span.agent_id == agent_id && span.begins <= at && span.ends.is_none_or(|ends| ends > at);
        self.spans.iter().filter(holds).map(|span| span.interval).max()
    }

    /// Returns whether the monitor is in no configuration any more: no agent is to look, and no agent that would look
    /// is stopped.
    pub fn is_retired(&self) -> bool {
        let is_waiting = |span: &Span| span.ends.is_none() || span.is_stopped && span.resumes.is_none();
        !self.spans.iter().any(is_waiting)
    }

    /// Returns the present tags of the monitor: those of all agents that are to look at it together. A tag that only a
    /// stopped agent gave, such as one that makes the monitor public, no longer holds.
    ///
    /// While no agent is to look, the tags are those of the latest span. An agent that stops for an upgrade should
    /// neither move its monitors to another group nor hide them from the people for whom their alerts and pages are.
    pub fn tags(&self) -> Tags {
        let mut now = self.spans.iter().filter(|span| span.ends.is_none()).peekable();
        let latest = if now.peek().is_none() { self.spans.last() } else { None };
        latest.into_iter().chain(now).flat_map(|span| span.tags.clone()).collect()
    }

    /// Returns how many results each agent owes for a time. An agent that starts again and again owes no less than one
    /// that runs on: the parts of slots of one interval are added up over its spans before the sum is rounded.
    pub fn due(&self, since: Timestamp, until: Timestamp) -> BTreeMap<i32, i64> {
        let mut parts: BTreeMap<(i32, SignedDuration), f64> = BTreeMap::new();
        for span in &self.spans {
            let slots = slots(span.begins, span.ends.unwrap_or(until), span.interval, since, until);
            *parts.entry((span.agent_id, span.interval)).or_default() += slots;
        }
        let mut due = BTreeMap::new();
        for ((agent_id, _), slots) in parts {
            *due.entry(agent_id).or_default() += whole(slots);
        }
        due
    }

    /// Returns the agents that were to look at some time.
    pub fn agents(&self) -> BTreeSet<i32> {
        self.spans.iter().map(|span| span.agent_id).collect()
    }

    /// Returns how many results an agent owes for each bar between these edges.
    pub fn of_agent(&self, agent_id: i32, edges: &[Timestamp]) -> Vec<i64> {
        let spans = self.spans.iter().filter(|span| span.agent_id == agent_id);
        spread(spans.map(|span| (span.begins, span.ends, span.interval)), edges)
    }

    /// Returns how many results of idle time are missing for each bar.
    pub fn of_no_agent(&self, edges: &[Timestamp]) -> Vec<i64> {
        spread(self.idle.iter().map(|idle| (idle.begins, Some(idle.ends), idle.interval)), edges)
    }
}

/// Returns the counts of one agent in each bar: what arrived, and what it owes and did not deliver. Results beyond the
/// due number in one bar fill no gap in another one. With no results at all, it returns the counts of idle time.
pub fn counts(arrived: &[Counts], due: &[i64]) -> Vec<Counts> {
    let arrived = |n: usize| arrived.get(n).copied().unwrap_or_default();
    let unseen = unseen(due, |n| arrived(n).checks);
    (0..).zip(unseen).map(|(n, unseen)| Counts { unseen, ..arrived(n) }).collect()
}

/// Returns how many of the results that one agent owes for each bar did not arrive. A slot near an edge may have moved
/// over it: when a bar has one result too few and its neighbour has one too many, nothing is missing.
fn unseen(due: &[i64], arrived: impl Fn(usize) -> i64) -> Vec<i64> {
    let mut missing: Vec<i64> = due.iter().enumerate().map(|(n, due)| due - arrived(n)).collect();
    for n in 1..missing.len() {
        let over = match (missing[n - 1], missing[n]) {
            (1.., ..=-1) => 1,
            (..=-1, 1..) => -1,
            _ => 0,
        };
        missing[n - 1] -= over;
        missing[n] += over;
    }
    missing.into_iter().map(|missing| missing.max(0)).collect()
}

#[allow(clippy::cast_possible_truncation)] // far below
fn whole(slots: f64) -> i64 {
    // The addition keeps a whole number whole that a division rounded down slightly.
    (slots + 1e-6).floor() as i64
}

/// Returns how many slots of a span lie within a window, with parts of slots.
fn slots(begins: Timestamp, ends: Timestamp, interval: SignedDuration, since: Timestamp, until: Timestamp) -> f64 {
    let inside = ends.min(until).duration_since(begins.max(since));
    (inside.as_secs_f64() / interval.as_secs_f64().max(0.001)).max(0.0)
}

/// Returns the number of whole slots of each bar: for each interval, the slots up to the end of the bar that no earlier
/// bar has.
fn spread(
    spans: impl Iterator<Item = (Timestamp, Option<Timestamp>, SignedDuration)>,
    edges: &[Timestamp],
) -> Vec<i64> {
    let mut due = vec![0; edges.len().saturating_sub(1)];
    let mut parts: BTreeMap<SignedDuration, Vec<f64>> = BTreeMap::new();
    for (begins, ends, interval) in spans {
        let parts = parts.entry(interval).or_insert_with(|| vec![0.0; due.len()]);
        let first = edges.partition_point(|edge| *edge <= begins).saturating_sub(1);
        for (n, part) in parts.iter_mut().enumerate().skip(first) {
            if ends.is_some_and(|ends| ends <= edges[n]) {
                break;
            }
            *part += slots(begins, ends.unwrap_or(Timestamp::MAX), interval, edges[n], edges[n + 1]);
        }
    }
    for parts in parts.into_values() {
        let (mut so_far, mut counted) = (0.0, 0);
        for (part, bar) in parts.into_iter().zip(&mut due) {
            so_far += part;
            *bar += whole(so_far) - counted;
            counted = whole(so_far);
        }
    }
    due
}

/// Returns the times after clean stops in which no other agent looked.
fn idle(spans: &[Span], now: Timestamp) -> Vec<Idle> {
    let off = |span: &&Span| span.is_stopped && span.ends.is_some();
    let mut off: Vec<Idle> = spans
        .iter()
        .filter(off)
        .map(|span| Idle {
            begins: span.ends.unwrap_or(now),
            ends: span.resumes.unwrap_or(now).min(now),
            interval: span.interval,
        })
        .collect();
    off.sort_by_key(|idle| idle.begins);
    let mut found = Vec::new();
    // All time before this moment belongs to an agent, or is already counted.
    let mut counted = Timestamp::MIN;
    for idle in off {
        let mut from = idle.begins.max(counted);
        // The spans are sorted by their beginning.
        for span in spans {
            let ends = span.ends.unwrap_or(now);
            if ends <= from {
                continue;
            }
            if span.begins >= idle.ends {
                break;
            }
            if span.begins > from {
                found.push(Idle { begins: from, ends: span.begins, ..idle });
            }
            from = from.max(ends);
        }
        if from < idle.ends {
            found.push(Idle { begins: from, ..idle });
        }
        counted = counted.max(idle.ends);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Returns a span with an interval of ten seconds.
    fn span(agent_id: i32, begins: i64, ends: Option<i64>) -> Span {
        Span {
            agent_id,
            interval: SignedDuration::from_secs(10),
            tags: Tags::new(),
            begins: at(begins),
            ends: ends.map(at),
            is_stopped: false,
            resumes: None,
        }
    }

    fn stopped(agent_id: i32, begins: i64, ends: i64, resumes: Option<i64>) -> Span {
        Span { is_stopped: true, resumes: resumes.map(at), ..span(agent_id, begins, Some(ends)) }
    }

    fn unowned(schedule: &Schedule, since: i64, until: i64) -> i64 {
        schedule.of_no_agent(&[at(since), at(until)]).iter().sum()
    }

    fn named(tags: &[&str]) -> Tags {
        tags.iter().map(|tag| ((*tag).to_owned(), "yes".to_owned())).collect()
    }

    #[test]
    fn an_agent_owes_the_slots_of_its_times_within_the_window() {
        let schedule = Schedule::new(vec![span(1, 0, Some(55)), span(1, 100, None), span(2, 0, None)], at(1_000));
        assert_eq!(schedule.due(at(0), at(200)), [(1, 15), (2, 20)].into());
        assert_eq!(schedule.due(at(-100), at(0)), [(1, 0), (2, 0)].into());
        assert_eq!(schedule.of_agent(1, &[at(0), at(50), at(100), at(150)]), [5, 0, 5]);
        assert_eq!(schedule.of_agent(2, &[at(0), at(15), at(30), at(45), at(60)]), [1, 2, 1, 2]);
        assert_eq!(schedule.agents(), [1, 2].into());
        assert_eq!(unowned(&schedule, 0, 1_000), 0, "one that died is still expected");
    }

    #[test]
    fn an_agent_that_begins_more_often_than_it_checks_owes_what_one_owes_that_goes_on() {
        let restless = (0..100).map(|n| span(1, 7 * n, Some(7 * n + 7))).collect();
        let schedule = Schedule::new(restless, at(1_000));
        assert_eq!(schedule.due(at(0), at(700)), [(1, 70)].into());
        assert_eq!(schedule.of_agent(1, &[at(0), at(350), at(700)]), [35, 35]);
        let upgraded = (0..100).map(|n| stopped(1, 14 * n, 14 * n + 7, Some(14 * n + 14))).collect();
        let schedule = Schedule::new(upgraded, at(1_400));
        assert_eq!((schedule.due(at(0), at(1_400)), unowned(&schedule, 0, 1_400)), ([(1, 70)].into(), 70));
        assert_eq!(schedule.of_no_agent(&[at(0), at(700), at(1_400)]), [35, 35]);
    }

    #[test]
    fn after_a_clean_stop_nothing_is_due_while_another_one_looks() {
        let schedule = Schedule::new(vec![stopped(1, 0, 100, None), span(2, 0, None)], at(1_000));
        assert_eq!((schedule.due(at(0), at(1_000)), unowned(&schedule, 0, 1_000)), ([(1, 10), (2, 100)].into(), 0));
        assert_eq!(schedule.lookers().map(|(id, _)| id).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn time_in_which_no_one_looks_is_counted_once_up_to_the_next_start() {
        let both = vec![stopped(1, 0, 100, Some(300)), stopped(2, 50, 150, None), span(1, 300, None)];
        let schedule = Schedule::new(both, at(400));
        assert_eq!(unowned(&schedule, 0, 400), 15);
        assert_eq!(schedule.of_no_agent(&[at(0), at(200), at(400)]), [5, 10]);
        let none_came_back = Schedule::new(vec![stopped(1, 0, 100, None), stopped(2, 0, 150, None)], at(400));
        assert_eq!(unowned(&none_came_back, 0, 400), 25);
        assert!(!none_came_back.is_retired());
    }

    #[test]
    fn a_monitor_that_went_from_the_configurations_is_retired_and_owed_nothing() {
        let removed = Schedule::new(vec![span(1, 0, Some(100)), stopped(2, 0, 90, Some(95))], at(400));
        assert!(removed.is_retired());
        assert_eq!(unowned(&removed, 0, 400), 0);
        assert!(!Schedule::new(vec![span(1, 0, None)], at(400)).is_retired());
    }

    #[test]
    fn tags_are_those_of_all_who_look_and_of_the_last_who_did_only_when_no_one_does() {
        let tagged = |span: Span, tags: &[&str]| Span { tags: named(tags), ..span };
        let (a, b) = (tagged(span(1, 0, None), &["a"]), tagged(span(2, 10, None), &["b"]));
        let (early, late) = (tagged(stopped(3, 5, 50, None), &["early"]), tagged(stopped(4, 60, 90, None), &["late"]));
        let tags = |spans: &[&Span]| Schedule::new(spans.iter().map(|span| (*span).clone()).collect(), at(100)).tags();
        assert_eq!(tags(&[&a, &b, &early]), named(&["a", "b"]));
        assert_eq!(tags(&[&a, &late]), named(&["a"]), "it began last, and has stopped");
        assert_eq!(tags(&[&late, &early]), named(&["late"]));
        assert_eq!(tags(&[]), Tags::new());
    }

    #[test]
    fn a_slot_that_went_over_the_edge_of_a_bar_is_no_gap_and_one_that_is_missing_is() {
        let of = |due: &[i64], arrived: &[i64]| unseen(due, |n| arrived[n]);
        assert_eq!(of(&[120, 120, 120], &[120, 119, 121]), [0, 0, 0]);
        assert_eq!(of(&[120, 120, 120], &[121, 119, 120]), [0, 0, 0]);
        assert_eq!(of(&[2, 2, 2], &[1, 1, 1]), [1, 1, 1]);
        assert_eq!(of(&[120, 120], &[110, 121]), [9, 0]);
        assert_eq!(of(&[0, 1, 0, 1], &[0, 0, 0, 0]), [0, 1, 0, 1]);
    }
}
