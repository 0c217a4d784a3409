//! A check over HTTP: asks, follows redirects, and compares the answer with what is expected.

mod body;
mod budget;
mod buffers;
mod charset;
mod coding;
mod connection;
mod cookies;
mod head;
mod redirect;

use std::sync::Arc;

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION,
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, LOCATION, PRAGMA, USER_AGENT,
};
use http::{Method, Response, StatusCode, Uri};
use secrecy::{ExposeSecret, SecretString};
use ureq::{Agent, Body};
use url::Url;
use wire::Outcome;

use super::findings::Findings;
use super::net::deadline::Deadline;
use budget::Budget;
use connection::{Dialer, LeftToDialer};
use cookies::Cookies;

use super::expect;
use super::net::resolve::Resolver;
use super::net::tls::Contexts;
use super::net::trace::SharedTrace;
use super::outcome::Fault;
use super::text::harmless;
use crate::config::{Monitor, Request, is_redirect};
use redirect::Path;

/// Headers that tell nothing secret: the only ones that go along to another site.
const HARMLESS: [HeaderName; 7] =
    [ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, PRAGMA, USER_AGENT];

/// Headers that speak of the body.
const OF_THE_BODY: [HeaderName; 3] = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE];

/// What HTTP checks share.
pub(super) struct Http {
    config: ureq::config::Config,
    pub(super) tls: Contexts,
    resolver: Arc<Resolver>,
    budget: Budget,
}

/// One hop's request.
struct Hop<'a> {
    url: &'a Url,
    method: &'a Method,
    body: Option<&'a SecretString>,
    /// Headers, and who asks.
    request: &'a Request,
    /// Whether it goes to the monitor's own site, and so may hold what is secret.
    is_own: bool,
    /// What this check's redirects have set for that url.
    cookies: &'a str,
}

impl Http {
    pub(super) fn new(tls: Contexts, resolver: Arc<Resolver>) -> Http {
        // Settings belong here and not to a request: ureq would set everything up again for each request that differs.
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .max_response_header_size(head::MOST)
            .user_agent(concat!("website-monitor/", env!("CARGO_PKG_VERSION")))
            .accept_encoding(coding::ASKED_FOR)
            .build();
        Http { config, tls, resolver, budget: Budget::default() }
    }

    /// Reads whom the monitor trusts, the first time that one asks, so that its check's time has none of that.
    pub(super) fn prepare(&self, monitor: &Monitor) {
        if monitor.url.scheme() == "https" {
            // What goes wrong here goes wrong in the check, too, and is told there.
            self.tls.of(&monitor.tls).ok();
        }
    }

    /// Checks a monitor; the verdict is the first fault.
    pub(super) fn check(
        &self,
        monitor: &Monitor,
        request: &Request,
        deadline: Deadline,
        trace: &SharedTrace,
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        let mut path = Path::new(&monitor.url, monitor.follow_redirects);
        let (mut method, mut body) = (request.method.clone(), request.body.as_ref());
        let mut cookies = Cookies::default();
        let mut response = loop {
            let is_own = path.carries_credentials();
            if body.is_some() && !is_own {
                let text = format!("the body was to be sent to another site: a redirect leads to {}", path.here());
                return Err(Fault::new(Outcome::RedirectError, text));
            }
            let set = cookies.of(path.here());
            path.ask(&method, body.is_some(), &set)?;
            let hop = Hop { url: path.here(), method: &method, body, request, is_own, cookies: &set };
            let answer = self.ask(monitor, &hop, deadline, trace);
            // An answer that breaks off, or can't be read, may have begun with one.
            findings.status_code = trace.lock().status_code().or(findings.status_code);
            let response = answer?;
            findings.status_code = Some(response.status().as_u16());
            findings.reason = phrase(response.status(), trace);
            findings.redirects = Some(path.followed());
            if monitor.follow_redirects == 0 || !is_redirect(response.status().as_u16()) {
                break response;
            }
            cookies.take(response.headers(), path.here());
            path.follow(response.headers().get(LOCATION))?;
            findings.redirects = Some(path.followed());
            if becomes_get(response.status(), &method) {
                (method, body) = (Method::GET, None);
            }
        };
        expect::status(response.status().as_u16(), &monitor.expect)?;
        body::examine(&mut response, monitor, &self.budget, deadline, trace, findings)
    }

    /// One request over a connection of its own, up to the end of the answer's head.
    fn ask(
        &self,
        monitor: &Monitor,
        hop: &Hop<'_>,
        deadline: Deadline,
        trace: &SharedTrace,
    ) -> Result<Response<Body>, Fault> {
        let url = hop.url;
        let unusable = || Fault::new(Outcome::AgentError, format!("{url} can't be asked for"));
        let host = url.host().ok_or_else(unusable)?.to_owned();
        let port = url.port_or_known_default().ok_or_else(unusable)?;
        let uri: Uri = url.as_str().parse().map_err(|_| unusable())?;
        let is_own_site =
            monitor.url.host() == url.host() && (monitor.url.scheme() == "http" || monitor.url.port() == url.port());
        let tls = (url.scheme() == "https").then(|| self.tls.handshake(&monitor.tls, is_own_site)).transpose()?;
        let (family, resolver) = (monitor.ip, self.resolver.clone());
        let dialer = Dialer { host, port, family, tls, resolver, deadline, trace: trace.clone() };

        let mut head = http::Request::builder().method(hop.method).uri(uri).header(CONNECTION, "close");
        for (name, value) in &hop.request.headers {
            let goes_along = hop.is_own && name != COOKIE || HARMLESS.contains(name);
            if goes_along && (hop.body.is_some() || !OF_THE_BODY.contains(name)) {
                head = head.header(name, value);
            }
        }
        if let Some(cookies) = hop.cookies() {
            head = head.header(COOKIE, cookies);
        }
        if let Some(authorization) = hop.request.authorization.as_ref().filter(|_| hop.is_own) {
            head = head.header(AUTHORIZATION, authorization);
        }
        // An agent is a handful of allocations, and the only way to tell a connector about its check.
        let agent = Agent::with_parts(self.config.clone(), dialer, LeftToDialer);
        let answer = if hop.body.is_some() || may_have_body(hop.method) {
            let body = hop.body.map_or("", SecretString::expose_secret);
            agent.run(head.body(body).map_err(|_| unusable())?)
        } else {
            agent.run(head.body(()).map_err(|_| unusable())?)
        };
        answer.map_err(Fault::of_head)
    }
}

impl Hop<'_> {
    /// The monitor's own cookies, which go to its own site, and those that the redirects have set.
    fn cookies(&self) -> Option<HeaderValue> {
        let own = self.request.headers.iter().filter(|(name, _)| self.is_own && *name == COOKIE);
        let own = own.map(|(_, value)| value.as_bytes());
        let all: Vec<&[u8]> = own.chain([self.cookies.as_bytes()]).filter(|value| !value.is_empty()).collect();
        let mut value = HeaderValue::from_bytes(&all.join(&b"; "[..])).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Methods whose requests say how long their body is, also when it is empty.
fn may_have_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// What browsers do: after these redirects, what is asked for is a page.
fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        303 => method != Method::HEAD,
        301 | 302 => method == Method::POST,
        _ => false,
    }
}

/// The server's phrase, or else the standard one.
fn phrase(status: StatusCode, trace: &SharedTrace) -> Option<String> {
    let given = trace.lock().phrase(status.as_u16()).map(harmless);
    given.or_else(|| status.canonical_reason().map(str::to_owned))
}
