//! Answers whoever asks how the collector fares.

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

use super::{Health, metrics};
use crate::rarely::Rarely;

/// How long to wait before an address is tried again: it may be another's, or not there yet.
const RETRY: Duration = Duration::from_secs(10);

impl Health {
    /// Serves `/metrics` and `/healthz` at an address, for as long as the collector runs; without one, nothing.
    /// `/healthz` answers 503 when a loop hangs, so that whoever asks starts the collector anew where no watchdog of
    /// systemd's does. A database that is away is no reason for that.
    pub async fn serve(self: Arc<Health>, address: Option<SocketAddr>) -> Infallible {
        let Some(address) = address else { return std::future::pending().await };
        let mut said = Rarely::default();
        loop {
            if let Err(error) = self.clone().serve_once(address).await
                && let Some(times) = said.happened(1)
            {
                log::error!(
                    times, error:%, address:%;
                    "nobody can ask how the collector fares: `http.listen` can't be listened on"
                );
            }
            sleep(RETRY).await;
        }
    }

    async fn serve_once(self: Arc<Health>, address: SocketAddr) -> io::Result<()> {
        let listener = TcpListener::bind(address).await?;
        log::info!(address:%; "metrics are served");
        let asked = self.clone();
        let alive = move || async move {
            match asked.stalled(asked.began.elapsed()) {
                None => (StatusCode::OK, "alive\n".to_owned()),
                Some(part) => (StatusCode::SERVICE_UNAVAILABLE, format!("the {part} hangs\n")),
            }
        };
        let answers = move || async move { ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], self.metrics()) };
        let routes = Router::new().route("/metrics", get(answers)).route("/healthz", get(alive));
        axum::serve(listener, routes).await
    }
}
