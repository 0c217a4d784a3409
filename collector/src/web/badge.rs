//! Badges for other people's pages: a monitor's name and its verdict, or its uptime where a period is asked for.
//!
//! An SVG of our own, in presentation attributes alone, since the policy lets no style into it.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Site;
use super::failure::Failure;
use super::parameters::Parameters;
use crate::figures::overview::{Period, Summary};
use crate::figures::state::Verdict;

/// Most characters of a name.
const NAME: usize = 40;
/// How wide a character is on average, in a twelfth of the font's size.
const WIDTH: usize = 7;
const PAD: usize = 6;

pub(super) fn routes() -> Router<Site> {
    Router::new().route("/badge/{file}", get(any))
}

/// Those that anybody may see.
pub(super) fn public_routes() -> Router<Site> {
    Router::new().route("/public/badge/{file}", get(public))
}

async fn any(State(site): State<Site>, Path(file): Path<String>, query: RawQuery) -> Result<Response, Failure> {
    badge(&site, &file, query, "private, no-cache", |_| true).await
}

async fn public(State(site): State<Site>, Path(file): Path<String>, query: RawQuery) -> Result<Response, Failure> {
    let shown = |monitor: &Summary| site.public.as_ref().is_some_and(|public| public.shows(monitor));
    badge(&site, &file, query, "public, max-age=60", shown).await
}

async fn badge(
    site: &Site,
    file: &str,
    RawQuery(query): RawQuery,
    caching: &'static str,
    is_shown: impl Fn(&Summary) -> bool,
) -> Result<Response, Failure> {
    let mut parameters = Parameters::new(query.as_deref());
    let period = parameters.period()?;
    parameters.end()?;
    let none = || Failure::not_found("there is no such badge");
    let id = file.strip_suffix(".svg").ok_or_else(none)?;
    let overview = site.snapshots.overview(period.unwrap_or(Period::Day)).await?;
    let monitor = overview.monitors.iter().find(|it| it.id == id && is_shown(it)).ok_or_else(none)?;
    let (text, colour) = match period {
        None => verdict(monitor),
        Some(_) => uptime(monitor),
    };
    let headers = [(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, caching)];
    Ok((headers, svg(&monitor.name, &text, colour)).into_response())
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

fn uptime(monitor: &Summary) -> (String, &'static str) {
    let Some(share) = monitor.counts.uptime() else { return ("unknown".into(), GREY) };
    let colour = match share {
        0.99.. => GREEN,
        0.95.. => AMBER,
        _ => RED,
    };
    (percent(share), colour)
}

const GREEN: &str = "#2c7a3f";
const AMBER: &str = "#8a5a00";
const RED: &str = "#b3261e";
const GREY: &str = "#5f6368";

/// Rounded down: what failed once is not 100%.
fn percent(share: f64) -> String {
    format!("{:.2}%", (share * 1e4).floor() / 100.0)
}

fn svg(name: &str, text: &str, colour: &str) -> String {
    let name = cut(name, NAME);
    let wide = |text: &str| text.chars().count() * WIDTH + 2 * PAD;
    let (left, right) = (wide(&name), wide(text));
    let (whole, name_at, text_at) = (left + right, left / 2, left + right / 2);
    let (name, text) = (escaped(&name), escaped(text));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{whole}\" height=\"20\" role=\"img\" \
         aria-label=\"{name}: {text}\"><title>{name}: {text}</title>\
         <rect width=\"{whole}\" height=\"20\" rx=\"3\" fill=\"#333\"/>\
         <path d=\"M{left} 0h{}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z\" fill=\"{colour}\"/>\
         <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">\
         <text x=\"{name_at}\" y=\"14\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\">{name}</text>\
         <text x=\"{text_at}\" y=\"14\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\">{text}</text></g></svg>\n",
        right - 3,
        left - 2 * PAD,
        right - 2 * PAD,
    )
}
