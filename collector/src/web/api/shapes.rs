//! The answers of the API, as `openapi.yaml` describes them.

use jiff::Timestamp;
use serde::Serialize;

use crate::figures::agent::AgentRow;
use crate::figures::counts::{Bounds, Counts};
use crate::figures::detail::{Detail, Gap, Late, Point, ResultRow, Side};
use crate::figures::incident::Incident;
use crate::figures::looks::look::Latest;
use crate::figures::looks::state::Verdict;
use crate::figures::overview::{Bar, Summary, Tags};
use crate::figures::period::Period;
use crate::figures::{ResponseTimes, Window};
use crate::web::request::filter::word;
use crate::web::request::paging::page;

/// The moment, the period and the window of an answer.
#[derive(Serialize)]
pub(super) struct At {
    as_of: Timestamp,
    period: &'static str,
    since: Timestamp,
    until: Timestamp,
}

impl At {
    pub(super) fn new(as_of: Timestamp, period: Period, window: Window) -> At {
        At { as_of, period: word(period), since: window.since, until: window.until }
    }

    fn of(detail: &Detail) -> At {
        At::new(detail.as_of, detail.period, detail.window)
    }
}

/// Counts, and the figures that follow from them.
#[derive(Serialize)]
pub(super) struct Seen {
    #[serde(flatten)]
    counts: Counts,
    failed: i64,
    expected: i64,
    uptime: Option<f64>,
    bounds: Option<Bounds>,
    coverage: Option<f64>,
}

impl From<Counts> for Seen {
    fn from(counts: Counts) -> Seen {
        Seen {
            failed: counts.failed(),
            expected: counts.expected(),
            uptime: counts.uptime(),
            bounds: counts.bounds(),
            coverage: counts.coverage(),
            counts,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Monitor<'a> {
    id: &'a str,
    name: &'a str,
    url: &'a str,
    tags: &'a Tags,
    is_retired: bool,
    verdict: Verdict,
    latest: &'a [Latest],
    certificate_not_after: Option<Timestamp>,
    certificate_first_end: Option<Timestamp>,
    seen: Seen,
    response_times: ResponseTimes,
}

impl<'a> Monitor<'a> {
    pub(super) fn of(monitor: &'a Summary) -> Monitor<'a> {
        Monitor {
            id: &monitor.id,
            name: &monitor.name,
            url: &monitor.url,
            tags: &monitor.tags,
            is_retired: monitor.is_retired,
            verdict: monitor.state.verdict,
            latest: &monitor.state.agents,
            certificate_not_after: monitor.state.certificate_not_after(),
            certificate_first_end: monitor.state.certificate_first_end(),
            seen: monitor.counts.into(),
            response_times: monitor.times,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Monitors<'a> {
    #[serde(flatten)]
    pub(super) at: At,
    pub(super) total: usize,
    pub(super) monitors: Vec<Monitor<'a>>,
    pub(super) next: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct One<'a> {
    #[serde(flatten)]
    at: At,
    monitor: Monitor<'a>,
    agents: Vec<View<'a>>,
    series: &'a [Point],
}

#[derive(Serialize)]
struct View<'a> {
    agent: &'a str,
    seen: Seen,
    response_times: ResponseTimes,
}

impl<'a> One<'a> {
    pub(super) fn of(detail: &'a Detail) -> One<'a> {
        let view = |side: &'a Side| View { agent: &side.agent, seen: side.counts.into(), response_times: side.times };
        One {
            at: At::of(detail),
            monitor: Monitor::of(&detail.summary),
            agents: detail.agents.iter().map(view).collect(),
            series: &detail.series,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Uptime {
    #[serde(flatten)]
    at: At,
    seen: Seen,
    bars: Vec<OfBar>,
}

#[derive(Serialize)]
struct OfBar {
    since: Timestamp,
    seen: Seen,
}

impl Uptime {
    pub(super) fn of(detail: &Detail) -> Uptime {
        let bar = |bar: &Bar| OfBar { since: bar.since, seen: bar.counts.into() };
        let summary = &detail.summary;
        Uptime { at: At::of(detail), seen: summary.counts.into(), bars: summary.bars.iter().map(bar).collect() }
    }
}

#[derive(Serialize)]
pub(super) struct Outages<'a> {
    #[serde(flatten)]
    at: At,
    incidents: Vec<Lasting<'a>>,
    gaps: &'a [Gap],
    late: &'a [Late],
}

#[derive(Serialize)]
struct Lasting<'a> {
    #[serde(flatten)]
    incident: &'a Incident,
    lasted_seconds: i64,
}

impl<'a> Outages<'a> {
    pub(super) fn of(detail: &'a Detail) -> Outages<'a> {
        let lasting =
            |incident: &'a Incident| Lasting { incident, lasted_seconds: incident.lasted(detail.as_of).as_secs() };
        Outages {
            at: At::of(detail),
            incidents: detail.incidents.iter().map(lasting).collect(),
            gaps: &detail.gaps,
            late: &detail.late,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Results<'a> {
    results: &'a [ResultRow],
    next: Option<Timestamp>,
}

impl<'a> Results<'a> {
    /// Creates a page from results that were read. One result more than the limit is read if there is one.
    pub(super) fn page(read: &'a [ResultRow], limit: usize) -> Results<'a> {
        let (results, next) = page(read, limit);
        Results { results, next }
    }
}

#[derive(Serialize)]
pub(super) struct Agents<'a> {
    pub(super) agents: &'a [AgentRow],
}
