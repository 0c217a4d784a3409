//! The pages that people look at. They are whole without JavaScript, consist of templates and SVG, and come from the
//! program itself.
//!
//! ```text
//! address ──▶ filter ──▶ snapshot ──▶ what is to be said (plain structs of text) ──▶ template ──▶ HTML
//! ```
//! The texts about a monitor are made in one place for all pages (`status`, `bars`, `chart`, `incidents`), so that no
//! page says more than is known: time that no agent saw is never drawn or counted as up. Templates escape all text.
//! What is put into them unescaped (`HtmlSafe`) is made of numbers and words of this program. The pages are well-formed
//! XML, too, so that tests can read them whole. This module bounds every size that strangers choose, of a name or a
//! list.

mod agents;
mod assets;
mod detail;
mod drawing;
mod error;
mod frame;
mod incidents;
mod overview;
mod public;
mod status;
#[cfg(test)]
mod tests;
mod words;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use form_urlencoded::parse;
use jiff::Timestamp;

use super::called::Called;
use super::request::filter::{Filter, period};
use super::snapshot::Unreadable;
use super::{Pages, Site};
use crate::config::Public;
use crate::figures::detail::Detail;
use crate::figures::period::Period;
use detail::Older;
use frame::Place;

pub(super) use status::Uptime;

/// Returns all pages, separated by who may see them.
pub fn routes() -> Pages {
    Pages {
        closed: Router::new().route("/", get(all)).route("/monitors/{id}", get(one)).route("/agents", get(agents)),
        open: Router::new()
            .route("/public", get(public_all))
            .route("/public/monitors/{id}", get(public_one))
            .merge(assets::routes()),
    }
}

/// A page, or the reason why there is none.
type Page = Result<Response, Nothing>;

/// The reason why there is no page, and the part of the site in which it is told.
struct Nothing {
    place: Place,
    why: Why,
}

enum Why {
    /// There is no such page.
    None,
    Unreadable(Unreadable),
    /// A template failed, which should never happen.
    Template,
}

impl IntoResponse for Nothing {
    fn into_response(self) -> Response {
        let (status, what, mend) = match self.why {
            Why::None => (
                StatusCode::NOT_FOUND,
                "There is no such page",
                "The page that was here has another address now, or it was removed.",
            ),
            Why::Unreadable(Unreadable::Database) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The database can't be read",
                "What is stored is not lost, and what agents send meanwhile waits. This page looks again by itself.",
            ),
            Why::Unreadable(Unreadable::Busy) => {
                (StatusCode::SERVICE_UNAVAILABLE, "Too many ask at once", "This page looks again by itself.")
            }
            Why::Template => (StatusCode::INTERNAL_SERVER_ERROR, "The page can't be made", "Please report this."),
        };
        let retries = status == StatusCode::SERVICE_UNAVAILABLE;
        let page = error::render(self.place, what, mend, retries);
        let mut response = (status, Html(page.unwrap_or_else(|_| what.into()))).into_response();
        if retries {
            response.headers_mut().insert(RETRY_AFTER, Unreadable::RETRY_AFTER.into());
        }
        response
    }
}

impl Place {
    fn unreadable(self, why: Unreadable) -> Nothing {
        Nothing { place: self, why: Why::Unreadable(why) }
    }

    fn none(self) -> Nothing {
        Nothing { place: self, why: Why::None }
    }

    fn page(self, page: askama::Result<String>) -> Page {
        page.map(|page| Html(page).into_response()).map_err(|_| Nothing { place: self, why: Why::Template })
    }
}

/// Returns the page for addresses that do not exist.
pub(super) async fn nothing() -> impl IntoResponse {
    Place::Elsewhere.none()
}

async fn all(State(site): State<Site>, RawQuery(query): RawQuery) -> Page {
    let at = Place::Monitors;
    let filter = Filter::of(&query.unwrap_or_default());
    let overview = site.snapshots.overview(filter.period).await.map_err(|why| at.unreadable(why))?;
    at.page(overview::render(&overview, &filter))
}

async fn one(State(site): State<Site>, id: Result<Path<String>, PathRejection>, RawQuery(query): RawQuery) -> Page {
    let at = Place::Monitors;
    let Path(id) = id.map_err(|_| at.none())?;
    let query = query.unwrap_or_default();
    let detail = site.snapshots.detail(&id, period(&query)).await.map_err(|why| at.unreadable(why))?;
    let detail = detail.ok_or_else(|| at.none())?;
    let before = parse(query.as_bytes()).find(|(name, _)| name == "before").and_then(|(_, at)| at.parse().ok());
    let older = match before {
        None => None,
        Some(before) => {
            // One result more shows whether there are more.
            let results = site.snapshots.results(&id, before, Detail::MOST + 1).await;
            results.map_err(|why| at.unreadable(why))?.map(|results| Older { before, results })
        }
    };
    at.page(detail::render(&detail, older.as_ref()))
}

async fn agents(State(site): State<Site>) -> Page {
    let at = Place::Agents;
    let agents = site.snapshots.agents().await.map_err(|why| at.unreadable(why))?;
    at.page(agents::render(&agents, Timestamp::now()))
}

/// Returns what everyone may see.
fn chosen(site: &Site) -> Result<&Public, Nothing> {
    site.public.as_deref().ok_or_else(|| Place::Public.none())
}

async fn public_all(State(site): State<Site>, RawQuery(query): RawQuery) -> Page {
    let at = Place::Public;
    let public = chosen(&site)?;
    let period = period(&query.unwrap_or_default());
    let overview = site.snapshots.overview(period).await.map_err(|why| at.unreadable(why))?;
    at.page(public::render(&overview, public))
}

async fn public_one(
    State(site): State<Site>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Page {
    let at = Place::Public;
    let public = chosen(&site)?;
    let Path(id) = id.map_err(|_| at.none())?;
    // Nothing is read about other monitors, however often clients ask for them.
    let known = site.snapshots.overview(Period::Day).await.map_err(|why| at.unreadable(why))?;
    let mut shown = known.monitors.iter().filter(|it| public.shows(it));
    let shown = shown.find(|it| Called::in_public(it).id == id).ok_or_else(|| at.none())?;
    let detail = site.snapshots.detail(&shown.id, period(&query.unwrap_or_default())).await;
    let detail = detail.map_err(|why| at.unreadable(why))?.ok_or_else(|| at.none())?;
    at.page(public::render_detail(&detail, public))
}
