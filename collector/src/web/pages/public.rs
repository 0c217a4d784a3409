//! The public pages: the monitors that were chosen for everyone. They show neither the addresses of the monitors, nor
//! who looks, nor why a check failed, because an error may contain parts of an address or of a page.

use askama::Template;
use jiff::Timestamp;

use super::detail;
use super::detail::Figure;
use super::drawing::bars::Bars;
use super::frame::{Frame, Place};
use super::incidents;
use super::incidents::{Befell, Ongoing, befell_in_public, ongoing};
use super::overview;
use super::overview::{Choice, Clause, Row};
use super::status::Status;
use super::words::When;
use crate::address::monitor;
use crate::config::Public;
use crate::figures::detail::Detail;
use crate::figures::overview::{Overview, Summary};
use crate::figures::period::Period;
use crate::text::cut;
use crate::web::called::Called;
use crate::web::request::filter::{Filter, PERIODS, period_link};

/// The address of the public pages.
const ROOT: &str = "/public";
/// The largest number of monitors of the page, so that its size is bounded whatever was chosen.
const MOST: usize = 500;
/// The largest length of a name, in characters.
const NAME: usize = 80;

#[derive(Template)]
#[template(path = "public.html")]
struct Page<'a> {
    frame: Frame,
    says: Vec<Clause>,
    periods: Vec<Choice>,
    rows: Vec<Row<'a>>,
    /// The number of further monitors that are not shown.
    more: usize,
}

#[derive(Template)]
#[template(path = "public-detail.html")]
struct DetailPage<'a> {
    frame: Frame,
    name: String,
    status: Status,
    ongoing: Option<Ongoing>,
    periods: Vec<Choice>,
    bars: Bars<'a>,
    ends: [When; 2],
    figures: Vec<Figure>,
    incidents: Vec<Befell>,
    no_incidents: &'static str,
}

fn frame(public: &Public, as_of: Timestamp) -> Frame {
    Frame { title: cut(&public.title, NAME), ..Frame::new(Place::Public, Some(as_of)) }
}

/// Returns the page of all monitors that were chosen, the worst first.
///
/// # Errors
/// Returns only errors of the template engine.
pub(super) fn render(overview: &Overview, public: &Public) -> askama::Result<String> {
    let shows = |it: &&Summary| !it.is_retired && public.shows(it);
    let mut shown: Vec<&Summary> = overview.monitors.iter().filter(shows).collect();
    shown.sort_by_cached_key(|it| overview::worst_first(it));
    let period = |&(period, value, word): &(Period, &str, &str)| Choice {
        value: value.into(),
        word: word.into(),
        link: format!("{ROOT}{}", period_link(period)),
        is_chosen: period == overview.period,
    };
    let filter = Filter { period: overview.period, ..Filter::default() };
    let page = Page {
        frame: frame(public, overview.as_of),
        says: overview::says(&shown, |_| String::new()),
        periods: PERIODS.iter().map(period).collect(),
        more: shown.len().saturating_sub(MOST),
        rows: shown.iter().take(MOST).map(|it| Row::of_public(it, &Called::in_public(it), &filter, ROOT)).collect(),
    };
    page.render()
}

/// Returns the page of one monitor. The caller has to check that the monitor was chosen.
///
/// # Errors
/// Returns only errors of the template engine.
pub(super) fn render_detail(detail: &Detail, public: &Public) -> askama::Result<String> {
    let it = &detail.summary;
    let called = Called::in_public(it);
    let page = DetailPage {
        frame: frame(public, detail.as_of),
        name: cut(&called.name, NAME),
        status: Status::of_public(it),
        ongoing: ongoing(detail),
        periods: detail::periods(&monitor(ROOT, &called.id), detail.period),
        bars: Bars { bars: &it.bars, period: detail.period, tells: true },
        ends: [detail.window.since, detail.as_of].map(When),
        figures: detail::public_figures(&it.counts),
        incidents: detail.incidents.iter().map(|it| befell_in_public(it, detail.as_of)).collect(),
        no_incidents: incidents::none(&it.counts),
    };
    page.render()
}
