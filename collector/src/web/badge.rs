//! Badges for other people's pages: the name of a monitor with its verdict, or with its uptime when a period is asked
//! for.
//!
//! A badge is an SVG that is written here. It uses only presentation attributes, because the policy allows no style in
//! it.

use askama::Template;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Site;
use super::called::Called;
use super::failure::Failure;
use super::pages::Uptime;
use super::request::parameters::Parameters;
use crate::figures::counts::Counts;
use crate::figures::looks::state::Verdict;
use crate::figures::overview::Summary;
use crate::figures::period::Period;
use crate::text::cut;

/// The largest number of characters of a name.
const NAME: usize = 40;
/// The average width of a character of that size.
const CHARACTER: usize = 7;
/// The space on both sides of a text. The template contains it, too.
const PAD: usize = 6;

pub(super) fn routes() -> Router<Site> {
    Router::new().route("/badge/{file}", get(any))
}

/// Returns the routes of the badges that everyone may see.
pub(super) fn public_routes() -> Router<Site> {
    Router::new().route("/public/badge/{file}", get(public))
}

async fn any(State(site): State<Site>, Path(file): Path<String>, query: RawQuery) -> Result<Response, Failure> {
    badge(&site, &file, query, "private, no-cache", |it| Some(Called::inside(it))).await
}

async fn public(State(site): State<Site>, Path(file): Path<String>, query: RawQuery) -> Result<Response, Failure> {
    let called = |it: &Summary| site.public.as_ref()?.shows(it).then(|| Called::in_public(it));
    badge(&site, &file, query, "public, max-age=60", called).await
}

async fn badge(
    site: &Site,
    file: &str,
    RawQuery(query): RawQuery,
    caching: &'static str,
    called: impl Fn(&Summary) -> Option<Called>,
) -> Result<Response, Failure> {
    let mut parameters = Parameters::new(query.as_deref());
    let period = parameters.period()?;
    parameters.end()?;
    let none = || Failure::not_found("there is no such badge");
    let id = file.strip_suffix(".svg").ok_or_else(none)?;
    let overview = site.snapshots.overview(period.unwrap_or(Period::Day)).await?;
    let mut shown = overview.monitors.iter().filter_map(|it| Some((it, called(it)?)));
    let (monitor, Called { name, .. }) = shown.find(|(_, called)| called.id == id).ok_or_else(none)?;
    let (said, colour) = match period {
        None => verdict(monitor),
        Some(_) => uptime(&monitor.counts),
    };
    let headers = [(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, caching)];
    let failed = |_| Failure { status: StatusCode::INTERNAL_SERVER_ERROR, error: "the badge can't be drawn".into() };
    let svg = Badge::new(&name, said, colour).render().map_err(failed)?;
    Ok((headers, svg).into_response())
}

fn verdict(monitor: &Summary) -> (String, &'static str) {
    let (text, colour) = match monitor.state.verdict {
        _ if monitor.is_retired => ("retired", GREY),
        Verdict::Up => ("up", GREEN),
        Verdict::Partial => ("partly down", AMBER),
        Verdict::Down => ("down", RED),
        Verdict::Unknown => ("unknown", GREY),
    };
    (text.into(), colour)
}

/// Returns the uptime and its colour. It has a colour only when both bounds have the same one, whatever was not seen.
fn uptime(counts: &Counts) -> (String, &'static str) {
    let grade = |share: f64| match share {
        0.99.. => GREEN,
        0.95.. => AMBER,
        _ => RED,
    };
    let certain = counts.bounds().map(|bounds| [bounds.lower, bounds.upper].map(grade));
    let colour = certain.filter(|[lower, upper]| lower == upper).map_or(GREY, |[colour, _]| colour);
    (Uptime::least(counts), colour)
}

const GREEN: &str = "#2c7a3f";
const AMBER: &str = "#8a5a00";
const RED: &str = "#b3261e";
const GREY: &str = "#5f6368";

/// The data of the template.
#[derive(Template)]
#[template(path = "badge.svg")]
struct Badge {
    name: String,
    said: String,
    colour: &'static str,
    /// The width of the part with the name.
    left: usize,
    /// The width of the other part.
    right: usize,
}

impl Badge {
    fn new(name: &str, said: String, colour: &'static str) -> Badge {
        let wide = |text: &str| text.chars().count() * CHARACTER + 2 * PAD;
        let name = cut(name, NAME);
        Badge { left: wide(&name), right: wide(&said), name, said, colour }
    }
}
