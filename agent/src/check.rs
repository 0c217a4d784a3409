//! One check: from a monitor to a result, whatever happens.
//!
//! ```text
//! check ─▶ http ── one hop per redirect ──▶ ureq ──▶ connection ─▶ resolve ─▶ socket ─▶ tls
//!            ├─ redirect: where to next          (HTTP/1.1)   │
//!            └─ body: bounded, decoded, pattern               └─▶ trace: phases, peer, certificate
//! ```
//!
//! - One absolute deadline holds over everything: look-up, connecting, handshakes, all hops, the body.
//! - Each hop has a fresh connection and a full handshake. Nothing is pooled, and no proxy is taken from the
//!   environment: what is measured is what a new visitor would meet.
//! - What a check learns on its way stays, also when it fails later: phases, peer, certificate, status code.
//! - The first cause wins: a check stops at its first fault (`outcome`), which is the outcome.
//! - Whatever a peer sent becomes harmless text (`text`) before it enters a result.

mod body;
mod buffers;
mod connection;
mod deadline;
mod http;
mod outcome;
mod redirect;
mod resolve;
mod socket;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod trace;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use jiff::Timestamp;
use wire::{CheckResult, Outcome};

use crate::config::Monitor;
use deadline::Deadline;
use http::{Findings, Http};
use outcome::Fault;
use resolve::Resolver;
use tls::Contexts;
use trace::{SharedTrace, locked};

/// What all checks share: the trust store, and the threads that look names up.
pub struct Checker {
    http: Http,
}

/// A checker can't be made.
#[derive(Debug, thiserror::Error)]
#[error("TLS can't be set up: {0}")]
pub struct SetupError(#[from] openssl::error::ErrorStack);

impl Checker {
    /// A checker. The system's roots are those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, where they do.
    ///
    /// # Errors
    /// When OpenSSL can't be set up.
    pub fn new() -> Result<Checker, SetupError> {
        Ok(Checker { http: Http::new(Contexts::new()?, Resolver::new()) })
    }

    /// Checks a monitor once.
    pub fn check(&self, monitor: &Monitor, scheduled_at: Timestamp) -> CheckResult {
        let checked_at = Timestamp::now();
        let started = Instant::now();
        let deadline = Deadline::after(started, monitor.timeout);
        let trace = SharedTrace::default();
        let mut findings = Findings::default();
        let verdict = catch_unwind(AssertUnwindSafe(|| self.http.check(monitor, deadline, &trace, &mut findings)))
            .unwrap_or_else(|panic| Err(Fault::new(Outcome::AgentError, panic_text(panic.as_ref()))));
        let took = started.elapsed();
        let mut trace = locked(&trace);
        trace.end();
        let (outcome, error) = match verdict {
            Ok(()) => (Outcome::Success, None),
            Err(fault) => (fault.outcome(), Some(text::harmless(fault.text().as_bytes()))),
        };
        CheckResult {
            monitor: monitor.id.clone(),
            name: monitor.name.clone(),
            url: monitor.url.as_str().to_owned(),
            pattern: monitor.pattern.as_ref().map(|pattern| pattern.as_str().to_owned()),
            scheduled_at,
            checked_at,
            outcome,
            status_code: findings.status_code,
            reason: findings.reason,
            response_time_us: Some(deadline::micros(took)),
            phases: trace.phases(),
            peer: trace.peer().map(|peer| peer.to_string()),
            redirects: findings.redirects,
            pattern_matched: findings.pattern_matched,
            certificate: trace.take_certificate(),
            body_bytes: findings.body_bytes,
            truncated: findings.truncated,
            attempts: 1,
            tags: monitor.tags.clone(),
            error,
        }
    }

    /// A checker to which another time is told.
    #[cfg(test)]
    fn with_clock(clock: fn() -> Timestamp) -> Checker {
        Checker { http: Http::new(Contexts::with_clock(clock), Resolver::new()) }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the check broke down: {}", message.unwrap_or("it panicked"))
}
