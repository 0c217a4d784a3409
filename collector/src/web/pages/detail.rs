//! The page of one monitor at length: how it is and who says so, what was seen and what was not, its incidents and what
//! was at fault.

use askama::Template;
use jiff::Timestamp;

use super::drawing::bars::Bars;
use super::drawing::chart;
use super::drawing::chart::{Chart, PHASES, Pace};
use super::frame::{Frame, Place};
use super::incidents;
use super::incidents::{Befell, CameLate, Missed, Ongoing, befell, came_late, missed, ongoing};
use super::overview::Choice;
use super::status::{Status, Uptime, coverage, looked, reason, who_says};
use super::words::{When, ago, counted, grouped, roughly, time_taken};
use crate::address::monitor;
use crate::figures::ResponseTimes;
use crate::figures::counts::Counts;
use crate::figures::detail::{Detail, Point, ResultRow, Side};
use crate::figures::looks::look::{Latest, Look};
use crate::figures::overview::Bar;
use crate::figures::period::Period;
use crate::text::{cut, plain};
use crate::web::request::filter::{PERIODS, period_link};
use crate::web::request::paging::page;

/// The largest length of a name, in characters.
const NAME: usize = 300;

#[derive(Template)]
#[template(path = "detail.html")]
struct Page<'a> {
    frame: Frame,
    name: String,
    id: String,
    url: String,
    tags: Vec<Choice>,
    status: Status,
    ongoing: Option<Ongoing>,
    who_says: String,
    looked: Option<When>,
    periods: Vec<Choice>,
    bars: Bars<'a>,
    ends: [When; 2],
    figures: Vec<Figure>,
    rows: Vec<BarRow>,
    times: Option<Chart>,
    phases: Option<Chart>,
    points: Vec<PointRow>,
    incidents: Vec<Befell>,
    no_incidents: &'static str,
    gaps: Vec<Missed>,
    late: Vec<CameLate>,
    agents: Vec<SideRow<'a>>,
    results: Vec<Shown>,
    /// The moment before which results are shown; none for the latest results.
    before: Option<When>,
    newest: String,
    older: Option<String>,
}

/// A number with its name.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) number: String,
    pub(super) note: String,
}

/// A bar in numbers.
struct BarRow {
    since: When,
    uptime: Uptime,
    /// The numbers of checks, of those that succeeded, failed and were spoiled, and of those that were not seen.
    counts: [String; 5],
}

/// The response times of a point in numbers.
struct PointRow {
    since: When,
    /// p50, p95, then the phases. A phase that is not known is empty.
    times: Vec<String>,
}

/// The row of what one agent saw.
struct SideRow<'a> {
    agent: String,
    /// The class of the style and of the symbol.
    class: &'static str,
    says: String,
    at: Option<When>,
    bars: Bars<'a>,
    uptime: Uptime,
    coverage: String,
    p50: String,
    p95: String,
}

/// The row of a result.
struct Shown {
    at: When,
    agent: String,
    class: &'static str,
    word: String,
    why: String,
    time: String,
    /// The name and the time of each phase.
    phases: Vec<String>,
    peer: String,
    attempts: i16,
}

/// Results that are shown instead of the latest ones: those before a moment, and one more if there are more.
pub(super) struct Older {
    pub(super) before: Timestamp,
    pub(super) results: Vec<ResultRow>,
}

/// Returns the page.
///
/// # Errors
/// Returns only errors of the template engine.
pub(super) fn render(detail: &Detail, older: Option<&Older>) -> askama::Result<String> {
    let it = &detail.summary;
    let root = monitor("", &it.id);
    let results = older.map_or(&detail.results, |older| &older.results);
    let (results, next) = page(results, Detail::MOST);
    let period = period_link(detail.period);
    let pace = Pace::of(&detail.series, detail.period);
    let page = Page {
        frame: Frame::new(Place::Monitors, Some(detail.as_of)),
        name: cut(&it.name, NAME),
        id: if it.id == it.name { String::new() } else { plain(&it.id) },
        url: plain(&it.url),
        tags: it.tags.iter().map(tag).collect(),
        status: Status::of(it),
        ongoing: ongoing(detail),
        who_says: who_says(&it.state),
        looked: looked(&it.state),
        periods: periods(&root, detail.period),
        bars: Bars { bars: &it.bars, period: detail.period, tells: true },
        ends: [detail.window.since, detail.as_of].map(When),
        figures: figures(detail),
        rows: it.bars.iter().rev().map(bar_row).collect(),
        times: chart::lines(&detail.series, detail.window, pace),
        phases: chart::columns(&detail.series, detail.window.until, pace),
        points: detail.series.iter().rev().map(point_row).collect(),
        incidents: detail.incidents.iter().map(|it| befell(it, detail.as_of)).collect(),
        no_incidents: incidents::none(&it.counts),
        gaps: detail.gaps.iter().map(missed).collect(),
        late: detail.late.iter().map(came_late).collect(),
        agents: detail.agents.iter().map(|side| side_row(side, detail)).collect(),
        results: results.iter().map(shown).collect(),
        before: older.map(|older| When(older.before)),
        newest: format!("{root}{period}#results"),
        older: next.map(|before| {
            let and = if period.is_empty() { '?' } else { '&' };
            format!("{root}{period}{and}before={before}#results")
        }),
    };
    page.render()
}

fn tag((name, value): (&String, &String)) -> Choice {
    let value = format!("{name}:{value}");
    let filter = crate::web::request::filter::Filter { tag: value.clone(), ..Default::default() };
    Choice { word: cut(&value, NAME), link: format!("/{}", filter.link()), value, is_chosen: false }
}

/// Returns links to the same monitor over other periods.
pub(super) fn periods(root: &str, chosen: Period) -> Vec<Choice> {
    let of = |&(period, value, word): &(_, &str, &str)| Choice {
        value: value.into(),
        word: word.into(),
        link: format!("{root}{}", period_link(period)),
        is_chosen: period == chosen,
    };
    PERIODS.iter().map(of).collect()
}

fn time(us: Option<f64>) -> String {
    us.map_or_else(|| "–".into(), time_taken)
}

fn figures(detail: &Detail) -> Vec<Figure> {
    let it = &detail.summary;
    let counts = &it.counts;
    let ResponseTimes { p50_us, p95_us, p99_us, max_us, answered, .. } = it.times;
    let figure = |name, number, note: String| Figure { name, number, note };
    let of = if p50_us.is_some() { format!("of {}", counted(answered, "answer")) } else { String::new() };
    let mut figures = public_figures(counts);
    figures.extend([
        figure("Failed", grouped(counts.failed()), String::new()),
        figure("Not seen", grouped(counts.unseen), "due, but no result arrived".into()),
        figure("Spoiled by agents", grouped(counts.agent_errors), "they say nothing about the site".into()),
        figure("Median", time(p50_us), of),
        figure("p95", time(p95_us), String::new()),
        figure(
            "p99",
            time(p99_us),
            max_us.map_or_else(String::new, |us| format!("longest: {}", time_taken(us as f64))),
        ),
    ]);
    if let Some(ends) = it.state.certificate_first_end() {
        let left = ends.duration_since(detail.as_of);
        let number = if left.is_positive() { roughly(left) } else { format!("ended {}", ago(ends, detail.as_of)) };
        let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
        let note = match it.state.certificate_not_after() {
            Some(own) if own > ends => format!("to {}; its own to {}, but it rests on another", day(ends), day(own)),
            _ => format!("to {}", day(ends)),
        };
        figures.push(figure("Certificate holds", number, note));
    }
    figures
}

/// Returns the numbers that everyone may know.
pub(super) fn public_figures(counts: &Counts) -> Vec<Figure> {
    let Uptime { seen, note } = Uptime::of(counts);
    let note = match counts.bounds() {
        Some(bounds) if bounds.lower < bounds.upper && counts.failed() > 0 => format!("{note}, whatever was not seen"),
        _ => note,
    };
    let arrived = format!("{} of {}", grouped(counts.checks), counted(counts.expected(), "check"));
    vec![
        Figure { name: "Uptime as seen", number: seen, note },
        Figure { name: "Coverage", number: coverage(counts), note: arrived },
    ]
}

fn bar_row(bar: &Bar) -> BarRow {
    let counts = bar.counts;
    BarRow {
        since: When(bar.since),
        uptime: Uptime::of(&counts),
        counts: [counts.checks, counts.success, counts.failed(), counts.agent_errors, counts.unseen].map(grouped),
    }
}

fn point_row(point: &Point) -> PointRow {
    let phases = point.phases_us.map_or_else(|| vec![String::new(); PHASES.len()], |us| us.map(time_taken).into());
    PointRow {
        since: When(point.since),
        times: [point.p50_us, point.p95_us].into_iter().map(time_taken).chain(phases).collect(),
    }
}

fn side_row<'a>(side: &'a Side, detail: &Detail) -> SideRow<'a> {
    let latest = detail.summary.state.agents.iter().find(|latest| latest.agent == side.agent);
    let (class, says) = latest.map_or(("retired", "no longer monitors it".into()), look);
    SideRow {
        agent: plain(&side.agent),
        class,
        says,
        at: latest.and_then(|latest| latest.checked_at).map(When),
        bars: Bars { bars: &side.bars, period: detail.period, tells: false },
        uptime: Uptime::of(&side.counts),
        coverage: coverage(&side.counts),
        p50: time(side.times.p50_us),
        p95: time(side.times.p95_us),
    }
}

/// Returns what an agent says now: the class of a symbol, and words.
fn look(latest: &Latest) -> (&'static str, String) {
    let why = || reason(latest.outcome.as_deref().unwrap_or("failure"), latest.status_code, latest.error.as_deref());
    match latest.look {
        Look::Success => ("up", "sees it succeed".into()),
        Look::Earlier => ("unknown", "saw it succeed before others saw it fail".into()),
        Look::Failure => ("down", format!("sees it fail: {}", why())),
        Look::AgentError => ("unknown", format!("is in trouble itself: {}", why())),
        Look::Silent if latest.checked_at.is_none() => ("unknown", "silent: no result of it is known".into()),
        Look::Silent => ("unknown", "silent since its last result".into()),
    }
}

fn shown(row: &ResultRow) -> Shown {
    let (class, word) = match &*row.outcome {
        "success" => ("up", "success".into()),
        "agent_error" => ("unknown", "the agent's own trouble".into()),
        outcome => ("down", plain(outcome).replace('_', " ")),
    };
    let status = row.status_code.map(|code| match row.reason.as_deref() {
        Some(phrase) => format!("{code} {}", cut(phrase, NAME)),
        None => code.to_string(),
    });
    let error = row.error.as_deref().map(|error| cut(error, NAME));
    #[allow(clippy::cast_precision_loss)] // microseconds of at most a day
    let time = |us: i64| time_taken(us as f64);
    let phase = |((_, name), us): (&(&str, &str), Option<i64>)| us.map(|us| format!("{name} {}", time(us)));
    Shown {
        at: When(row.checked_at),
        agent: plain(&row.agent),
        class,
        word,
        why: [status, error].into_iter().flatten().collect::<Vec<_>>().join(": "),
        time: row.response_time_us.map_or_else(|| "–".into(), time),
        phases: PHASES.iter().zip(row.phases_us).filter_map(phase).collect(),
        peer: row.peer.as_deref().map(plain).unwrap_or_default(),
        attempts: row.attempts,
    }
}
