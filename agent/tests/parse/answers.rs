//! Answers: heads, codings, charsets and bodies, put together from good and bad pieces.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::thread;

use agent::check::Checker;
use agent::config::Config;
use flate2::Compression;
use flate2::read::GzEncoder;
use jiff::Timestamp;
use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use wire::{Content, Outcome, Record};

use crate::try_cases;

const PATTERNS: [&str; 6] = ["cart", "^sch.n$", r"\bschön\b", r"(?i)\w+\d{2,9}", r"(?-u)\xff\x00", "[ab]*a[ab]{9}c"];
const MAX_BODY: u64 = 2_000;

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..60)
}

fn status_line() -> impl Strategy<Value = Vec<u8>> {
    let good = select(&["HTTP/1.1 200 OK\r\n", "HTTP/1.0 200\r\n", "HTTP/1.1 302 Go\r\n", "HTTP/1.1 204 No\r\n"][..]);
    let odd = select(
        &["HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n", "HTTP/1.1 999 \x01\r\n", "HTTP/2 200\r\n", "\r\n"][..],
    );
    prop_oneof![8 => good.prop_map(bytes), 1 => odd.prop_map(bytes), 1 => noise()]
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    let names = ["Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Location", "X", "a b", ""];
    let values = [
        "text/html; charset=shift_jis",
        "text/plain;charset=\"utf-16le\"",
        "application/xml; charset",
        "gzip",
        "br",
        "deflate, gzip",
        "chunked",
        "identity",
        "5",
        "0",
        "-1",
        "99999999999999999999",
        "/next",
        "http://[::1",
        "//",
    ];
    let value = prop_oneof![8 => select(values.to_vec()).prop_map(bytes), 1 => noise()];
    (select(names.to_vec()), value).prop_map(|(name, value)| [bytes(name), bytes(": "), value, bytes("\r\n")].concat())
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "in the cart",
        "schön",
        "<meta charset=",
        "iso-8859-1",
        "utf-7",
        "gb18030>",
        "<?xml version='1.0' encoding='euc-jp'?>",
        "\u{feff}",
        "abababab",
    ];
    let marks = [&b"\xff\xfe"[..], b"\xfe\xff", b"\xef\xbb\xbf", b"\x1b$B", b"\0", b"sch\xf6n", b"\x81\x30\x81\x30"];
    let piece = prop_oneof![
        4 => select(pieces.to_vec()).prop_map(bytes),
        2 => select(marks.to_vec()).prop_map(<[u8]>::to_vec),
        1 => noise(),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let chunked = (text(), select(&["0\r\n\r\n", "0\r\nA: b\r\n\r\n", "", "fffffffffffffffff\r\n"][..])).prop_map(
        |(text, end)| [format!("{:x}\r\n", text.len()).into_bytes(), text, bytes("\r\n"), bytes(end)].concat(),
    );
    let gzip = text().prop_map(|text| {
        let mut packed = Vec::new();
        GzEncoder::new(&text[..], Compression::fast()).read_to_end(&mut packed).unwrap();
        packed
    });
    prop_oneof![2 => text(), 1 => chunked, 1 => gzip, 1 => noise()]
}

fn answer() -> impl Strategy<Value = Vec<u8>> {
    let whole = (status_line(), vec(header(), 0..5), body())
        .prop_map(|(line, headers, body)| [line, headers.concat(), bytes("\r\n"), body].concat());
    // And then one byte may be another one.
    (whole, proptest::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()))).prop_map(
        |(mut whole, change)| {
            if let Some((at, byte)) = change.filter(|_| !whole.is_empty()) {
                let at = at.index(whole.len());
                whole[at] = byte;
            }
            whole
        },
    )
}

/// A server that gives the answer that is set; its port.
fn serve(answer: Arc<Mutex<Vec<u8>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _some = stream.read(&mut request);
            stream.write_all(&answer.lock()).ok();
            stream.shutdown(Shutdown::Write).ok();
            while stream.read(&mut request).is_ok_and(|count| count > 0) {}
        }
    });
    port
}

#[test]
fn every_answer_gives_a_result_that_a_collector_takes() {
    let set = Arc::<Mutex<Vec<u8>>>::default();
    let port = serve(set.clone());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.yaml");
    let entry = |pattern: &str| format!("- {{url: 'http://127.0.0.1:{port}/', pattern: '{pattern}'}}\n");
    let entries: String = PATTERNS.into_iter().map(entry).collect();
    let defaults = format!("{{timeout: 60s, max_body: {MAX_BODY}, follow_redirects: 2}}");
    std::fs::write(&file, format!("interval: 60\ndefaults: {defaults}\nmonitors:\n{entries}")).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.monitors.len(), PATTERNS.len());
    let checker = Checker::new().unwrap();

    try_cases("answers", &(answer(), 0..PATTERNS.len()), |(answer, pattern)| {
        set.lock().clone_from(&answer);
        let result = checker.check(&config.monitors[pattern], Timestamp::now());
        prop_assert_eq!(result.error.is_none(), result.outcome == Outcome::Success, "{:?}", result);
        prop_assert_ne!(result.outcome, Outcome::AgentError, "{:?}", result);
        prop_assert!(result.body_bytes.unwrap_or(0) <= MAX_BODY, "{:?}", result);
        let content = Content::Result(Box::new(result));
        let record = Record { epoch: uuid::Uuid::nil(), seq: 1, agent: "edge-1".into(), content };
        let message = record.encode();
        let taken = Record::decode(Some(&message));
        prop_assert!(taken.is_ok(), "{:?}", taken);
        Ok(())
    });
}
