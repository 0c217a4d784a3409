//! Access: who may see what. When a password or a token is configured, a client that knows it may see everything.
//! Without a login, and when the collector listens on loopback, only requests by a name of this machine or by the host
//! of `http.url` are answered. Otherwise `/healthz`, `/readyz` and what is public are for everyone.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use openssl::sha::sha256;
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use settings::{Hosts, LogThrottle};

use crate::config::Http;
use crate::web::failure::Failure;

const REFUSED: &str = "refused a login over HTTP";

/// A scheme of authorization, and the digest of the credentials that follow it.
type Login = (&'static str, [u8; 32]);

/// The check of logins. It knows only digests. They all have one length, so comparing takes the same time whatever is
/// sent.
#[derive(Default)]
pub struct Access {
    logins: Vec<Login>,
    /// The host names by which clients may ask; none when they may use any name.
    pub(in crate::web) hosts: Option<Hosts>,
    refused: Mutex<LogThrottle>,
}

impl Access {
    /// Creates the check from the configuration.
    pub fn new(http: &Http) -> Access {
        let basic = http.basic_auth.as_ref().map(|basic| {
            let pair = format!("{}:{}", basic.username, basic.password.expose_secret());
            ("Basic", sha256(openssl::base64::encode_block(pair.as_bytes()).as_bytes()))
        });
        let bearer = http.token.as_ref().map(|token| ("Bearer", sha256(token.expose_secret().as_bytes())));
        let logins = basic.into_iter().chain(bearer).collect();
        Access { logins, hosts: http.hosts(), refused: Mutex::default() }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        if self.logins.is_empty() {
            return true;
        }
        let Some((scheme, sent)) = headers.get(AUTHORIZATION).and_then(|value| split(value.as_bytes())) else {
            return false;
        };
        let sent = sha256(sent);
        let fits = |(known, digest): &Login| {
            known.as_bytes().eq_ignore_ascii_case(scheme) && openssl::memcmp::eq(digest, &sent)
        };
        let is_admitted = self.logins.iter().any(fits);
        if !is_admitted && let Some(times) = self.refused.lock().happened(REFUSED, 1, Instant::now()) {
            log::warn!(times; "{REFUSED}");
        }
        is_admitted
    }

    fn refusal(&self) -> Response {
        let mut refusal = StatusCode::UNAUTHORIZED.into_response();
        for (scheme, _) in &self.logins {
            let challenge = match *scheme {
                "Basic" => "Basic realm=\"website-monitor\", charset=\"UTF-8\"",
                _ => "Bearer realm=\"website-monitor\"",
            };
            refusal.headers_mut().append(WWW_AUTHENTICATE, challenge.parse().expect("is a plain text"));
        }
        refusal
    }
}

/// Returns what a client is told that asks by a foreign name.
pub(in crate::web) fn refuse_name() -> Failure {
    let error = "without a login, a collector that listens on loopback is asked by localhost, 127.0.0.0/8 or [::1], and \
                 by the host of `http.url`: set `http.url` to where people find it, or set `http.basic_auth` or \
                 `http.token`";
    Failure { status: StatusCode::MISDIRECTED_REQUEST, error: error.into() }
}

/// Splits a header into the scheme and the credentials.
fn split(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = value.iter().position(|byte| *byte == b' ')?;
    Some((&value[..end], value[end..].trim_ascii()))
}

/// Lets a request through, or says which login it lacks.
pub(in crate::web) async fn admit(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    if access.admits(request.headers()) { next.run(request).await } else { access.refusal() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Http;

    fn admits(configured: &str, sent: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(sent) = sent {
            headers.insert(AUTHORIZATION, sent.parse().unwrap());
        }
        Access::new(&Http::of_text(configured)).admits(&headers)
    }

    #[test]
    fn anyone_who_knows_password_or_token_is_let_in_and_no_one_else() {
        let both = "{basic_auth: {username: ops, password: 'hunter2:ä'}, token: abc}";
        let right = format!("Basic {}", openssl::base64::encode_block("ops:hunter2:ä".as_bytes()));
        for sent in [&*right, "Bearer abc", "bearer   abc "] {
            assert!(admits(both, Some(sent)), "{sent}");
        }
        let wrong =
            [&right[..right.len() - 1], "Bearer ab", "Bearer abcd", "Bearer", "Basic abc", "abc", "Bearer  ", ""];
        for sent in wrong.map(Some).into_iter().chain([None]) {
            assert!(!admits(both, sent), "{sent:?}");
        }
        assert!(!admits("{token: abc}", Some(&right)));
    }

    #[test]
    fn where_nothing_is_configured_all_are_let_in() {
        assert!(admits("{}", None) && admits("{}", Some("Bearer x")));
    }
}
