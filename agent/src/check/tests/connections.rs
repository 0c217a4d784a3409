//! What may happen to a connection, and what a request holds.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::check::testing::{Server, hang, listen, serve};
use crate::config::IpFamily;

const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn always(answer: &'static [u8]) -> Server {
    Server::start(move |_, mut stream| {
        stream.write_all(answer).ok();
    })
}

#[test]
fn a_port_that_refuses_is_told() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let result = check(&format!("http://{free}/"));
    assert_eq!((result.outcome, result.peer), (Outcome::ConnectionRefused, None));
    assert!(result.phases.connect.is_some() && result.phases.first_byte.is_none());
    assert!(result.error.unwrap().contains(&free.to_string()));
}

#[test]
fn a_name_that_can_not_exist_is_a_dns_error() {
    // Too long a label for DNS: refused without a question to anybody.
    let result = check(&format!("http://{}.invalid/", "x".repeat(64)));
    assert_eq!(result.outcome, Outcome::DnsError, "{result:?}");
    assert!(result.phases.dns.is_some() && result.phases.connect.is_none());
}

#[test]
fn a_name_is_looked_up_and_each_of_its_addresses_is_tried() {
    let server = always(EMPTY);
    let url = server.url("/").replace("127.0.0.1", "localhost");
    let result = check(&url);
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    assert!(server.requests()[0].contains(&format!("host: {host}\r\n")), "{:?}", server.requests());
}

#[test]
fn a_monitor_keeps_to_its_family() {
    let server = always(EMPTY);
    let url = server.url("/").replace("127.0.0.1", "localhost");
    let result = check_monitor(&Monitor { ip: IpFamily::V4, ..monitor(&url) });
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    // Where the host has no IPv6 its name has no such address, or no one listens there.
    let result = check_monitor(&Monitor { ip: IpFamily::V6, ..monitor(&url) });
    assert!(!result.error.unwrap().contains("127.0.0.1") && server.requests().len() == 1);
}

#[test]
fn silence_is_a_timeout() {
    let result = check_monitor(&impatient(&Server::start(|_, stream| hang(stream)).url("/")));
    assert_timed_out(&result);
    assert!(result.phases.first_byte.is_some() && result.phases.body.is_none());
}

#[test]
fn a_head_that_trickles_is_cut_off_at_the_deadline() {
    let server = Server::start(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").ok();
        while stream.write_all(b"A: b\r\n").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert_timed_out(&check_monitor(&impatient(&server.url("/"))));
}

#[test]
fn informational_answers_without_end_are_cut_off_at_the_deadline() {
    let server = Server::start(|_, mut stream| while stream.write_all(b"HTTP/1.1 103 Wait\r\n\r\n").is_ok() {});
    assert_timed_out(&check_monitor(&impatient(&server.url("/"))));
}

#[test]
fn a_handshake_that_hangs_is_a_timeout() {
    let port = listen(hang);
    let result = check_monitor(&impatient(&format!("https://127.0.0.1:{port}/")));
    assert_timed_out(&result);
    assert!(result.phases.tls.is_some() && result.phases.first_byte.is_none());
}

#[test]
fn a_connection_that_ends_before_the_answer_is_told() {
    let silent = check(&Server::start(|_, _| {}).url("/"));
    assert_eq!(silent.outcome, Outcome::ConnectionClosed, "{silent:?}");
    let half = check(&serve(b"HTTP/1.1 200 OK\r\nContent-"));
    assert_eq!(half.outcome, Outcome::ConnectionClosed, "{half:?}");
}

#[test]
fn a_reset_is_told_before_and_within_the_answer() {
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\n\r\nuntil the connection ends, which it does badly"] {
        // Closing with input unread makes the kernel reset the connection.
        let port = listen(move |mut stream| {
            stream.read_exact(&mut [0]).unwrap();
            stream.write_all(answer).unwrap();
        });
        let result = check(&format!("http://127.0.0.1:{port}/"));
        assert_eq!(result.outcome, Outcome::ConnectionClosed, "{result:?}");
    }
}

#[test]
fn the_request_is_a_plain_get_by_name_and_version() {
    let server = always(EMPTY);
    check(&server.url("/a%20b?c=d&e#f"));
    let request = &server.requests()[0];
    assert!(request.starts_with("GET /a%20b?c=d&e HTTP/1.1\r\n"), "{request}");
    let agent = format!("user-agent: website-monitor/{}\r\n", env!("CARGO_PKG_VERSION"));
    assert!(request.contains(&agent), "{request}");
    assert!(request.contains("connection: close\r\n") && !request.contains("authorization"), "{request}");
}

#[test]
fn every_character_that_a_url_may_hold_can_be_asked_for() {
    let server = always(EMPTY);
    for character in (' '..='~').chain("öß€\u{1f600}".chars()) {
        let url = server.url(&format!("/a{character}b?c{character}d"));
        let result = check(&url);
        assert_eq!(result.outcome, Outcome::Success, "{url}: {result:?}");
    }
}

#[test]
fn basic_authentication_is_sent_and_never_shown() {
    let server = always(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    let monitor = authorized(&server.url("/"), "Basic YWxhZGRpbjpvcGVuOnNlc2FtZQ==");
    let result = check_monitor(&monitor);
    assert_eq!(result.outcome, Outcome::StatusMismatch);
    let sent = "authorization: Basic YWxhZGRpbjpvcGVuOnNlc2FtZQ==\r\n";
    assert!(server.requests()[0].contains(sent), "{:?}", server.requests());
    let shown = format!("{result:?} {monitor:?}");
    assert!(!shown.contains("sesame") && !shown.contains("YWxhZGRpbjp"), "{shown}");
}
