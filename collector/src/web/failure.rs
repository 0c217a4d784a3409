//! The answer when there is nothing to show: a status and a line.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::snapshot::Unreadable;

/// The reason why a request has no other answer. The guard puts it into words: JSON under `/api`, otherwise a line of
/// text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status code of HTTP.
    pub status: StatusCode,
    /// The reason, for people and logs.
    pub error: String,
}

impl Failure {
    /// Creates the failure of an address at which nothing is.
    pub fn not_found(error: &str) -> Failure {
        Failure { status: StatusCode::NOT_FOUND, error: error.into() }
    }

    /// Creates the failure of a request that makes no sense.
    pub fn bad_request(error: impl Into<String>) -> Failure {
        Failure { status: StatusCode::BAD_REQUEST, error: error.into() }
    }
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Failure {
        Failure { status: StatusCode::SERVICE_UNAVAILABLE, error: unreadable.to_string() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
