//! Checks of ports.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use secrecy::SecretString;
use url::{Host, Url};

use super::*;
use crate::check::testing::{hang, listen};
use crate::config::{Pattern, Port};

fn port(number: u16, send: Option<&str>, pattern: Option<&str>) -> Monitor {
    let send = send.map(SecretString::from);
    let target = Port { host: Host::parse("127.0.0.1").unwrap(), port: number, send, send_first: false };
    Monitor {
        url: Url::parse(&format!("tcp://127.0.0.1:{number}")).unwrap(),
        target: Target::Tcp(target),
        pattern: pattern.map(|pattern| Pattern::compile(pattern).unwrap()),
        ..monitor("tcp://127.0.0.1:1")
    }
}

fn speaks_first(mut monitor: Monitor) -> Monitor {
    if let Target::Tcp(port) = &mut monitor.target {
        port.send_first = true;
    }
    monitor
}

#[test]
fn a_mail_server_is_let_say_its_greeting_first() {
    let number = listen(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_millis(200))).ok();
        let mut early = [0; 1];
        let is_early = stream.read(&mut early).is_ok_and(|count| count > 0);
        stream.write_all(if is_early { b"554 protocol error\r\n" } else { b"220 mail.example ESMTP\r\n" }).ok();
        if !is_early {
            stream.set_read_timeout(None).ok();
            hang(stream);
        }
    });
    assert_eq!(check_monitor(&port(number, Some("QUIT\r\n"), Some("^220 "))).outcome, Outcome::Success);
    let result = check_monitor(&speaks_first(port(number, Some("QUIT\r\n"), Some("^220 "))));
    assert_eq!(result.outcome, Outcome::PatternMismatch, "{result:?}");
}

#[test]
fn a_port_that_accepts_is_a_success_without_a_word() {
    let number = listen(hang);
    let result = check_monitor(&port(number, None, None));
    assert_eq!((result.outcome, result.peer), (Outcome::Success, Some(format!("127.0.0.1:{number}"))));
    assert_eq!((result.status_code, result.redirects, result.body_bytes), (None, None, None));
    assert!(result.phases.connect.is_some() && result.phases.first_byte.is_none());
}

#[test]
fn a_port_that_refuses_is_told() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(check_monitor(&port(free, None, Some("x"))).outcome, Outcome::ConnectionRefused);
}

#[test]
fn what_the_server_says_first_is_searched_as_it_comes() {
    let number = listen(|mut stream| {
        stream.write_all(b"220 mail").ok();
        thread::sleep(Duration::from_millis(10));
        stream.write_all(b".example ESMTP\r\n").ok();
        hang(stream);
    });
    let result = check_monitor(&port(number, None, Some("^220 .* ESMTP")));
    assert_eq!((result.outcome, result.pattern_matched), (Outcome::Success, Some(true)), "{result:?}");
    assert_eq!((result.body_bytes, result.truncated), (Some(24), Some(false)));
    let other = Monitor { timeout: Duration::from_millis(500), ..port(number, None, Some("^554")) };
    let result = check_monitor(&other);
    assert_eq!((result.outcome, result.pattern_matched), (Outcome::PatternMismatch, Some(false)), "{result:?}");
}

#[test]
fn something_is_sent_first_where_the_server_waits_for_it() {
    let number = listen(|mut stream| {
        let mut word = [0; 6];
        stream.read_exact(&mut word).ok();
        stream.write_all(if &word == b"PING\r\n" { b"+PONG\r\n" } else { b"-ERR\r\n" }).ok();
    });
    assert_eq!(
        check_monitor(&speaks_first(port(number, Some("PING\r\n"), Some("^\\+PONG")))).outcome,
        Outcome::Success
    );
    let result = check_monitor(&speaks_first(port(number, Some("ping\r\n"), Some("^\\+PONG"))));
    assert_eq!((result.outcome, result.body_bytes), (Outcome::PatternMismatch, Some(6)), "{result:?}");
    assert!(result.error.unwrap().ends_with(": \"-ERR\""), "what came is quoted");
    assert_eq!(check_monitor(&port(number, Some("PING\r\n"), None)).outcome, Outcome::Success);
}

#[test]
fn silence_and_an_end_without_a_word_are_told_apart() {
    let silent = port(listen(hang), None, Some("x"));
    assert_timed_out(&check_monitor(&Monitor { timeout: Duration::from_secs(1), ..silent }));
    let result = check_monitor(&port(listen(drop), None, Some("x")));
    assert_eq!(result.outcome, Outcome::ConnectionClosed, "{result:?}");
}

#[test]
fn a_server_that_says_more_and_more_is_heard_up_to_the_bound() {
    let number = listen(|mut stream| while stream.write_all(&[b'x'; 1024]).is_ok() {});
    let monitor = Monitor { max_body: 50_000, ..port(number, None, Some("y")) };
    let result = check_monitor(&monitor);
    assert_eq!(
        (result.outcome, result.body_bytes, result.truncated),
        (Outcome::PatternMismatch, Some(50_000), Some(true))
    );
}
