//! What pages and programs are shown of one monitor, at length.

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
    /// The moment that all of it describes.
    pub as_of: Timestamp,
    /// How far back.
    pub period: Period,
    /// From the begin of the oldest bar up to that moment.
    pub window: Window,
    /// In short.
    pub summary: Summary,
    /// What each agent saw, by its name.
    pub agents: Vec<Side>,
    /// Response times over the window, oldest first; times without an answer have no point.
    pub series: Vec<Point>,
    /// Newest first, at most [`Detail::MOST`].
    pub incidents: Vec<Incident>,
    /// Newest first, at most [`Detail::MOST`].
    pub gaps: Vec<Gap>,
    /// Newest first, at most [`Detail::MOST`].
    pub late: Vec<Late>,
    /// The latest results, newest first, at most [`Detail::MOST`] and one more, which tells that there are more.
    pub results: Vec<ResultRow>,
}

impl Detail {
    /// Of each list this many are shown.
    pub const MOST: usize = 50;
}

/// What one agent saw of a monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// Its name.
    pub agent: String,
    /// Of the window.
    pub counts: Counts,
    /// Of the window.
    pub times: ResponseTimes,
    /// The same bars as the summary's.
    pub bars: Vec<Bar>,
}

/// Response times of some time, over all agents.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Its first moment.
    pub since: Timestamp,
    /// The median, in microseconds.
    pub p50_us: f64,
    /// In microseconds.
    pub p95_us: f64,
    /// Means of the phases in microseconds: dns, connect, tls, first byte, body; only of the last 24 hours.
    pub phases_us: Option<[f64; 5]>,
}

/// Time in which less arrived than was due, by whole hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Of whom; none: no one was to look, though one had before.
    pub agent: Option<String>,
    /// The begin of its first hour.
    pub began: Timestamp,
    /// The end of its last one.
    pub ended: Timestamp,
    /// Checks without a result.
    pub unseen: i64,
    /// Checks that the agent spoiled itself.
    pub agent_errors: i64,
}

/// Results of an hour that came long after they were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Late {
    /// From whom.
    pub agent: String,
    /// The begin of the hour in which the checks were made.
    pub hour: Timestamp,
    /// When the last of them was stored.
    pub received_at: Timestamp,
    /// How many results of that agent came late in that hour, of all its monitors.
    pub results: i64,
}

/// A result as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResultRow {
    /// When its check began.
    pub checked_at: Timestamp,
    /// Who checked.
    pub agent: String,
    /// One word.
    pub outcome: String,
    /// HTTP's.
    pub status_code: Option<i16>,
    /// HTTP's phrase.
    pub reason: Option<String>,
    /// The whole check, in microseconds.
    pub response_time_us: Option<i64>,
    /// dns, connect, tls, first byte, body, in microseconds.
    pub phases_us: [Option<i64>; 5],
    /// How many times it was tried.
    pub attempts: i16,
    /// Address and port that answered.
    pub peer: Option<String>,
    /// The end of the certificate that was shown.
    pub certificate_not_after: Option<Timestamp>,
    /// The earliest end among the certificates that the check relied on, where that is another.
    pub certificate_first_end: Option<Timestamp>,
    /// Why it failed, for people.
    pub error: Option<String>,
}
