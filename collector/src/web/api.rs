//! `/api/v1`: JSON for programs. `openapi.yaml` describes the requests and answers, and tests compare it with the code.

mod shapes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;

use super::Site;
use super::failure::Failure;
use super::request::filter::{Filter, VERDICTS};
use super::request::parameters::Parameters;
use crate::figures::detail::Detail;
use crate::figures::overview::Summary;
use crate::figures::period::Period;
use shapes::{Agents, At, Monitor, Monitors, Outages, Results, Uptime};

/// The description of requests and answers.
const DESCRIPTION: &str = include_str!("../../openapi.yaml");

const LIMIT: usize = 100;
const MOST_MONITORS: usize = 1_000;
const MOST_RESULTS: usize = 500;

pub(super) fn routes() -> Router<Site> {
    let description = || async { ([(CONTENT_TYPE, "application/yaml")], DESCRIPTION) };
    Router::new()
        .route("/api/v1/openapi.yaml", get(description))
        .route("/api/v1/monitors", get(monitors))
        .route("/api/v1/monitors/{id}", get(monitor))
        .route("/api/v1/monitors/{id}/results", get(results))
        .route("/api/v1/monitors/{id}/uptime", get(uptime))
        .route("/api/v1/monitors/{id}/outages", get(outages))
        .route("/api/v1/agents", get(agents))
}

type Answer = Result<Response, Failure>;

/// Answers with monitors sorted by id, so that a page continues after the previous one, whatever monitors came or went.
async fn monitors(State(site): State<Site>, RawQuery(query): RawQuery) -> Answer {
    let mut parameters = Parameters::new(query.as_deref());
    let period = parameters.period()?.unwrap_or_default();
    let limit = parameters.number("limit", 1..=MOST_MONITORS)?.unwrap_or(LIMIT);
    let after = parameters.one("after")?.unwrap_or_default();
    let filters = filters(&mut parameters)?;
    parameters.end()?;
    let overview = site.snapshots.overview(period).await?;
    let is_wanted = |monitor: &&Summary| filters.iter().all(|filter| filter.takes(monitor));
    let mut wanted: Vec<&Summary> = overview.monitors.iter().filter(is_wanted).collect();
    wanted.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let total = wanted.len();
    let begin = wanted.partition_point(|monitor| !after.is_empty() && *monitor.id <= *after);
    let page = &wanted[begin..wanted.len().min(begin + limit)];
    let has_more = begin + page.len() < total;
    let next = page.last().filter(|_| has_more).map(|last| &*last.id);
    let monitors = page.iter().map(|monitor| Monitor::of(monitor)).collect();
    let at = At::new(overview.as_of, period, overview.window);
    Ok(Json(Monitors { at, total, monitors, next }).into_response())
}

/// Returns one filter for each tag. All filters have to match.
fn filters(parameters: &mut Parameters<'_>) -> Result<Vec<Filter>, Failure> {
    let verdict = match parameters.one("verdict")? {
        None => None,
        Some(word) => {
            let found = VERDICTS.iter().find(|(_, known, _)| *known == word).map(|(verdict, ..)| *verdict);
            let words = VERDICTS.map(|(_, word, _)| word).join(", ");
            Some(found.ok_or_else(|| Failure::bad_request(format!("`verdict` should be one of {words}")))?)
        }
    };
    let text = parameters.one("name")?.unwrap_or_default().into_owned();
    let retired = parameters.parse("retired", "true or false")?.unwrap_or(false);
    let tags = parameters.all("tag");
    let filter = Filter { text, verdict, retired, ..Filter::default() };
    let tagged = tags.into_iter().map(|tag| Filter { tag: tag.into_owned(), ..filter.clone() });
    Ok(std::iter::once(filter.clone()).chain(tagged).collect())
}

async fn monitor(State(site): State<Site>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let detail = detail(&site, &id, query.as_deref()).await?;
    Ok(Json(shapes::One::of(&detail)).into_response())
}

async fn uptime(State(site): State<Site>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let detail = detail(&site, &id, query.as_deref()).await?;
    Ok(Json(Uptime::of(&detail)).into_response())
}

async fn outages(State(site): State<Site>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let detail = detail(&site, &id, query.as_deref()).await?;
    Ok(Json(Outages::of(&detail)).into_response())
}

async fn detail(site: &Site, id: &str, query: Option<&str>) -> Result<Arc<Detail>, Failure> {
    let mut parameters = Parameters::new(query);
    let period = parameters.period()?.unwrap_or(Period::Day);
    parameters.end()?;
    site.snapshots.detail(id, period).await?.ok_or_else(no_such_monitor)
}

async fn results(State(site): State<Site>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let mut parameters = Parameters::new(query.as_deref());
    let before: Option<Timestamp> = parameters.parse("before", "a time such as 2026-11-27T10:00:00Z")?;
    let limit = parameters.number("limit", 1..=MOST_RESULTS)?.unwrap_or(LIMIT);
    parameters.end()?;
    // One result more shows whether there are more.
    let read = site.snapshots.results(&id, before.unwrap_or(Timestamp::MAX), limit + 1).await?;
    let results = read.ok_or_else(no_such_monitor)?;
    Ok(Json(Results::page(&results, limit)).into_response())
}

async fn agents(State(site): State<Site>, RawQuery(query): RawQuery) -> Answer {
    Parameters::new(query.as_deref()).end()?;
    Ok(Json(Agents { agents: &site.snapshots.agents().await? }).into_response())
}

fn no_such_monitor() -> Failure {
    Failure::not_found("there is no monitor with that id")
}
