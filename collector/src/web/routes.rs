//! The routes: which address leads where, and who may ask for it.
//!
//! ```text
//! guard ──▶ name ──▶ /healthz, /readyz, what is public, styles    every client
//!               └──▶ access ──▶ all else, also unknown addresses  clients that access lets in
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::failure::Failure;
use super::metrics::Teller;
use super::request::access::{Access, admit, refuse_name};
use super::request::guard::guarded;
use super::{Site, api, badge, pages};
use crate::health::Health;

/// How long `/readyz` waits for the database.
const READY: Duration = Duration::from_secs(5);

/// Returns all routes over HTTP.
pub fn routes(site: Site, access: Access, health: Arc<Health>, most_metrics: usize) -> Router {
    let pages = pages::routes();
    let hosts = access.hosts.clone();
    let teller = Arc::new(Teller { health: health.clone(), snapshots: site.snapshots.clone(), most: most_metrics });
    let closed = Router::new()
        .merge(settings::metrics(teller.clone()))
        .merge(api::routes())
        .merge(badge::routes())
        .merge(pages.closed)
        .fallback(nothing)
        .layer(from_fn_with_state(Arc::new(access), admit));
    let ready = move |State(site): State<Site>| async move { ready(&site, &health).await };
    let open = Router::new()
        .merge(settings::healthz(teller))
        .route("/readyz", get(ready))
        .merge(badge::public_routes())
        .merge(pages.open);
    guarded(settings::for_hosts(closed.merge(open).with_state(site), hosts, refuse_name))
}

/// Answers at addresses that do not exist: in JSON to programs, with a page to people.
async fn nothing(asked: Uri) -> Response {
    match asked.path().starts_with("/api/") {
        true => Failure::not_found("there is nothing here").into_response(),
        false => pages::nothing().await.into_response(),
    }
}

/// Answers whether results are stored and can be read.
async fn ready(site: &Site, health: &Health) -> (StatusCode, String) {
    let mut lacks = health.lacks();
    let is_readable = tokio::time::timeout(READY, site.snapshots.is_readable()).await.unwrap_or(false);
    if !is_readable && !lacks.contains(&"the database") {
        lacks.insert(0, "the database");
    }
    match lacks.is_empty() {
        true => (StatusCode::OK, "ready\n".into()),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("waits for {}\n", lacks.join(" and "))),
    }
}
