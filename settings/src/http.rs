//! The `http` section, and what a daemon answers there to whoever asks how it fares.

use std::convert::Infallible;
use std::io;
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

/// How long to wait before an address is tried again: it may be another's, or not there yet.
const RETRY: Duration = Duration::from_secs(10);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where to listen; none, which is the default, means nowhere.
pub fn listen(http: &mut Section<'_>) -> Option<SocketAddr> {
    http.parse("listen", address).flatten()
}

fn address(text: &str) -> Result<Option<SocketAddr>, Wrong> {
    let mend = "write address:port, such as 127.0.0.1:9115, or none";
    let wrong = |_| Wrong::new(format!("{text:?} is no address to listen on"), mend);
    if text == "none" { Ok(None) } else { text.parse().map(Some).map_err(wrong) }
}

/// A daemon that can be asked how it fares.
pub trait Asked: Send + Sync + 'static {
    /// The loop that hangs.
    fn hangs(&self) -> Option<&'static str>;

    /// All metrics as they are now, in OpenMetrics' text format.
    fn metrics(&self) -> String;
}

/// Serves `/metrics` and `/healthz` at an address, for as long as the daemon runs; without one, nothing. `/healthz`
/// answers 503 when a loop hangs, so that whoever asks starts the daemon anew where no watchdog of systemd's does.
pub async fn serve(address: Option<SocketAddr>, asked: Arc<impl Asked>) -> Infallible {
    let Some(address) = address else { return std::future::pending().await };
    let alive = {
        let asked = asked.clone();
        move || async move {
            match asked.hangs() {
                None => (StatusCode::OK, "alive\n".to_owned()),
                Some(part) => (StatusCode::SERVICE_UNAVAILABLE, format!("the {part} hangs\n")),
            }
        }
    };
    let metrics = move || async move { ([(CONTENT_TYPE, OPEN_METRICS)], asked.metrics()) };
    let routes = Router::new().route("/metrics", get(metrics)).route("/healthz", get(alive));
    let mut is_said = false;
    loop {
        if let Err(error) = serve_once(address, routes.clone()).await
            && !is_said
        {
            is_said = true;
            log::error!(error:%, address:%; "nobody can ask for metrics: `http.listen` can't be listened on");
        }
        sleep(RETRY).await;
    }
}

async fn serve_once(address: SocketAddr, routes: Router) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    log::info!(address:%; "metrics are served");
    axum::serve(listener, routes).await
}
