//! One check: from a monitor to a result, whatever happens.
//!
//! ```text
//! check ─▶ attempts ─┬▶ http ── one hop per redirect ──▶ ureq ──▶ connection ─▶ resolve ─▶ socket ─▶ tls
//!                    │    ├─ redirect, cookies: where to next, and with what   ├─ head: made plain for ureq
//!                    │    └─ body: bounded, searched as it comes; coding,      └─▶ trace: phases, peer, certificate
//!                    │        charset, budget
//!                    ├▶ tcp ── resolve ─▶ socket
//!                    └▶ dns ── resolve ─▶ UDP, or socket          expect: is that what was expected?
//! ```
//!
//! - One absolute deadline holds over everything: look-up, connecting, handshakes, all hops, the body.
//! - Each hop has a fresh connection and a full handshake. Nothing is pooled, and no proxy is taken from the
//!   environment: what is measured is what a new visitor would meet.
//! - What a check learns on its way stays, also when it fails later: phases, peer, certificate, status code. Of several
//!   attempts only the last one's counts.
//! - The first cause wins: a check stops at its first fault (`outcome`), which is the outcome.
//! - What is the agent's own trouble (no descriptors, no memory, no CPU) is never told as the site's.
//! - Whatever a peer sent becomes harmless text (`text`) before it enters a result.

mod attempts;
mod dns;
mod expect;
mod findings;
mod http;
mod net;
mod outcome;
mod tcp;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod text;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use wire::{CheckResult, Outcome};

use crate::config::{Monitor, Target};
use attempts::{Attempts, Stop};
use findings::Findings;
use http::Http;
use net::deadline::{Deadline, micros};
use net::resolve::Resolver;
use net::tls::Contexts;
use net::trace::SharedTrace;
use outcome::Fault;

/// What all checks share: the trust store, and the threads that look names up.
pub struct Checker {
    http: Http,
    resolver: Arc<Resolver>,
    stop: Stop,
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
        Ok(Checker::with(Contexts::new()?))
    }

    fn with(tls: Contexts) -> Checker {
        let resolver = Arc::new(Resolver::new());
        Checker { http: Http::new(tls, resolver.clone()), resolver, stop: Stop::default() }
    }

    /// Checks a monitor: once, and again as often as it asks for while it fails.
    pub fn check(&self, monitor: &Monitor, scheduled_at: Timestamp) -> CheckResult {
        self.http.prepare(monitor);
        // Before the clock is read, so that no request of the first attempt lies outside of its time.
        let mut began = Some(Instant::now());
        let checked_at = Timestamp::now();
        let late = Duration::try_from(checked_at.duration_since(scheduled_at)).unwrap_or_default();
        let mut attempts = Attempts::of(monitor, late);
        let mut last = None;
        while let Some(timeout) = attempts.next(&self.stop) {
            let attempt = self.attempt(monitor, began.take().unwrap_or_else(Instant::now), timeout);
            let is_done = attempt.verdict.is_ok();
            last = Some(attempt);
            if is_done {
                break;
            }
        }
        let Attempt { verdict, took, trace, findings } = last.expect("there is always a first attempt");
        let mut trace = trace.lock();
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
            response_time_us: Some(micros(took)),
            phases: trace.phases(),
            peer: trace.peer().map(|peer| peer.to_string()),
            redirects: findings.redirects,
            pattern_matched: findings.pattern_matched,
            certificate: trace.take_certificate(),
            body_bytes: findings.body_bytes,
            truncated: findings.truncated,
            attempts: attempts.made(),
            tags: monitor.tags.clone(),
            error,
        }
    }

    /// Tries no check again from now on: the agent stops.
    pub fn stop(&self) {
        self.stop.stop();
    }

    fn attempt(&self, monitor: &Monitor, started: Instant, timeout: Duration) -> Attempt {
        let deadline = Deadline::after(started, timeout);
        let trace = SharedTrace::default();
        let mut findings = Findings::default();
        let (resolver, expect) = (&self.resolver, &monitor.expect);
        let asked = catch_unwind(AssertUnwindSafe(|| match &monitor.target {
            Target::Http(request) => self.http.check(monitor, request, deadline, &trace, &mut findings),
            Target::Tcp(port) => tcp::check(monitor, port, resolver, deadline, &trace, &mut findings),
            Target::Dns(question) => dns::check(monitor, question, resolver, deadline, &trace, &mut findings),
        }));
        let took = started.elapsed();
        trace.lock().end();
        let verdict = asked
            .unwrap_or_else(|panic| Err(Fault::new(Outcome::AgentError, panic_text(panic.as_ref()))))
            .and_then(|()| expect::time(took, expect))
            .and_then(|()| expect::certificate(trace.lock().first_end(), expect));
        Attempt { verdict, took, trace, findings }
    }

    /// A checker to which another time is told.
    #[cfg(test)]
    fn with_clock(clock: fn() -> Timestamp) -> Checker {
        Checker::with(Contexts::with_clock(clock))
    }
}

/// What one attempt came to.
struct Attempt {
    verdict: Result<(), Fault>,
    took: Duration,
    trace: SharedTrace,
    findings: Findings,
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the check broke down: {}", message.unwrap_or("it panicked"))
}
