//! What a server may answer.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzEncoder;

use super::*;
use crate::check::testing::{Server, hang, serve};
use crate::config::Pattern;

fn with_pattern(url: &str, pattern: &str) -> Monitor {
    Monitor { pattern: Some(Pattern::compile(pattern).unwrap()), ..monitor(url) }
}

/// A server whose answer has this body in gzip, without its last `cut` bytes.
fn serve_gzip(body: impl Read, cut: usize) -> Server {
    let mut packed = Vec::new();
    GzEncoder::new(body, Compression::fast()).read_to_end(&mut packed).unwrap();
    packed.truncate(packed.len() - cut);
    Server::start(move |request, mut stream| {
        assert!(request.contains("accept-encoding: gzip\r\n"), "{request}");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
        stream.write_all(head.as_bytes()).ok();
        stream.write_all(&packed).ok();
    })
}

#[test]
fn a_good_answer_is_a_success_with_its_phases_and_its_size() {
    let result = check(&serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
    assert_eq!((result.outcome, result.status_code), (Outcome::Success, Some(200)));
    assert_eq!((result.body_bytes, result.truncated), (Some(5), Some(false)));
    assert_eq!((result.redirects, result.pattern_matched), (Some(0), None));
    let phases = result.phases;
    assert!(phases.dns.is_some() && phases.connect.is_some() && phases.first_byte.is_some() && phases.body.is_some());
    assert_eq!((phases.tls, result.certificate), (None, None));
}

#[test]
fn chunks_and_bodies_that_end_with_the_connection_are_read() {
    let chunked =
        check(&serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
    assert_eq!((chunked.outcome, chunked.body_bytes), (Outcome::Success, Some(5)));
    let until_close = check(&serve(b"HTTP/1.0 200 OK\r\n\r\nhello you"));
    assert_eq!((until_close.outcome, until_close.body_bytes), (Outcome::Success, Some(9)));
    let empty = check(&serve(b"HTTP/1.1 204 No Content\r\n\r\n"));
    assert_eq!((empty.outcome, empty.body_bytes), (Outcome::Success, Some(0)));
}

#[test]
fn an_unexpected_status_is_a_mismatch_and_its_body_is_not_searched() {
    for (answer, status, reason) in [
        (&b"HTTP/1.1 404 Nobody Home\r\nContent-Length: 4\r\n\r\ncart"[..], 404, "Nobody Home"),
        (b"HTTP/1.1 500 \r\nContent-Length: 4\r\n\r\ncart", 500, "Internal Server Error"),
    ] {
        let result = check_monitor(&with_pattern(&serve(answer), "cart"));
        assert_eq!((result.outcome, result.status_code), (Outcome::StatusMismatch, Some(status)));
        assert_eq!((result.reason.as_deref(), result.pattern_matched), (Some(reason), None));
        assert!(result.error.unwrap().contains("200-399"));
    }
}

#[test]
fn an_error_status_can_be_what_is_expected() {
    let mut monitor = monitor(&serve(b"HTTP/1.1 503 Down for good\r\nContent-Length: 0\r\n\r\n"));
    monitor.expect.status = vec![(200, 200), (503, 503)];
    assert_eq!(check_monitor(&monitor).outcome, Outcome::Success);
}

#[test]
fn early_hints_are_passed_over() {
    let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok";
    let result = check(&serve(hints));
    assert_eq!((result.status_code, result.reason.as_deref()), (Some(200), Some("Fine")), "{result:?}");
}

#[test]
fn a_pattern_is_found_or_not_in_bytes_of_any_kind() {
    let url = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n\xff\0 cart 42");
    let found = check_monitor(&with_pattern(&url, r"cart \d+"));
    assert_eq!((found.outcome, found.pattern_matched), (Outcome::Success, Some(true)));
    assert_eq!(found.pattern.as_deref(), Some(r"cart \d+"));
    let absent = check_monitor(&with_pattern(&url, "basket"));
    assert_eq!((absent.outcome, absent.pattern_matched), (Outcome::PatternMismatch, Some(false)));
}

#[test]
fn gzip_is_decoded_before_it_is_searched_and_measured() {
    let server = serve_gzip(&b"in the cart"[..], 0);
    let result = check_monitor(&with_pattern(&server.url("/"), "^in the cart$"));
    assert_eq!((result.outcome, result.body_bytes), (Outcome::Success, Some(11)), "{result:?}");
}

#[test]
fn a_gzip_bomb_is_read_to_the_bound_and_not_further() {
    let server = serve_gzip(std::io::repeat(b'x').take(64 * 1024 * 1024), 0);
    let monitor = Monitor { max_body: 100_000, ..with_pattern(&server.url("/"), "x$") };
    let result = check_monitor(&monitor);
    assert_eq!((result.outcome, result.body_bytes, result.truncated), (Outcome::Success, Some(100_000), Some(true)));
}

#[test]
fn a_body_that_is_not_the_gzip_it_claims_to_be_is_a_body_error() {
    let plain = check(&serve(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\nplain as day"));
    assert_eq!(plain.outcome, Outcome::BodyError, "{plain:?}");
    let cut = check(&serve_gzip(&b"in the cart"[..], 6).url("/"));
    assert_eq!(cut.outcome, Outcome::BodyError, "{cut:?}");
    let unasked = serve(b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 4\r\n\r\ncart");
    assert_eq!(check_monitor(&with_pattern(&unasked, "cart")).outcome, Outcome::BodyError);
    assert_eq!(check(&unasked).outcome, Outcome::Success, "nothing has to be read in it");
}

#[test]
fn a_huge_body_is_cut_at_the_bound() {
    let server = Server::start(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\ncart").ok();
        while stream.write_all(&[b'x'; 16 * 1024]).is_ok() {}
    });
    let monitor = Monitor { max_body: 50_000, ..with_pattern(&server.url("/"), "^cart.*x$") };
    let result = check_monitor(&monitor);
    assert_eq!((result.outcome, result.body_bytes, result.truncated), (Outcome::Success, Some(50_000), Some(true)));
}

#[test]
fn a_body_exactly_as_long_as_the_bound_is_whole() {
    let monitor = Monitor { max_body: 5, ..monitor(&serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")) };
    let result = check_monitor(&monitor);
    assert_eq!((result.body_bytes, result.truncated), (Some(5), Some(false)));
}

#[test]
fn what_is_not_http_is_a_protocol_error() {
    for answer in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 099 Low\r\n\r\n"] {
        let result = check(&serve(answer));
        assert_eq!(result.outcome, Outcome::ProtocolError, "{result:?}");
        assert_eq!(result.status_code, None);
    }
}

#[test]
fn heads_that_browsers_read_are_read() {
    for lines in [
        "X-Folded: one\r\n two",
        "X-Wide : one",
        "Two Words: one",
        "<b>Warning</b>: Undefined variable",
        "no colon here",
        "X-Del: a\x7fb",
        &"X-Same: one\r\n".repeat(300),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{}\r\nContent-Length: 4\r\n\r\ncart and more", lines.trim_end());
        let server = Server::start(move |_, mut stream| {
            stream.write_all(answer.as_bytes()).ok();
        });
        let result = check_monitor(&with_pattern(&server.url("/"), "^cart$"));
        assert_eq!((result.outcome, result.body_bytes), (Outcome::Success, Some(4)), "{lines:?}: {result:?}");
    }
}

#[test]
fn a_line_that_breaks_a_head_is_quoted_and_the_status_is_kept() {
    let result = check(&serve(b"HTTP/1.1 503 Down\r\nX-Nul: a\0b\r\n\r\n"));
    assert_eq!((result.outcome, result.status_code), (Outcome::ProtocolError, Some(503)), "{result:?}");
    assert!(result.error.unwrap().ends_with("\"X-Nul: a\u{fffd}b\""));
}

#[test]
fn reading_ends_with_the_pattern_where_nothing_else_needs_the_rest() {
    let stream = |body: &'static [u8]| {
        Server::start(move |_, mut stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").ok();
            stream.write_all(body).ok();
            hang(stream);
        })
    };
    let events = stream(b"data: ready\n\n");
    let result = check_monitor(&with_pattern(&events.url("/"), "^data: ready"));
    assert_eq!((result.outcome, result.body_bytes, result.truncated), (Outcome::Success, Some(13), None), "{result:?}");
    let mut absent = impatient(&events.url("/"));
    absent.expect.pattern_absent = Some(Pattern::compile("error").unwrap());
    let result = check_monitor(&absent);
    assert_timed_out(&result);
    assert!(result.error.unwrap().contains("reading the body"));
    let sound = stream(b"\xff\xfb\x90\x64 not a word of text");
    assert_eq!(check_monitor(&with_pattern(&sound.url("/"), r"(?-u)^\xff\xfb")).outcome, Outcome::Success);
}

#[test]
fn a_head_without_end_is_a_protocol_error_and_is_not_read_for_ever() {
    let server = Server::start(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").ok();
        while stream.write_all(b"X-More: and more and more and more\r\n").is_ok() {}
    });
    assert_eq!(check(&server.url("/")).outcome, Outcome::ProtocolError);
    let line = Server::start(|_, mut stream| while stream.write_all(&[b'x'; 1024]).is_ok() {});
    assert_eq!(check(&line.url("/")).outcome, Outcome::ProtocolError);
}

#[test]
fn a_body_that_is_too_short_is_told_from_one_that_does_not_parse() {
    let short = check(&serve(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"));
    assert_eq!((short.outcome, short.body_bytes), (Outcome::ConnectionClosed, Some(5)), "{short:?}");
    let chunk = check(&serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc"));
    assert_eq!(chunk.outcome, Outcome::BodyError, "{chunk:?}");
}

#[test]
fn what_can_not_be_stored_or_shown_is_made_harmless() {
    let result = check(&serve(b"HTTP/1.1 500 bad\xff\tluck\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(result.reason.as_deref(), Some("bad\u{fffd}\u{fffd}luck"), "{result:?}");
}

#[test]
fn a_body_that_never_ends_is_a_timeout_with_what_was_seen_until_then() {
    let server = Server::start(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello").ok();
        hang(stream);
    });
    let result = check_monitor(&impatient(&server.url("/")));
    assert_timed_out(&result);
    assert_eq!((result.status_code, result.body_bytes), (Some(200), Some(5)));
    assert!(result.phases.body.is_some());
}
