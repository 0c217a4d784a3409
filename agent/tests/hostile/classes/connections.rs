//! What a connection may do, and ports and name servers.

use std::io::Write;
use std::thread;
use std::time::Duration;

use wire::Outcome::{self, ConnectionClosed, ConnectionRefused, DnsError, PatternMismatch, ProtocolError, Timeout};

use super::Class;
use crate::target::{Plays, drain, read_head, reset};

const LONG: Duration = Duration::from_secs(60);

pub(super) fn classes() -> Vec<Class> {
    vec![
        Class::new("refused", Plays::NoOne, ConnectionRefused, "refused"),
        Class::new("silent", Plays::Hangs(b""), Timeout, "waiting for the answer"),
        Class::new("closes at once", Plays::Raw(|_| ()), ConnectionClosed, ""),
        Class::new("resets at once", Plays::Raw(reset_soon), ConnectionClosed, ""),
        Class::new("empty answer", Plays::Says(b""), ConnectionClosed, "before an answer came"),
        Class::new("resets instead of an answer", Plays::Resets(b""), ConnectionClosed, "reset"),
        Class::new("resets within the head", Plays::Resets(b"HTTP/1.1 200 OK\r\nA: "), ConnectionClosed, "reset")
            .status(200),
        Class::new(
            "resets within the body",
            Plays::Resets(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"),
            ConnectionClosed,
            "reset",
        )
        .status(200),
        Class::new("never reads", Plays::Raw(|_stream| thread::sleep(LONG)), Timeout, "")
            .options("method: POST, body_file: large.txt"),
        Class::new(
            "answers before it read the request",
            Plays::Raw(|mut stream| {
                stream.write_all(b"HTTP/1.1 408 Slow\r\nContent-Length: 0\r\n\r\n").ok();
                drain(&mut stream);
            }),
            Outcome::StatusMismatch,
            "408",
        )
        .status(408),
        Class::fine("IPv6", Plays::SaysOverV6(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 200),
        Class::new(
            "port without a word",
            Plays::Raw(|mut stream| drain(&mut stream)),
            Timeout,
            "waiting for what the server says",
        )
        .url("tcp", "")
        .options("pattern: x"),
        Class::new(
            "port that says another thing",
            Plays::Raw(|mut stream| drop(stream.write_all(b"554 no"))),
            PatternMismatch,
            "not found",
        )
        .url("tcp", "")
        .options("pattern: ^220"),
        Class::new(
            "port that says no end",
            Plays::Raw(|mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {}),
            PatternMismatch,
            "the part that was read",
        )
        .url("tcp", "")
        .options("pattern: y"),
        Class::new(
            "port that resets",
            Plays::Raw(|mut stream| {
                read_head(&mut stream);
                reset(&stream);
            }),
            ConnectionClosed,
            "reset",
        )
        .url("tcp", "")
        .options(r#"pattern: y, send: "hello\r\n\r\n", send_first: true"#),
        Class::new("name server with noise", Plays::Datagram(|_| b"noise".to_vec()), Timeout, "asking")
            .url("dns", "/shop.example"),
        Class::new("name server that repeats the question", Plays::Datagram(<[u8]>::to_vec), Timeout, "asking")
            .url("dns", "/shop.example"),
        Class::new(
            "name server that knows nothing",
            Plays::Datagram(|query| {
                let mut answer = query.to_vec();
                (answer[2], answer[3]) = (0x81, 0x83);
                answer
            }),
            DnsError,
            "NXDOMAIN",
        )
        .url("dns", "/shop.example"),
        Class::new(
            "name server with a broken record",
            Plays::Datagram(|query| {
                let mut answer = query.to_vec();
                (answer[2], answer[7]) = (0x81, 1);
                answer.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\xff\x7f");
                answer
            }),
            ProtocolError,
            "can't be read",
        )
        .url("dns", "/shop.example"),
        Class::new("no name server", Plays::NoOne, ConnectionRefused, "refused").url("dns", "/shop.example"),
    ]
}

/// Once the peer knows that it is connected: else it would fail to connect, by a race.
fn reset_soon(stream: std::net::TcpStream) {
    thread::sleep(Duration::from_millis(50));
    reset(&stream);
}
