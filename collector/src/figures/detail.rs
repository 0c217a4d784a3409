//! What pages and programs are shown about one monitor, at length.

use jiff::Timestamp;
use serde::Serialize;

use super::counts::Counts;
use super::incident::Incident;
use super::overview::{Bar, Summary};
use super::period::Period;
use super::{ResponseTimes, Window};

/// One monitor at length.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// The moment to which all figures refer.
    pub as_of: Timestamp,
    /// How far back the page looks.
    pub period: Period,
    /// The window from the beginning of the oldest bar up to that moment.
    pub window: Window,
    /// The monitor in short.
    pub summary: Summary,
    /// What each agent saw, sorted by the agents' names.
    pub agents: Vec<Side>,
    /// The response times over the window, oldest first. Times without an answer have no point.
    pub series: Vec<Point>,
    /// The incidents, newest first, at most [`Detail::MOST`].
    pub incidents: Vec<Incident>,
    /// The gaps, newest first, at most [`Detail::MOST`].
    pub gaps: Vec<Gap>,
    /// The late results, newest first, at most [`Detail::MOST`].
    pub late: Vec<Late>,
    /// The latest results, newest first, at most [`Detail::MOST`] and one more. The additional one shows that there are
    /// more.
    pub results: Vec<ResultRow>,
}

impl Detail {
    /// The largest number of entries that are shown of each list.
    pub const MOST: usize = 50;
}

/// What one agent saw of a monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// The name of the agent.
    pub agent: String,
    /// The counts of the window.
    pub counts: Counts,
    /// The response times of the window.
    pub times: ResponseTimes,
    /// The bars of the agent, with the same edges as those of the summary.
    pub bars: Vec<Bar>,
}

/// The response times of a span of time, over all agents.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The first moment of the span.
    pub since: Timestamp,
    /// The median, in microseconds.
    pub p50_us: f64,
    /// The 95th percentile, in microseconds.
    pub p95_us: f64,
    /// The means of the phases in microseconds: dns, connect, tls, first byte, body. They are known only for the last
    /// 24 hours.
    pub phases_us: Option<[f64; 5]>,
}

/// A gap: time in which fewer results arrived than were due, by whole hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The agent whose results are missing; none for time in which no agent was to look, although one had before.
    pub agent: Option<String>,
    /// The beginning of its first hour.
    pub began: Timestamp,
    /// The end of its last hour.
    pub ended: Timestamp,
    /// The number of checks without a result.
    pub unseen: i64,
    /// The number of checks that the agent's own trouble spoiled.
    pub agent_errors: i64,
}

/// Results of an hour that arrived long after their checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Late {
    /// The agent that made the checks.
    pub agent: String,
    /// The beginning of the hour in which the checks were made.
    pub hour: Timestamp,
    /// The moment when the last of them was stored.
    pub received_at: Timestamp,
    /// The number of results of that agent that arrived late in that hour, over all its monitors.
    pub results: i64,
}

/// A result as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResultRow {
    /// The moment when its check began.
    pub checked_at: Timestamp,
    /// The agent that made the check.
    pub agent: String,
    /// The outcome, which is one word.
    pub outcome: String,
    /// The status code of HTTP.
    pub status_code: Option<i16>,
    /// The reason phrase of HTTP.
    pub reason: Option<String>,
    /// The duration of the whole check, in microseconds.
    pub response_time_us: Option<i64>,
    /// The phases in microseconds: dns, connect, tls, first byte, body.
    pub phases_us: [Option<i64>; 5],
    /// The number of attempts.
    pub attempts: i16,
    /// The address and port that answered.
    pub peer: Option<String>,
    /// The end of the certificate that was shown.
    pub certificate_not_after: Option<Timestamp>,
    /// The earliest end among the certificates that the check relied on, when it differs from the end of the one shown.
    pub certificate_first_end: Option<Timestamp>,
    /// The reason of the failure, for people.
    pub error: Option<String>,
}
