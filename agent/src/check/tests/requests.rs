//! What is asked, and what goes along with it over redirects.

use std::io::{Read, Write};

use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use secrecy::SecretString;

use super::*;
use crate::check::testing::Server;

const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A server that answers `/status?where` with this status and Location, and anything else with an empty page. The
/// bodies that it receives are logged behind the heads.
fn server() -> Server {
    Server::with_bodies(|request, stream| {
        let path = request.split(' ').nth(1).unwrap();
        let answer = match path.trim_start_matches('/').split_once('?') {
            Some((status, to)) => {
                format!("HTTP/1.1 {status} Go\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
            }
            None => EMPTY.to_vec(),
        };
        stream.write_all(&answer).ok();
    })
}

fn asking(url: &str, method: Method, body: Option<&str>, headers: &[(&'static str, &'static str)]) -> Monitor {
    let named = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value))
    };
    let headers: HeaderMap = headers.iter().map(named).collect();
    let request = Request { method, headers, body: body.map(SecretString::from), authorization: None };
    Monitor { target: Target::Http(request), ..monitor(url) }
}

#[test]
fn each_method_is_asked_with_its_body_and_its_headers() {
    let server = server();
    for (method, body, expected) in [
        (Method::GET, None, None),
        (Method::HEAD, None, None),
        (Method::OPTIONS, None, None),
        (Method::DELETE, None, None),
        (Method::DELETE, Some("x"), Some("content-length: 1")),
        (Method::POST, None, Some("content-length: 0")),
        (Method::POST, Some("täglich"), Some("content-length: 8")),
        (Method::PUT, Some("y"), Some("content-length: 1")),
        (Method::PATCH, Some("z"), Some("content-length: 1")),
    ] {
        let headers = [("x-key", "one"), ("user-agent", "me"), ("accept", "text/html"), ("host", "shop.example")];
        let result = check_monitor(&asking(&server.url("/"), method.clone(), body, &headers));
        assert_eq!(result.outcome, Outcome::Success, "{method}: {result:?}");
        let request = server.requests().pop().unwrap();
        assert!(request.starts_with(&format!("{method} / HTTP/1.1\r\n")), "{request}");
        for line in ["x-key: one", "user-agent: me", "accept: text/html", "host: shop.example", "connection: close"] {
            assert!(request.contains(&format!("{line}\r\n")), "{line}: {request}");
        }
        assert_eq!(request.matches("host:").count(), 1, "{request}");
        assert_eq!(request.contains("content-length"), expected.is_some(), "{request}");
        assert!(expected.is_none_or(|line| request.contains(&format!("{line}\r\n"))), "{request}");
        assert!(request.ends_with(&format!("\r\n\r\n{}", body.unwrap_or_default())), "{request}");
    }
}

#[test]
fn a_large_body_is_sent_whole() {
    let server = server();
    let body = "x".repeat(300_000);
    let result = check_monitor(&asking(&server.url("/"), Method::POST, Some(&body), &[]));
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    assert!(server.requests()[0].ends_with(&format!("\r\n\r\n{body}")));
}

#[test]
fn the_body_goes_along_where_the_status_says_so() {
    for (method, status, becomes, carried) in [
        (Method::POST, 301, "GET", false),
        (Method::POST, 302, "GET", false),
        (Method::POST, 303, "GET", false),
        (Method::POST, 307, "POST", true),
        (Method::PUT, 308, "PUT", true),
        (Method::PUT, 302, "PUT", true),
        (Method::HEAD, 303, "HEAD", false),
    ] {
        let server = server();
        let body = (method != Method::HEAD).then_some("the body");
        let monitor = asking(&server.url(&format!("/{status}?/end")), method, body, &[("content-type", "text/x")]);
        let result = check_monitor(&monitor);
        assert_eq!((result.outcome, result.redirects), (Outcome::Success, Some(1)), "{result:?}");
        let request = server.requests().pop().unwrap();
        assert!(request.starts_with(&format!("{becomes} /end ")), "{status}: {request}");
        assert_eq!(request.ends_with("the body"), carried, "{request}");
        assert_eq!(request.contains("content-type"), carried, "{request}");
    }
}

#[test]
fn to_another_site_goes_nothing_that_may_be_secret() {
    let (here, there) = (server(), server());
    let headers = [("x-key", "s3cret"), ("cookie", "s3cret"), ("accept-language", "de"), ("host", "shop.example")];
    let result = check_monitor(&asking(&here.url(&format!("/302?{}", there.url("/"))), Method::GET, None, &headers));
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    assert_eq!(here.requests()[0].matches("s3cret").count(), 2);
    let request = &there.requests()[0];
    assert!(!request.contains("s3cret") && !request.contains("shop.example"), "{request}");
    assert!(request.contains("accept-language: de\r\n"), "{request}");
}

#[test]
fn a_redirect_that_would_take_the_body_to_another_site_is_not_followed() {
    let (here, there) = (server(), server());
    let monitor = asking(&here.url(&format!("/307?{}", there.url("/"))), Method::POST, Some("s3cret"), &[]);
    let result = check_monitor(&monitor);
    assert_eq!((result.outcome, result.status_code), (Outcome::RedirectError, Some(307)), "{result:?}");
    assert!(result.error.unwrap().contains("another site"));
    assert!(there.requests().is_empty());
}

#[test]
fn an_answer_before_the_body_was_read_is_an_answer() {
    let port = crate::check::testing::listen(|mut stream| {
        crate::check::testing::read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 413 Too much\r\nContent-Length: 0\r\n\r\n").ok();
        // Closing with input unread would reset the connection.
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let url = format!("http://127.0.0.1:{port}/");
    let result = check_monitor(&asking(&url, Method::POST, Some(&"x".repeat(10_000)), &[]));
    assert_eq!((result.outcome, result.status_code), (Outcome::StatusMismatch, Some(413)), "{result:?}");
}
