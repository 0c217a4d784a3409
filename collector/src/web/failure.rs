//! What is said where there is nothing to show: a status and a line.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::snapshot::Unreadable;

/// Why a request has no answer. The guard puts it into words: JSON under `/api`, else a line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// HTTP's.
    pub status: StatusCode,
    /// For people and logs.
    pub error: String,
}

impl Failure {
    /// Nothing is there.
    pub fn not_found(error: &str) -> Failure {
        Failure { status: StatusCode::NOT_FOUND, error: error.into() }
    }

    /// What is asked for makes no sense.
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
