//! Keeps a reserve of places in which only probes are answered. So a program that asks whether the daemon lives gets an
//! answer, however many connections others hold.
//!
//! These places cannot be used up: a connection that comes when all are taken ends the oldest of them. A probe sends
//! its request at once and is answered long before its connection is the oldest.

use std::collections::VecDeque;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use tokio::task::AbortHandle;

/// The paths that an orchestrator asks before it starts a daemon again, or calls an operator.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The connections that have a place of the reserve, the oldest first.
pub(super) struct Reserve {
    most: usize,
    taken: VecDeque<AbortHandle>,
}

impl Reserve {
    pub(super) fn new(most: usize) -> Reserve {
        Reserve { most, taken: VecDeque::new() }
    }

    /// Answers a connection in one of the places. Without any the connection is closed.
    pub(super) fn spawn(&mut self, conversation: impl Future<Output = ()> + Send + 'static) {
        self.taken.retain(|taken| !taken.is_finished());
        while self.taken.len() >= self.most {
            match self.taken.pop_front() {
                Some(oldest) => oldest.abort(),
                None => return,
            }
        }
        self.taken.push_back(tokio::spawn(conversation).abort_handle());
    }
}

/// Returns the routes as they are answered in the reserve.
pub(super) fn probes_alone(routes: Router) -> Router {
    routes.layer(from_fn(refuse_others))
}

async fn refuse_others(request: Request, next: Next) -> Response {
    if PROBES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], "too many connections are open\n").into_response()
}
