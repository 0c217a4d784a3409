//! Reads the `http` section, and serves a daemon's routes over HTTP, with its health and its metrics.
//!
//! ```text
//! listener ──▶ connections (bounded in number, time and size) ──▶ Router: /metrics, /healthz, and what else there is
//! ```

mod connections;
mod hosts;
mod places;
mod reserve;
mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::{Section, Wrong};

pub use connections::{Limits, answer};
pub use hosts::{Hosts, for_hosts};
pub use tls::Tls;

/// How long to wait before an address is tried again. It may belong to another program, or not exist yet.
const RETRY: Duration = Duration::from_secs(10);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Reads the address to listen on. None means that the daemon does not listen.
pub fn listen(http: &mut Section<'_>, default: Option<SocketAddr>) -> Option<SocketAddr> {
    http.parse("listen", address).unwrap_or(default)
}

fn address(text: &str) -> Result<Option<SocketAddr>, Wrong> {
    let mend = "write address:port, such as 127.0.0.1:9115, or none";
    let wrong = |_| Wrong::new(format!("{text:?} is no address to listen on"), mend);
    if text == "none" { Ok(None) } else { text.parse().map(Some).map_err(wrong) }
}

/// A daemon that can be asked for its health and its metrics.
pub trait Asked: Send + Sync + 'static {
    /// Returns the name of the loop that hangs, if one does.
    fn hangs(&self) -> Option<&'static str>;

    /// Returns all present metrics in OpenMetrics' text format.
    fn metrics(&self) -> impl Future<Output = String> + Send;
}

/// Returns the route `/healthz`, which answers 503 when a loop hangs. So an orchestrator that asks can start the daemon
/// again, where no watchdog of systemd does it.
pub fn healthz<S: Clone + Send + Sync + 'static>(asked: Arc<impl Asked>) -> Router<S> {
    let alive = move || async move {
        match asked.hangs() {
            None => (StatusCode::OK, "alive\n".to_owned()),
            Some(part) => (StatusCode::SERVICE_UNAVAILABLE, format!("the {part} hangs\n")),
        }
    };
    Router::new().route("/healthz", get(alive))
}

/// Returns the route `/metrics` for Prometheus.
pub fn metrics<S: Clone + Send + Sync + 'static>(asked: Arc<impl Asked>) -> Router<S> {
    let metrics = move || async move { ([(CONTENT_TYPE, OPEN_METRICS)], asked.metrics().await) };
    Router::new().route("/metrics", get(metrics))
}

/// Serves routes at an address for as long as the daemon runs. The connections are encrypted if there is a certificate.
/// Without an address it serves nothing.
pub async fn serve(address: Option<SocketAddr>, tls: Option<Tls>, routes: Router) -> Infallible {
    let Some(address) = address else { return std::future::pending().await };
    let mut is_said = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                log::info!(address:%, tls = tls.is_some(); "answers over HTTP");
                match answer(listener, tls, Limits::default(), routes).await {}
            }
            Err(error) if !is_said => {
                is_said = true;
                log::error!(error:%, address:%; "no one can ask over HTTP: `http.listen` can't be listened on");
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    }
}
