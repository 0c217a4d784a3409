//! The numbers that people are told about a monitor, and what they mean.
//!
//! *Uptime* is the share of successes among the checks that say something about the site. An `agent_error` says nothing
//! about it. *Coverage* is the share of results that arrived among those that agents said should arrive. What was not
//! checked does not count as uptime, but it is not left out silently, either. *Response times* are those of the checks
//! that got a whole answer. Their percentiles are exact to their bucket. An *outage* is failures in a row as one agent
//! saw them, from the first failure to the next success.

pub mod agent;
pub mod alerts;
pub mod counts;
pub mod detail;
pub mod due;
pub mod incident;
pub mod looks;
pub mod overview;
pub mod period;
pub mod source;
#[cfg(test)]
mod truth;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use counts::Counts;

/// The time from a moment up to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first moment of the window.
    pub since: Timestamp,
    /// The first moment after the window.
    pub until: Timestamp,
}

impl Window {
    /// Returns the window of bars that have these edges. There must be at least two edges.
    pub(crate) fn between(edges: &[Timestamp]) -> Window {
        Window { since: edges[0], until: edges[edges.len() - 1] }
    }
}

/// The beginning of the window that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The window begins at this moment.
    At(Timestamp),
    /// The window begins this time before its end.
    BeforeEnd(Duration),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// The beginning of the window.
    pub begin: Begin,
    /// The end of the window. When it is none or in the future, the window lasts up to what has arrived by now.
    pub until: Option<Timestamp>,
    /// The ids of the monitors; all monitors when it is empty.
    pub monitors: Vec<String>,
    /// The names of the agents; all agents when it is empty.
    pub agents: Vec<String>,
    /// Whether each agent has figures of its own.
    pub by_agent: bool,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The window in which checks are counted. It ends with what has arrived by now when a later end was asked for.
    pub window: Window,
    /// The moment up to which outages are told. It is later than the window's end, because a failure is known at once.
    pub as_of: Timestamp,
    /// The figures, sorted by the monitors' ids.
    pub figures: Vec<Figures>,
}

/// The reason why there is no window to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWindow {
    /// The window ends where it begins, or before.
    #[error("the window from {0} to {1} is empty; let it end after its begin")]
    Empty(Timestamp, Timestamp),
    /// The window begins later than now.
    #[error("the window begins at {0}, which is yet to come: now it is {1}; let it begin earlier")]
    ToCome(Timestamp, Timestamp),
    /// The window begins before all time.
    #[error("the window begins too long before {0}; let it begin later")]
    TooLong(Timestamp),
}

/// What is known about a monitor in a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// The id of the monitor.
    pub monitor: String,
    /// The name of the monitor; none when it was due and nothing of it arrived.
    pub name: Option<String>,
    /// The url of the monitor; none when it was due and nothing of it arrived.
    pub url: Option<String>,
    /// The agent whose view it is; none when it is the view of all agents that were asked for.
    pub agent: Option<String>,
    /// The number of results that arrived.
    pub checks: i64,
    /// The number of results with a success.
    pub success: i64,
    /// The number of results that an agent's own trouble spoiled.
    pub agent_errors: i64,
    /// The number of results that those agents said should arrive. For all agents together it includes the results of
    /// time in which no agent looked.
    pub due: i64,
    /// The number of due results that did not arrive, computed for each agent on its own.
    pub unseen: i64,
    /// How long answers took.
    pub response_times: ResponseTimes,
    /// The outages, oldest first.
    pub outages: Vec<Outage>,
}

/// How long answers took, in microseconds; none without an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ResponseTimes {
    /// The number of answers.
    pub answered: i64,
    /// The mean.
    pub mean_us: Option<f64>,
    /// The median.
    pub p50_us: Option<f64>,
    /// The 95th percentile: 95 of 100 answers were faster.
    pub p95_us: Option<f64>,
    /// The 99th percentile: 99 of 100 answers were faster.
    pub p99_us: Option<f64>,
    /// The longest time.
    pub max_us: Option<i64>,
}

/// An outage: failures in a row as one agent saw them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// The agent that saw it.
    pub agent: String,
    /// The moment when the first failed check began.
    pub began: Timestamp,
    /// The moment when the next successful check began; none when there was none in the window.
    pub ended: Option<Timestamp>,
    /// Whether it is known that the outage ended then. Otherwise that agent looked for the last time then, and saw no
    /// success.
    pub is_end_known: bool,
    /// The number of failed checks.
    pub failures: i64,
    /// The outcome of the first failed check.
    pub outcome: String,
    /// The status code of the first failed check.
    pub status_code: Option<i16>,
    /// The reason of the first failed check, for people.
    pub error: Option<String>,
}

impl Query {
    /// Returns the window at a moment. A window that would go on ends shortly before that moment: what is in the
    /// future, or may be on its way, is neither unseen nor down.
    ///
    /// # Errors
    /// Returns an error when nothing of the window is in the past yet.
    pub fn window(&self, now: Timestamp) -> Result<Window, NoWindow> {
        let until = self.until.filter(|until| *until <= now).unwrap_or_else(|| period::latest_end(now));
        let since = match self.begin {
            Begin::At(since) => since,
            Begin::BeforeEnd(lasting) => until.checked_sub(lasting).map_err(|_| NoWindow::TooLong(until))?,
        };
        match since {
            since if since > now => Err(NoWindow::ToCome(since, now)),
            since if since >= until => Err(NoWindow::Empty(since, until)),
            since => Ok(Window { since, until }),
        }
    }
}

impl Figures {
    /// Returns whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.counts().is_empty() && self.outages.is_empty()
    }

    /// Returns what was seen, and what that leaves open.
    pub fn counts(&self) -> Counts {
        let Figures { checks, success, agent_errors, unseen, .. } = *self;
        Counts { checks, success, agent_errors, unseen }
    }

    /// Returns how long at least one agent saw an outage. An outage that has not ended lasts to `until`.
    pub fn downtime(&self, until: Timestamp) -> SignedDuration {
        let mut spans: Vec<_> = self.outages.iter().map(|it| (it.began, it.ended.unwrap_or(until))).collect();
        spans.sort_unstable();
        let mut total = SignedDuration::ZERO;
        let mut counted = Timestamp::MIN;
        for (began, ended) in spans {
            let from = began.max(counted);
            if from < ended {
                total += ended.duration_since(from);
                counted = ended;
            }
        }
        total
    }
}

/// Returns the word of a value in JSON, such as a verdict.
pub fn word(of: impl Serialize) -> String {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn outage(began: i64, ended: Option<i64>) -> Outage {
        Outage {
            agent: "a".into(),
            began: at(began),
            ended: ended.map(at),
            is_end_known: true,
            failures: 1,
            outcome: "timeout".into(),
            status_code: None,
            error: None,
        }
    }

    fn query(begin: Begin, until: Option<i64>) -> Query {
        Query { begin, until: until.map(at), monitors: Vec::new(), agents: Vec::new(), by_agent: false }
    }

    #[test]
    fn a_window_ends_with_what_has_arrived_by_now_whatever_end_is_asked_for() {
        let window = |begin, until| query(begin, until).window(at(1_000)).unwrap();
        let up_to = |since, until| Window { since: at(since), until: at(until) };
        assert_eq!(window(Begin::At(at(10)), None), up_to(10, 970));
        assert_eq!(window(Begin::At(at(10)), Some(9_999)), up_to(10, 970));
        assert_eq!(window(Begin::At(at(10)), Some(500)), up_to(10, 500));
        assert_eq!(window(Begin::At(at(10)), Some(999)), up_to(10, 999), "it was asked for");
        let hundred = Begin::BeforeEnd(Duration::from_secs(100));
        assert_eq!(window(hundred, Some(9_999)), up_to(870, 970), "it is counted back from the real end");
        assert_eq!(window(hundred, Some(500)), up_to(400, 500));
    }

    #[test]
    fn a_window_of_which_nothing_has_been_is_refused() {
        let refused = |begin, until| query(begin, until).window(at(1_000)).unwrap_err();
        assert_eq!(refused(Begin::At(at(1_001)), None), NoWindow::ToCome(at(1_001), at(1_000)));
        assert_eq!(refused(Begin::At(at(1_001)), Some(2_000)), NoWindow::ToCome(at(1_001), at(1_000)));
        assert_eq!(refused(Begin::At(at(600)), Some(500)), NoWindow::Empty(at(600), at(500)));
        assert_eq!(refused(Begin::At(at(1_000)), Some(2_000)), NoWindow::Empty(at(1_000), at(970)));
        assert_eq!(refused(Begin::BeforeEnd(Duration::ZERO), Some(500)), NoWindow::Empty(at(500), at(500)));
        assert_eq!(refused(Begin::BeforeEnd(Duration::MAX), None), NoWindow::TooLong(at(970)));
        let told = refused(Begin::At(at(1_001)), None).to_string();
        assert_eq!(
            told,
            "the window begins at 1970-01-01T00:16:41Z, which is yet to come: now it is 1970-01-01T00:16:40Z; \
             let it begin earlier"
        );
    }

    #[test]
    fn outages_that_several_agents_saw_at_once_count_once() {
        let outages = vec![outage(50, None), outage(10, Some(30)), outage(20, Some(25)), outage(28, Some(35))];
        let figures = Figures { outages, ..Figures::default() };
        assert_eq!(figures.downtime(at(60)), SignedDuration::from_secs(35));
    }
}
