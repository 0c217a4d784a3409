//! What pages and programs are shown: all monitors in short, one at length, and the agents.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::counts::Counts;
use super::incident::Incident;
use super::state::State;
use super::{ResponseTimes, Window};

/// How far back is looked, in bars of equal length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Period {
    /// 24 hours, by the hour.
    #[default]
    Day,
    /// 30 days of UTC, by the day.
    Month,
    /// 90 days of UTC, by the day.
    Quarter,
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// A result may be on its way for so long: what is newer is not looked at, since it would look like a gap.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(30);

impl Period {
    /// How long a bar is, and how many there are.
    pub const fn bars(self) -> (SignedDuration, i32) {
        match self {
            Period::Day => (HOUR, 24),
            Period::Month => (DAY, 30),
            Period::Quarter => (DAY, 90),
        }
    }

    /// The edges of the bars at a moment, oldest first: one more than bars, and the last bar is cut.
    pub fn edges(self, now: Timestamp) -> Vec<Timestamp> {
        let (bar, bars) = self.bars();
        let until = now.saturating_sub(ON_ITS_WAY).unwrap_or(now);
        let into = until.as_second().rem_euclid(bar.as_secs());
        let last = Timestamp::from_second(until.as_second() - into).unwrap_or(until);
        let edge = |n: i32| last.saturating_sub(bar * n).unwrap_or(last);
        (0..bars).rev().map(edge).chain([until]).collect()
    }
}

/// Tags of a monitor, by name.
pub type Tags = BTreeMap<String, String>;

/// All monitors in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// The moment of which all of it is.
    pub as_of: Timestamp,
    /// How far back.
    pub period: Period,
    /// From the begin of the oldest bar up to that moment.
    pub window: Window,
    /// By name.
    pub monitors: Vec<Summary>,
}

/// A monitor in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its url, as its latest definition has it.
    pub url: String,
    /// Its tags, those of all agents that are to look at it together.
    pub tags: Tags,
    /// How it is now.
    pub state: State,
    /// Whether no agent is to look at it any more: it went from every configuration.
    pub is_retired: bool,
    /// Of the whole window.
    pub counts: Counts,
    /// Of the whole window.
    pub times: ResponseTimes,
    /// Oldest first; all monitors have the same ones.
    pub bars: Vec<Bar>,
}

/// A monitor in one hour or day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// Its first moment.
    pub since: Timestamp,
    /// What was seen in it; empty where nothing was due.
    #[serde(flatten)]
    pub counts: Counts,
}

/// One monitor at length.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// The moment of which all of it is.
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
    /// Of each list so many are shown.
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
    /// Of whom; none: nobody was to look, though one had before.
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
    /// Why it failed, for people.
    pub error: Option<String>,
}

/// An agent, as the tables know it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentRow {
    /// Its name.
    pub name: String,
    /// Its version, when it reported.
    pub version: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When its latest report was stored, by the database's clock.
    pub last_seen: Option<Timestamp>,
    /// Whether it reports every minute, has said that it stops, or is silent though it has not.
    pub presence: Presence,
    /// Monitors that it is to check.
    pub monitors: i64,
    /// Records that waited in its outbox at its latest report.
    pub pending: i64,
    /// Numbers that it declared dropped, of all its runs.
    pub dropped: i64,
    /// Results that were set aside, of all its runs.
    pub rejected: i64,
    /// Bytes of its outbox at its latest report.
    pub outbox_bytes: Option<i64>,
    /// How many times its clock jumped since its start.
    pub clock_jumps: i64,
    /// The last jump in microseconds; negative is backwards.
    pub last_jump_us: i64,
    /// Entries of its configuration that were skipped since they are wrong.
    pub configuration_faults: i64,
    /// Slots without a check since its start, by reason.
    pub missed: BTreeMap<String, i64>,
}

/// Whether an agent is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It reports.
    Running,
    /// It said that it stops.
    Stopped,
    /// It said nothing for three minutes, and has not said that it stops.
    Silent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_at_full_hours_and_days_and_leave_out_what_may_be_on_its_way() {
        let now = "2026-11-24T10:00:20Z".parse().unwrap();
        let hours = Period::Day.edges(now);
        assert_eq!((hours.len(), hours[0].to_string()), (25, "2026-11-23T10:00:00Z".into()));
        assert_eq!(
            hours[23..].iter().map(Timestamp::to_string).collect::<Vec<_>>(),
            ["2026-11-24T09:00:00Z", "2026-11-24T09:59:50Z"]
        );
        let days = Period::Month.edges(now);
        assert_eq!((days.len(), days[0].to_string()), (31, "2026-10-26T00:00:00Z".into()));
        assert_eq!(Period::Quarter.edges(now).len(), 91);
    }
}
