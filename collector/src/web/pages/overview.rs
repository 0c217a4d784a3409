//! The page of all monitors: first a sentence that says how they are, then the monitors, the worst first.

use askama::Template;
use jiff::{SignedDuration, Timestamp};

use super::drawing::bars::Bars;
use super::frame::{Frame, Place};
use super::status::{Status, Uptime, coverage};
use super::words::{counted, grouped, roughly, time_taken};
use crate::address::monitor;
use crate::figures::looks::state::Verdict;
use crate::figures::overview::{Overview, Summary};
use crate::text::{cut, plain};
use crate::web::called::Called;
use crate::web::request::filter;
use crate::web::request::filter::{Filter, PERIODS, VERDICTS, named, period_link};

/// The number of monitors on a page.
const PAGE: usize = 100;
/// The largest lengths of a name and a url in characters, the largest number of tags of a monitor, and the largest
/// length of a tag.
const NAME: usize = 80;
const URL: usize = 100;
const TAGS: usize = 6;
const TAG: usize = 40;
/// Certificates that end within this time are told.
const NEAR: SignedDuration = SignedDuration::from_hours(21 * 24);

#[derive(Template)]
#[template(path = "overview.html")]
struct Page<'a> {
    frame: Frame,
    filter: &'a Filter,
    title: String,
    says: Vec<Clause>,
    /// The text and the tag of the filter, as the fields of the form can hold them.
    text: String,
    tag: String,
    period: &'static str,
    periods: Vec<Choice>,
    verdicts: Vec<Choice>,
    /// The names of tags by which monitors can be grouped.
    groupings: Vec<Choice>,
    groups: Vec<Group<'a>>,
    pages: Pages,
}

/// A part of the sentence at the top.
pub(super) struct Clause {
    pub(super) class: &'static str,
    pub(super) text: String,
    pub(super) link: String,
}

/// Something that can be chosen.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) word: String,
    pub(super) link: String,
    pub(super) is_chosen: bool,
}

/// Monitors that share a tag's value.
struct Group<'a> {
    /// The value of the tag; none when monitors are not grouped.
    name: Option<String>,
    says: String,
    rows: Vec<Row<'a>>,
}

/// The row of a monitor.
pub(super) struct Row<'a> {
    pub(super) link: String,
    pub(super) name: String,
    pub(super) url: String,
    pub(super) tags: Vec<Choice>,
    pub(super) status: Status,
    pub(super) bars: Bars<'a>,
    pub(super) uptime: Uptime,
    pub(super) coverage: String,
    /// p50 and p95; none when the reader may not see them.
    pub(super) times: Option<[String; 2]>,
    /// When the certificate ends, if it ends soon.
    pub(super) certificate: Option<String>,
}

/// The place of this page among all pages.
struct Pages {
    says: String,
    earlier: Option<String>,
    later: Option<String>,
}

/// Returns the page.
///
/// # Errors
/// Returns only errors of the template engine.
pub(super) fn render(overview: &Overview, filter: &Filter) -> askama::Result<String> {
    let mut found: Vec<&Summary> = overview.monitors.iter().filter(|it| filter.takes(it)).collect();
    let worst = |it: &&Summary| worst_first(it);
    found.sort_by_cached_key(worst);
    let mut groups: Vec<(Option<&str>, Vec<&Summary>)> = Vec::new();
    match &*filter.group {
        "" => groups.push((None, found.clone())),
        tag => {
            for &monitor in &found {
                let value = monitor.tags.get(tag).map_or("", |value| value);
                match groups.iter_mut().find(|(name, _)| *name == Some(value)) {
                    Some((_, group)) => group.push(monitor),
                    None => groups.push((Some(value), vec![monitor])),
                }
            }
            // Groups whose worst monitors are equally bad are sorted by name, so that their order does not change with
            // other groups.
            groups.sort_by_key(|(name, group)| (group.first().map(|it| (it.is_retired, it.state.verdict)), *name));
        }
    }
    let count = found.len();
    let last = count.div_ceil(PAGE).max(1);
    let page = filter.page.clamp(1, last);
    let to = |page| Filter { page, ..filter.clone() }.link();
    let from = (page - 1) * PAGE;
    let watched: Vec<&Summary> = overview.monitors.iter().filter(|it| !it.is_retired).collect();
    let says =
        says(&watched, |verdict| Filter { verdict: Some(verdict), period: filter.period, ..Filter::default() }.link());
    let shown = Page {
        frame: Frame::new(Place::Monitors, Some(overview.as_of)),
        title: title(&says),
        says,
        text: plain(&filter.text),
        tag: plain(&filter.tag),
        period: filter::word(filter.period),
        periods: periods(filter),
        verdicts: VERDICTS
            .iter()
            .map(|&(verdict, value, word)| choice(value, word, String::new(), filter.verdict == Some(verdict)))
            .collect(),
        groupings: groupings(overview, filter),
        groups: cut_out(groups, from, PAGE, overview.as_of, filter),
        pages: Pages {
            says: format!("{}–{} of {}", (from + 1).min(count), (from + PAGE).min(count), counted_of(count)),
            earlier: (page > 1).then(|| to(page - 1)),
            later: (page < last).then(|| to(page + 1)),
        },
        filter,
    };
    shown.render()
}

fn counted_of(monitors: usize) -> String {
    counted(i64::try_from(monitors).unwrap_or(i64::MAX), "monitor")
}

fn choice(value: &str, word: &str, link: String, is_chosen: bool) -> Choice {
    Choice { value: plain(value), word: word.into(), link, is_chosen }
}

fn periods(filter: &Filter) -> Vec<Choice> {
    let of = |&(period, value, word)| {
        choice(value, word, Filter { period, page: 1, ..filter.clone() }.link(), filter.period == period)
    };
    PERIODS.iter().map(of).collect()
}

fn groupings(overview: &Overview, filter: &Filter) -> Vec<Choice> {
    let mut names: Vec<&String> = overview.monitors.iter().flat_map(|it| it.tags.keys()).collect();
    names.sort_unstable();
    names.dedup();
    // Only the first 100 names are offered, because a tag that each monitor has for itself is of no use for grouping.
    names.truncate(100);
    names.into_iter().map(|name| choice(name, &cut(name, TAG), String::new(), *name == filter.group)).collect()
}

/// Returns the key that sorts monitors: by verdict, then by the lower bound of the uptime.
pub(super) fn worst_first(monitor: &Summary) -> (bool, Verdict, u64, String) {
    let lower = monitor.counts.bounds().map_or(0.0, |bounds| bounds.lower);
    // The bits of positive numbers have the same order as the numbers.
    (monitor.is_retired, monitor.state.verdict, lower.to_bits(), monitor.name.clone())
}

/// Returns the monitors of one page, in their groups.
fn cut_out<'a>(
    groups: Vec<(Option<&str>, Vec<&'a Summary>)>,
    from: usize,
    most: usize,
    now: Timestamp,
    filter: &Filter,
) -> Vec<Group<'a>> {
    let mut shown = Vec::new();
    let mut before = 0;
    for (name, monitors) in groups {
        let first = from.saturating_sub(before).min(monitors.len());
        let last = (from + most).saturating_sub(before).min(monitors.len());
        before += monitors.len();
        if first < last {
            let name = name.map(|name| match name {
                "" => format!("without {}", cut(&filter.group, TAG)),
                name => cut(name, NAME),
            });
            let says = in_words(&monitors);
            shown.push(Group {
                name,
                says,
                rows: monitors[first..last].iter().map(|it| row(it, now, filter)).collect(),
            });
        }
    }
    shown
}

/// Returns the counts of the verdicts in words: `2 down, 10 up`.
fn in_words(monitors: &[&Summary]) -> String {
    let count = |verdict| monitors.iter().filter(|it| !it.is_retired && it.state.verdict == verdict).count();
    let mut parts: Vec<String> = VERDICTS
        .iter()
        .map(|&(verdict, ..)| (count(verdict), named(verdict).1.to_lowercase()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match monitors.iter().filter(|it| it.is_retired).count() {
        0 => {}
        retired => parts.push(format!("{retired} retired")),
    }
    parts.join(", ")
}

fn row<'a>(it: &'a Summary, now: Timestamp, filter: &Filter) -> Row<'a> {
    let tag = |(name, value): (&String, &String)| {
        let tag = format!("{name}:{value}");
        let link = Filter { tag: tag.clone(), page: 1, ..filter.clone() }.link();
        Choice { word: cut(&tag, TAG), link, is_chosen: filter.tag == tag, value: tag }
    };
    let time = |us: Option<f64>| us.map_or_else(|| "–".into(), time_taken);
    Row {
        url: cut(&it.url, URL),
        tags: it.tags.iter().take(TAGS).map(tag).collect(),
        status: Status::of(it),
        times: Some([it.times.p50_us, it.times.p95_us].map(time)),
        certificate: near(it, now),
        ..Row::of_public(it, &Called::inside(it), filter, "")
    }
}

impl Row<'_> {
    /// Returns the row of a monitor for everyone. It says nothing about its address, about who looks, or why it fails.
    pub(super) fn of_public<'a>(it: &'a Summary, called: &Called, filter: &Filter, root: &str) -> Row<'a> {
        Row {
            link: monitor(root, &called.id) + &period_link(filter.period),
            name: cut(&called.name, NAME),
            url: String::new(),
            tags: Vec::new(),
            status: Status::of_public(it),
            bars: Bars { bars: &it.bars, period: filter.period, tells: false },
            uptime: Uptime::of(&it.counts),
            coverage: coverage(&it.counts),
            times: None,
            certificate: None,
        }
    }
}

/// Returns how long a certificate is still valid, if it ends soon.
fn near(monitor: &Summary, now: Timestamp) -> Option<String> {
    let ends = monitor.state.certificate_first_end()?;
    let left = ends.duration_since(now);
    match left {
        left if left > NEAR => None,
        left if left.is_positive() => Some(format!("certificate ends in {}", roughly(left))),
        left => Some(format!("certificate ended {} ago", roughly(-left))),
    }
}

/// Returns the beginning of the sentence, for which a browser tab has room.
pub(super) fn title(says: &[Clause]) -> String {
    says.first().map_or_else(String::new, |clause| clause.text.trim_end_matches([',', '.']).to_owned())
}

/// Returns a sentence that says how all monitors are. A monitor that no agent sees is never called up.
pub(super) fn says(watched: &[&Summary], link: impl Fn(Verdict) -> String) -> Vec<Clause> {
    let all = watched.len();
    let clause = |verdict, text| Clause { class: named(verdict).0, text, link: link(verdict) };
    let of = |verdict| watched.iter().filter(|it| it.state.verdict == verdict).count();
    let up = of(Verdict::Up);
    match all {
        0 => {
            let text = "No agent is to look at any monitor.".into();
            return vec![Clause { class: "unknown", text, link: String::new() }];
        }
        1 if up == 1 => return vec![clause(Verdict::Up, "The one monitor is up.".into())],
        _ if up == all => return vec![clause(Verdict::Up, format!("All {} are up.", counted_of(all)))],
        _ => {}
    }
    let mut clauses: Vec<Clause> = Vec::new();
    for verdict in [Verdict::Down, Verdict::Partial, Verdict::Unknown, Verdict::Up] {
        let count = of(verdict);
        if count == 0 {
            continue;
        }
        let number = grouped(i64::try_from(count).unwrap_or(i64::MAX));
        let subject = if clauses.is_empty() { format!("{number} of {}", counted_of(all)) } else { number };
        let (fails, is) = if count == 1 { ("fails", "is") } else { ("fail", "are") };
        let text = match verdict {
            Verdict::Down => format!("{subject} {is} down"),
            Verdict::Partial => format!("{subject} {fails} from some places"),
            Verdict::Unknown if clauses.is_empty() => format!("The state of {subject} is unknown"),
            Verdict::Unknown => format!("the state of {subject} is unknown"),
            Verdict::Up => format!("{subject} {is} up"),
        };
        clauses.push(clause(verdict, text));
    }
    let last = clauses.len().saturating_sub(1);
    for (index, clause) in clauses.iter_mut().enumerate() {
        clause.text.push(if index == last { '.' } else { ',' });
    }
    clauses
}
