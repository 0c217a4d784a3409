//! What may be wrong with the head of an answer.

use std::time::Duration;

use wire::Outcome::{ConnectionClosed, ProtocolError, StatusMismatch, Timeout};

use super::Class;
use crate::target::Plays::{Hangs, Repeats, Says, SaysMade};

const SOON: Duration = Duration::from_millis(20);
const NOW: Duration = Duration::ZERO;

pub(super) fn classes() -> Vec<Class> {
    let broken = |name, answer| Class::new(name, Says(answer), ProtocolError, "");
    let fine = |name, answer, status| Class::fine(name, Says(answer), status);
    vec![
        Class::new("slow head", Repeats(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", SOON), Timeout, "waiting for the answer")
            .status(200),
        Class::new(
            "head without end in time",
            Hangs(b"HTTP/1.1 200 OK\r\nA: b\r\n"),
            Timeout,
            "waiting for the answer",
        )
        .status(200),
        Class::new("head that is cut off", Says(b"HTTP/1.1 200 OK\r\nA: b\r\n"), ConnectionClosed, "before an answer")
            .status(200),
        Class::new("endless head", Repeats(b"HTTP/1.1 200 OK\r\n", &[b'x'; 999], NOW), ProtocolError, "longer than")
            .status(200),
        Class::new("endless headers", Repeats(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", NOW), ProtocolError, "").status(200),
        Class::new("endless status line", Repeats(b"", &[b'x'; 999], NOW), ProtocolError, ""),
        Class::new("endless early hints", Repeats(b"", b"HTTP/1.1 103 Wait\r\n\r\n", SOON), Timeout, ""),
        broken("status that is no number", b"HTTP/1.1 abc OK\r\n\r\n"),
        broken("status with two digits", b"HTTP/1.1 20 OK\r\n\r\n"),
        broken("status with four digits", b"HTTP/1.1 2000 OK\r\n\r\n"),
        broken("status below 100", b"HTTP/1.1 099 Low\r\n\r\n"),
        Class::new("status 999", Says(b"HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n"), StatusMismatch, "999")
            .status(999),
        broken("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n"),
        broken("HTTP/0.9", b"<html>hello</html>\r\n\r\n"),
        broken("HTTP/2 in words", b"HTTP/2 200 OK\r\n\r\n"),
        broken("HTTP/2 frames", b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\x10\0\0\0\x06\0\0\x40\0"),
        broken("random bytes", b"\x8f\x02\xffqq\x91\0\0\x13\x37\r\n\r\n"),
        fine("header without a colon", b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", 200),
        fine("header with a space in its name", b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", 200),
        broken("header with NUL", b"HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 0\r\n\r\n").status(200),
        fine("folded header", b"HTTP/1.1 200 OK\r\nA: b\r\n  c\r\nContent-Length: 0\r\n\r\n", 200),
        Class::fine("a thousand headers", SaysMade(many_headers), 200),
        broken("only carriage returns", b"HTTP/1.1 200 OK\rContent-Length: 0\r\r"),
        fine("only line feeds", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200),
        broken("length that is no number", b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello").status(200),
        broken("negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello").status(200),
        broken("length beyond all bounds", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello")
            .status(200),
        broken("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!").status(200),
        fine("continue first", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
        fine("early hints", b"HTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
        Class::new(
            "continue and nothing more",
            Says(b"HTTP/1.1 100 Continue\r\n\r\n"),
            ConnectionClosed,
            "before an answer",
        ),
        Class::new("switching protocols", Hangs(b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n"), StatusMismatch, "101")
            .status(101),
        fine("no content, with some", b"HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\nhello", 204),
        fine("not modified", b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\nhello", 304),
        fine("HEAD with a body", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200).options("method: HEAD"),
        fine("HEAD with gzip", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", 200)
            .options("method: HEAD"),
        Class::new(
            "phrase of control characters",
            Says(b"HTTP/1.1 500 \x1b[31m\xffbad\r\nContent-Length: 0\r\n\r\n"),
            StatusMismatch,
            "500",
        )
        .status(500),
    ]
}

fn many_headers() -> Vec<u8> {
    let headers: String = (0..1_000).map(|n| format!("X-{n}: y\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n").into_bytes()
}
