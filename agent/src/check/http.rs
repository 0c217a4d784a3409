//! A check over HTTP: asks, follows redirects, and compares the answer with what is expected.

use std::sync::Arc;

use secrecy::ExposeSecret;
use ureq::http::header::{AUTHORIZATION, CONNECTION, LOCATION};
use ureq::http::{HeaderValue, Request, Response, StatusCode, Uri};
use ureq::{Agent, Body};
use url::Url;
use wire::Outcome;

use super::body;
use super::buffers::MOST_HEAD;
use super::connection::{Dialer, LeftToDialer};
use super::deadline::Deadline;
use super::outcome::Fault;
use super::redirect::{Path, is_redirect};
use super::resolve::Resolver;
use super::text::harmless;
use super::tls::Contexts;
use super::trace::{SharedTrace, locked};
use crate::config::{BasicAuth, Monitor};

/// What HTTP checks share.
pub(super) struct Http {
    config: ureq::config::Config,
    pub(super) tls: Contexts,
    resolver: Arc<Resolver>,
}

/// What a check found out about the answer. It is filled on the way and stays when the check fails later.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) status_code: Option<u16>,
    pub(super) reason: Option<String>,
    pub(super) redirects: Option<u32>,
    pub(super) pattern_matched: Option<bool>,
    pub(super) body_bytes: Option<u64>,
    pub(super) truncated: Option<bool>,
}

impl Http {
    pub(super) fn new(tls: Contexts, resolver: Resolver) -> Http {
        // Settings belong here and not to a request: ureq would set everything up anew for each request that differs.
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .max_response_header_size(MOST_HEAD)
            .user_agent(concat!("website-monitor/", env!("CARGO_PKG_VERSION")))
            .build();
        Http { config, tls, resolver: Arc::new(resolver) }
    }

    /// Checks a monitor; the verdict is the first fault.
    pub(super) fn check(
        &self,
        monitor: &Monitor,
        deadline: Deadline,
        trace: &SharedTrace,
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        let credentials = monitor.basic_auth.as_ref().map(authorization).transpose()?;
        let mut path = Path::new(monitor.url.clone(), monitor.follow_redirects);
        let mut response = loop {
            let credentials = credentials.as_ref().filter(|_| path.carries_credentials());
            let response = self.ask(monitor, path.here(), credentials, deadline, trace)?;
            findings.status_code = Some(response.status().as_u16());
            findings.reason = phrase(response.status(), trace);
            findings.redirects = Some(path.followed());
            if monitor.follow_redirects == 0 || !is_redirect(response.status()) {
                break response;
            }
            path.follow(response.headers().get(LOCATION))?;
            findings.redirects = Some(path.followed());
        };
        let status = response.status().as_u16();
        if !monitor.expected_status.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
            let expected: Vec<String> = monitor.expected_status.iter().map(shown).collect();
            let text = format!("status {status} is not among the expected ({})", expected.join(", "));
            return Err(Fault::new(Outcome::StatusMismatch, text));
        }
        body::examine(&mut response, monitor.max_body, monitor.pattern.as_ref(), trace, findings)
    }

    /// One request over a connection of its own, up to the end of the answer's head.
    fn ask(
        &self,
        monitor: &Monitor,
        url: &Url,
        credentials: Option<&HeaderValue>,
        deadline: Deadline,
        trace: &SharedTrace,
    ) -> Result<Response<Body>, Fault> {
        let unusable = || Fault::new(Outcome::AgentError, format!("{url} can't be asked for"));
        let host = url.host().ok_or_else(unusable)?.to_owned();
        let port = url.port_or_known_default().ok_or_else(unusable)?;
        let uri: Uri = url.as_str().parse().map_err(|_| unusable())?;
        let is_own_site = monitor.url.host() == url.host();
        let tls = (url.scheme() == "https").then(|| self.tls.handshake(&monitor.tls, is_own_site)).transpose()?;
        let (family, resolver) = (monitor.ip, self.resolver.clone());
        let dialer = Dialer { host, port, family, tls, resolver, deadline, trace: trace.clone() };

        let mut request = Request::get(uri).header(CONNECTION, "close");
        if let Some(credentials) = credentials {
            request = request.header(AUTHORIZATION, credentials);
        }
        let request = request.body(()).map_err(|_| unusable())?;
        // An agent is a handful of allocations, and the only way to tell a connector about its check.
        let agent = Agent::with_parts(self.config.clone(), dialer, LeftToDialer);
        agent.run(request).map_err(Fault::of_head)
    }
}

fn authorization(auth: &BasicAuth) -> Result<HeaderValue, Fault> {
    let pair = format!("{}:{}", auth.user, auth.password.expose_secret());
    let mut value = HeaderValue::from_str(&format!("Basic {}", openssl::base64::encode_block(pair.as_bytes())))
        .map_err(|_| Fault::new(Outcome::AgentError, "user and password can't be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The server's phrase, or else the standard one.
fn phrase(status: StatusCode, trace: &SharedTrace) -> Option<String> {
    let given = locked(trace).phrase(status.as_u16()).map(harmless);
    given.or_else(|| status.canonical_reason().map(str::to_owned))
}

fn shown((first, last): &(u16, u16)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}
