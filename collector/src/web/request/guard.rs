//! The guard around every answer: bounds on requests, and headers that tell browsers to be strict.

use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde::Serialize;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::web::failure::Failure;
use crate::web::snapshot::Unreadable;

/// The largest length of a query, in bytes. The longest path is that of a monitor's id, which fits the bound on the
/// head.
const QUERY: usize = 4_096;
/// The largest length of a body. No request has a body.
const BODY: usize = 0;
/// The longest time until an answer begins.
const LONGEST: Duration = Duration::from_secs(20);

const HEADERS: [(HeaderName, &str); 3] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
];

/// Puts all routes behind the guard.
pub(in crate::web) fn guarded(routes: Router) -> Router {
    routes
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, LONGEST))
        .layer(RequestBodyLimitLayer::new(BODY))
        .layer(from_fn(guard))
}

async fn guard(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = if request.uri().query().is_some_and(|query| query.len() > QUERY) {
        Failure { status: StatusCode::URI_TOO_LONG, error: format!("a query has at most {QUERY} bytes") }
            .into_response()
    } else {
        next.run(request).await
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        response = told(response, is_api);
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[derive(Serialize)]
struct Told {
    error: String,
}

/// Returns the failure with words when it has none yet: as JSON for programs, as a line for others.
fn told(response: Response, is_api: bool) -> Response {
    let (mut parts, body) = response.into_parts();
    let known = parts.extensions.remove::<Failure>();
    if known.is_none() && !is_api && parts.headers.contains_key(CONTENT_TYPE) {
        return Response::from_parts(parts, body);
    }
    let failure = known.unwrap_or_else(|| Failure {
        status: parts.status,
        error: parts.status.canonical_reason().unwrap_or("it failed").to_lowercase(),
    });
    let mut headers = parts.headers;
    headers.remove(CONTENT_TYPE);
    headers.remove(CONTENT_LENGTH);
    if parts.status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, Unreadable::RETRY_AFTER.into());
    }
    match is_api {
        true => (parts.status, headers, Json(Told { error: failure.error })).into_response(),
        false => (parts.status, headers, failure.error + "\n").into_response(),
    }
}
