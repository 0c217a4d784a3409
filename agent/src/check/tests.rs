//! Checks against servers that play each fault.

mod answers;
mod certificates;
mod connections;
mod expectations;
mod names;
mod pki;
mod ports;
mod redirects;
mod requests;
mod verdicts;

use std::time::Duration;

use ::http::HeaderValue;

use super::*;
use crate::config::Request;
use testing::monitor;

/// Checks a url once.
fn check(url: &str) -> CheckResult {
    check_monitor(&monitor(url))
}

fn check_monitor(monitor: &Monitor) -> CheckResult {
    sane(Checker::new().unwrap().check(monitor, Timestamp::now()))
}

/// What holds for every result: a collector accepts it, and it has an error exactly when it failed.
fn sane(result: CheckResult) -> CheckResult {
    let record = wire::Record {
        epoch: uuid::Uuid::nil(),
        seq: 1,
        agent: "edge-1".into(),
        content: wire::Content::Result(Box::new(result.clone())),
    };
    wire::Record::decode(Some(&record.encode())).unwrap();
    assert_eq!(result.error.is_none(), result.outcome == Outcome::Success, "{result:?}");
    result
}

/// A monitor that gives up soon, for servers that never get done.
fn impatient(url: &str) -> Monitor {
    Monitor { timeout: Duration::from_secs(1), ..monitor(url) }
}

/// A monitor that says who asks.
fn authorized(url: &str, authorization: &'static str) -> Monitor {
    let mut authorization = HeaderValue::from_static(authorization);
    authorization.set_sensitive(true);
    let request = Request { authorization: Some(authorization), ..Request::default() };
    Monitor { target: Target::Http(request), ..monitor(url) }
}

/// Asserts that a check timed out, and did so at its deadline and not much later.
fn assert_timed_out(result: &CheckResult) {
    assert_eq!(result.outcome, Outcome::Timeout, "{result:?}");
    assert!(result.response_time_us.unwrap() < 10_000_000, "{result:?}");
}

#[test]
fn a_result_says_who_what_and_when() {
    let mut monitor = monitor(&testing::serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    monitor.tags.insert("team".into(), "web".into());
    let slot = Timestamp::from_second(1_790_000_000).unwrap();
    let before = Timestamp::now();
    let result = sane(Checker::new().unwrap().check(&monitor, slot));
    assert_eq!((result.monitor.as_str(), result.name.as_str()), ("m", "a monitor"));
    assert_eq!(result.url, monitor.url.as_str());
    assert_eq!((result.scheduled_at, &result.tags), (slot, &monitor.tags));
    assert!(before <= result.checked_at && result.checked_at <= Timestamp::now());
    assert_eq!((result.outcome, result.status_code, result.attempts), (Outcome::Success, Some(200), 1));
    assert_eq!(result.peer, monitor.url.socket_addrs(|| None).unwrap().first().map(ToString::to_string));
}

#[test]
fn a_check_that_breaks_down_is_the_agents_error() {
    let text = panic_text(catch_unwind(|| panic!("no such luck")).unwrap_err().as_ref());
    assert_eq!(text, "the check broke down: no such luck");
}
