//! Answers whoever asks how the agent fares.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::{Health, metrics};

/// How long to wait before an address is tried again: it may be another's, or not there yet.
const RETRY: Duration = Duration::from_secs(10);

/// Serves `/metrics` and `/healthz` at an address, for as long as the agent runs. `/healthz` answers 503 when a loop
/// hangs, so that whoever asks starts the agent anew where no watchdog of systemd's does.
pub(crate) async fn serve(address: SocketAddr, health: Arc<Health>) -> Infallible {
    let asked = Arc::clone(&health);
    let alive = move || async move {
        match asked.hangs(Instant::now()) {
            None => (StatusCode::OK, "alive\n".to_owned()),
            Some(part) => (StatusCode::SERVICE_UNAVAILABLE, format!("the {part} hangs\n")),
        }
    };
    let answers = move || async move { ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], health.metrics()) };
    let routes = Router::new().route("/metrics", get(answers)).route("/healthz", get(alive));
    let mut is_said = false;
    loop {
        if let Err(error) = serve_once(address, routes.clone()).await
            && !is_said
        {
            is_said = true;
            log::error!(error:%, address:%; "nobody can ask how the agent fares: `http.listen` can't be listened on");
        }
        sleep(RETRY).await;
    }
}

async fn serve_once(address: SocketAddr, routes: Router) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    log::info!(address:%; "metrics are served");
    axum::serve(listener, routes).await
}
