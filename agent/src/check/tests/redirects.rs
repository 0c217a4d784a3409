//! Redirects, as a check meets them. Where they may lead is tested beside the [`redirect`](crate::check::redirect).

use std::io::Write;

use super::*;
use crate::check::testing::Server;

/// A server that sends `/n` to `/n+1` until it answers at `/last`, `/loop` to itself, `/to?x` to x, `/nowhere` without
/// a Location.
fn server(last: u32) -> Server {
    Server::start(move |request, mut stream| {
        let path = request.split(' ').nth(1).unwrap();
        let location = match path.trim_start_matches('/').parse::<u32>() {
            Ok(number) if number == last => None,
            Ok(number) => Some(format!("/{}", number + 1)),
            Err(_) if path == "/loop" => Some("/loop".into()),
            Err(_) => path.strip_prefix("/to?").map(str::to_owned),
        };
        let answer = match location {
            Some(location) => format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"),
            None if path == "/nowhere" => "HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n".into(),
            None => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
        };
        stream.write_all(answer.as_bytes()).ok();
    })
}

#[test]
fn redirects_are_followed_to_the_answer_and_counted() {
    let result = check(&server(3).url("/0"));
    assert_eq!((result.outcome, result.status_code, result.redirects), (Outcome::Success, Some(200), Some(3)));
}

#[test]
fn too_many_redirects_keep_the_status_of_the_last_answer() {
    let server = server(11);
    let result = check(&server.url("/0"));
    assert_eq!((result.outcome, result.status_code), (Outcome::RedirectError, Some(302)), "{result:?}");
    assert_eq!((result.redirects, server.requests().len()), (Some(10), 11));
}

#[test]
fn a_loop_and_a_redirect_to_nowhere_are_redirect_errors() {
    for (path, status) in [("/loop", 302), ("/nowhere", 301), ("/to?http://", 302), ("/to?ftp://a.example/", 302)] {
        let result = check(&server(0).url(path));
        assert_eq!((result.outcome, result.status_code), (Outcome::RedirectError, Some(status)), "{path}");
    }
}

#[test]
fn a_post_that_leads_to_its_own_url_as_a_get_is_no_loop() {
    let server = Server::with_bodies(|request, stream| {
        let answer: &[u8] = match request.starts_with("POST ") {
            true => b"HTTP/1.1 303 See Other\r\nLocation: /prg\r\nContent-Length: 0\r\n\r\n",
            false => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        };
        stream.write_all(answer).ok();
    });
    let request = Request { method: ::http::Method::POST, body: Some("a=1".into()), ..Request::default() };
    let result = check_monitor(&Monitor { target: Target::Http(request), ..monitor(&server.url("/prg")) });
    assert_eq!((result.outcome, result.status_code, result.redirects), (Outcome::Success, Some(200), Some(1)));
}

/// A server that leads each request without a cookie to the same url, or to another one that it names, and sets one.
fn with_cookies(location: impl Fn(&str) -> String + Send + Sync + 'static) -> Server {
    Server::start(move |request, mut stream| {
        let path = request.split(' ').nth(1).unwrap();
        let answer = match request.contains("cookie: ") {
            true => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
            false => format!(
                "HTTP/1.1 302 Found\r\nSet-Cookie: s=1; Path=/\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
                location(path)
            ),
        };
        stream.write_all(answer.as_bytes()).ok();
    })
}

#[test]
fn a_cookie_that_a_redirect_sets_goes_back_to_its_site_beside_the_monitors_own() {
    let server = with_cookies(str::to_owned);
    let result = check(&server.url("/a"));
    assert_eq!((result.outcome, result.status_code, result.redirects), (Outcome::Success, Some(200), Some(1)));
    assert!(server.requests()[1].contains("cookie: s=1\r\n"), "{:?}", server.requests());
    assert_eq!(check(&server.url("/a")).redirects, Some(1), "nothing of it is kept");

    let server = Server::start(|request, mut stream| {
        let answer: &[u8] = match request.starts_with("GET /b ") {
            true => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            false => b"HTTP/1.1 302 Found\r\nSet-Cookie: s=1\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
        };
        stream.write_all(answer).ok();
    });
    let headers = [(::http::header::COOKIE, HeaderValue::from_static("own=2"))].into_iter().collect();
    let request = Request { headers, ..Request::default() };
    let result = check_monitor(&Monitor { target: Target::Http(request), ..monitor(&server.url("/a")) });
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    assert!(server.requests()[1].contains("cookie: own=2; s=1\r\n"), "{:?}", server.requests());
}

#[test]
fn a_cookie_goes_to_no_other_site_and_one_that_changes_does_not_redirect_for_ever() {
    let there = server(0);
    let to = there.url("/0").replace("127.0.0.1", "localhost");
    let here = with_cookies(move |_| to.clone());
    assert_eq!(check(&here.url("/")).outcome, Outcome::Success);
    assert!(!there.requests()[0].contains("cookie"), "{:?}", there.requests());

    let counter = std::sync::atomic::AtomicU32::new(0);
    let endless = Server::start(move |_, mut stream| {
        let count = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let answer = format!("HTTP/1.1 302 Found\r\nSet-Cookie: n={count}\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).ok();
    });
    let result = check(&endless.url("/"));
    assert_eq!((result.outcome, result.redirects), (Outcome::RedirectError, Some(10)), "{result:?}");
    assert!(result.error.unwrap().contains("more than 10 redirects"));
}

#[test]
fn redirects_that_are_not_to_be_followed_are_an_answer() {
    let monitor = Monitor { follow_redirects: 0, ..monitor(&server(3).url("/0")) };
    let result = check_monitor(&monitor);
    assert_eq!((result.outcome, result.status_code, result.redirects), (Outcome::Success, Some(302), Some(0)));
}

#[test]
fn a_redirect_to_a_site_that_is_down_fails_as_that_site_does() {
    let to = format!("/to?http://{}.invalid/", "x".repeat(64));
    let result = check(&server(0).url(&to));
    assert_eq!((result.outcome, result.status_code, result.redirects), (Outcome::DnsError, Some(302), Some(1)));
}

#[test]
fn a_body_of_a_redirect_is_not_waited_for() {
    let server = Server::start(|request, mut stream| {
        if request.starts_with("GET /end ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok();
        } else {
            stream.write_all(b"HTTP/1.1 307 Go\r\nLocation: /end\r\nContent-Length: 1000000\r\n\r\nnot yet").ok();
            crate::check::testing::hang(stream);
        }
    });
    assert_eq!(check(&server.url("/")).outcome, Outcome::Success);
}

#[test]
fn credentials_do_not_follow_to_another_port_of_the_same_host() {
    let (here, there) = (server(0), server(0));
    let monitor = authorized(&here.url(&format!("/to?{}", there.url("/0"))), "Basic YWxhZGRpbjpvcGVuOnNlc2FtZQ==");
    let result = check_monitor(&monitor);
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    assert!(here.requests()[0].contains("authorization: Basic"));
    assert!(!there.requests()[0].contains("authorization"), "{:?}", there.requests());
}
