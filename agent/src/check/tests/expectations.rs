//! What is expected of an answer, beyond its status and the pattern; and how often it may fail.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::check::testing::{Server, serve};
use crate::config::Pattern;

const GOOD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Length: 5\r\n\r\nsch\xf6n";

fn pattern(text: &str) -> Option<Pattern> {
    Some(Pattern::compile(text).unwrap())
}

#[test]
fn a_page_is_decoded_before_the_pattern_is_looked_for() {
    let monitor = Monitor { pattern: pattern("^schön$"), ..monitor(&serve(GOOD)) };
    let result = check_monitor(&monitor);
    assert_eq!((result.outcome, result.body_bytes), (Outcome::Success, Some(5)), "{result:?}");
}

#[test]
fn what_must_be_absent_is_told_when_it_is_there() {
    let mut monitor = monitor(&serve(GOOD));
    monitor.expect.pattern_absent = pattern("error|fault");
    assert_eq!(check_monitor(&monitor).outcome, Outcome::Success);
    monitor.expect.pattern_absent = pattern("ö");
    let result = check_monitor(&monitor);
    assert_eq!((result.outcome, result.pattern_matched), (Outcome::PatternMismatch, None), "{result:?}");
    assert!(result.error.unwrap().contains("absent (ö)"));
    monitor.pattern = pattern("n$");
    assert_eq!(check_monitor(&monitor).pattern_matched, Some(true));
}

#[test]
fn a_pattern_that_would_take_too_long_is_the_agents_trouble_and_is_named() {
    let server = Server::start(|_, mut stream| {
        let page = "schön ".repeat(700_000);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", page.len());
        stream.write_all((head + &page).as_bytes()).ok();
    });
    let monitor = Monitor { pattern: pattern(r"\bnever\b"), max_body: 8 << 20, ..monitor(&server.url("/")) };
    let result = check_monitor(&monitor);
    assert_eq!(result.outcome, Outcome::AgentError, "{result:?}");
    assert!(result.error.unwrap().ends_with(r#"("\\bnever\\b")"#));
}

#[test]
fn an_answer_that_takes_longer_than_it_may_is_too_slow_unless_it_is_wrong_as_well() {
    let server = Server::start(|_, mut stream| {
        thread::sleep(Duration::from_millis(20));
        stream.write_all(GOOD).ok();
    });
    let mut monitor = monitor(&server.url("/"));
    monitor.expect.max_response_time = Some(Duration::from_millis(10));
    let result = check_monitor(&monitor);
    assert_eq!((result.outcome, result.status_code), (Outcome::TooSlow, Some(200)), "{result:?}");
    monitor.expect.status = vec![(404, 404)];
    assert_eq!(check_monitor(&monitor).outcome, Outcome::StatusMismatch);
    monitor.expect.status = vec![(200, 200)];
    monitor.expect.max_response_time = Some(Duration::from_secs(50));
    assert_eq!(check_monitor(&monitor).outcome, Outcome::Success);
}

/// A server that fails this many times and then doesn't.
fn fails(times: usize) -> Server {
    let seen = AtomicUsize::new(0);
    Server::start(move |_, mut stream| {
        if seen.fetch_add(1, Ordering::Relaxed) >= times {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok();
        } else {
            stream.write_all(b"HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n").ok();
        }
    })
}

#[test]
fn a_check_that_fails_is_tried_again_and_only_the_last_attempt_counts() {
    for (failures, retries, outcome, status, attempts) in [
        (0, 2, Outcome::Success, 200, 1),
        (1, 2, Outcome::Success, 200, 2),
        (9, 1, Outcome::StatusMismatch, 503, 2),
        (9, 0, Outcome::StatusMismatch, 503, 1),
    ] {
        let server = fails(failures);
        // A pause is a tenth of the interval at most.
        let short = Duration::from_secs(1);
        let monitor = Monitor { retries, interval: short, timeout: short, ..monitor(&server.url("/")) };
        let result = check_monitor(&monitor);
        assert_eq!((result.outcome, result.status_code), (outcome, Some(status)), "{result:?}");
        assert_eq!((result.attempts, server.requests().len()), (attempts, attempts as usize));
    }
}
