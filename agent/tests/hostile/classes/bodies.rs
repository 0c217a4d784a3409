//! What may be wrong with the body of an answer, or strange in it.

use std::io::{Read, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::read::{GzEncoder, ZlibEncoder};
use wire::Outcome::{AgentError, BodyError, ConnectionClosed, PatternMismatch, ProtocolError, Timeout};

use super::Class;
use crate::target::Plays::{Hangs, Repeats, Says, SaysMade};

const SOON: Duration = Duration::from_millis(20);
const NOW: Duration = Duration::ZERO;

pub(super) fn classes() -> Vec<Class> {
    let closed =
        |name, answer| Class::new(name, Says(answer), ConnectionClosed, "before the body was whole").status(200);
    let broken = |name, answer| Class::new(name, Says(answer), BodyError, "").status(200);
    let fine = |name, answer| Class::fine(name, Says(answer), 200);
    vec![
        closed("shorter than its length", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"),
        fine("longer than its length", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more").options("pattern: hello$"),
        fine("until the connection ends", b"HTTP/1.1 200 OK\r\n\r\nhello").options("pattern: ^hello$"),
        Class::new("slow body", Repeats(b"HTTP/1.1 200 OK\r\n\r\n", b"x", SOON), Timeout, "").status(200),
        Class::new("body without end in time", Hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), Timeout, "").status(200),
        Class::fine("endless body", Repeats(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 9999], NOW), 200),
        Class::new("endless body to search", Repeats(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 9999], NOW), PatternMismatch, "the part of the body")
            .status(200)
            .options("pattern: y"),
        Class::fine("endless body of a failure", Repeats(b"HTTP/1.1 503 No\r\n\r\n", &[b'x'; 9999], NOW), 503).options("expect: {status: 503}"),
        broken("chunk size that is no number", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n"),
        broken("negative chunk size", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"),
        broken("chunk size beyond all bounds", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello"),
        closed("huge chunk that is cut off", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffff\r\nhello"),
        broken("chunk longer than its size", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n"),
        closed("chunks without an end", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        Class::new(
            "endless chunk size",
            Repeats(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", &[b'x'; 999], NOW),
            ProtocolError,
            "",
        )
        .status(200),
        fine("chunks and a length", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .options("pattern: ^hello$"),
        fine("trailers", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n").options("pattern: ^hello$"),
        Class::new(
            "endless trailers",
            Repeats(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", b"A: bcdefghijklmnopqrstuvwxyz\r\n", NOW),
            Timeout,
            "",
        )
        .status(200),
        broken("plain text as gzip", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\nplain as day"),
        broken("plain text as deflate", b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 12\r\n\r\nplain as day"),
        broken("plain text as br", b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 12\r\n\r\nplain as day"),
        fine("nothing as gzip", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"),
        Class::new("gzip without its end", SaysMade(cut_gzip), BodyError, "").status(200),
        Class::new("gzip with a wrong sum", SaysMade(damaged_gzip), BodyError, "").status(200),
        Class::fine("gzip bomb", SaysMade(gzip_bomb), 200).options("pattern: 'x{9}'"),
        Class::fine("gzip bomb without a pattern", SaysMade(gzip_bomb), 200),
        Class::fine("gzip bomb in a gzip bomb", SaysMade(double_bomb), 200).options("pattern: 'x{9}'"),
        Class::fine("deflate bomb", SaysMade(deflate_bomb), 200).options("pattern: 'x{9}'"),
        Class::fine("brotli bomb", SaysMade(brotli_bomb), 200).options("pattern: 'x{9}'"),
        Class::new("brotli bomb with a large window", SaysMade(large_brotli_bomb), BodyError, "window").status(200),
        broken("coding that no one knows", b"HTTP/1.1 200 OK\r\nContent-Encoding: rot13\r\nContent-Length: 5\r\n\r\nuryyb").options("pattern: hello"),
        fine("Latin-1", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=latin1\r\nContent-Length: 5\r\n\r\nsch\xf6n")
            .options("pattern: ^schön$"),
        fine("Shift JIS", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 32\r\n\r\n<meta charset=shift_jis>\x83J\x81[\x83g ok")
            .options("pattern: カート"),
        fine("UTF-16", b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\xff\xfec\0\xf6\0o\0").options("pattern: ^cöo$"),
        fine("charset that no one knows", b"HTTP/1.1 200 OK\r\nContent-Type: a/b; charset=\xff\r\nContent-Length: 5\r\n\r\nhello").options("pattern: ^hello$"),
        fine("NUL bytes", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\na\0cart\xff").options(r"pattern: '\x00cart'"),
        Class::new("page made for the pattern", SaysMade(coin_flips), AgentError, "too long").status(200).options("pattern: '[ab]*a[ab]{99}c'"),
    ]
}

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.write_all(body).unwrap();
    answer
}

fn gzip(body: impl Read) -> Vec<u8> {
    let mut packed = Vec::new();
    GzEncoder::new(body, Compression::best()).read_to_end(&mut packed).unwrap();
    packed
}

fn many_x() -> impl Read {
    std::io::repeat(b'x').take(32 * 1024 * 1024)
}

fn gzip_bomb() -> Vec<u8> {
    coded("gzip", &gzip(many_x()))
}

fn double_bomb() -> Vec<u8> {
    coded("gzip, gzip", &gzip(&gzip(many_x())[..]))
}

fn deflate_bomb() -> Vec<u8> {
    let mut packed = Vec::new();
    ZlibEncoder::new(many_x(), Compression::best()).read_to_end(&mut packed).unwrap();
    coded("deflate", &packed)
}

fn cut_gzip() -> Vec<u8> {
    let whole = gzip(&b"in the cart"[..]);
    coded("gzip", &whole[..whole.len() - 6])
}

fn damaged_gzip() -> Vec<u8> {
    let mut whole = gzip(&b"in the cart"[..]);
    let sum = whole.len() - 8;
    whole[sum] ^= 1;
    coded("gzip", &whole)
}

/// 32 MiB of `x`, with a window of 4 MiB.
fn brotli_bomb() -> Vec<u8> {
    coded("br", b"\xcb\xff\xff\x3f\xf8\x25\xf0\xe2\xb1\x40\x20\xf7\xfe\x8f\xff\xff\x7f\xf0\x4b\x00\xc4\x61\x11\x80\xee\xfd\x1f\xff\xff\xff\xe0\x97\x00\x88\xc3\x02\x00\xdd\xfb\xbf\xfc\xff\xff\xc3\x2f\x01\x10\x87\x05\x00\xba\xf7\x7f")
}

/// The same with a window of 16 MiB.
fn large_brotli_bomb() -> Vec<u8> {
    coded(
        "br",
        b"\xcf\xff\xff\x7f\xf8\x25\xf0\xe2\xb1\x40\x20\xf7\xfe\x3f\xff\xff\xff\xf1\x4b\x00\xc4\x61\x01\x80\xee\xfd\x3f",
    )
}

/// Each byte leads to a state that was never met before.
fn coin_flips() -> Vec<u8> {
    let flips: Vec<u8> = (0..1024 * 1024).map(|_| if rand::random() { b'a' } else { b'b' }).collect();
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n".to_vec(), flips].concat()
}
