//! Makes messages that are nearly records: golden messages with some values changed, missing or doubled, and with some
//! bytes wrong.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const GOLDEN: [&str; 5] = [
    include_str!("../../../golden/v1-result.json"),
    include_str!("../../../golden/v1-result-faults.json"),
    include_str!("../../../golden/v1-result-least.json"),
    include_str!("../../../golden/v1-dropped.json"),
    include_str!("../../../golden/v1-agent.json"),
];

/// Values as JSON texts, or texts that look like them.
const VALUES: [&str; 62] = [
    "null",
    "true",
    "0",
    "-0",
    "1",
    "-1",
    "1.0",
    "1.5",
    "1e2",
    "1e400",
    "-1e-400",
    "999",
    "1000",
    "10001",
    "32768",
    "4294967296",
    "86400000001",
    "9223372036854775806",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "00",
    "NaN",
    "Infinity",
    "\"NaN\"",
    "\"\"",
    "\"1\"",
    "\"x\"",
    "\"a\\u0000b\"",
    "\"a\0b\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\u{202e}\u{1f4a5}\"",
    "\"\\/\\b\\f\"",
    "\"\\x41\"",
    "\"success\"",
    "\"Success\"",
    "\"agent_error\"",
    "\"result\"",
    "\"agent\"",
    "\"dropped\"",
    "\"9999-12-31T23:59:59.999999999Z\"",
    "\"+012345-01-01T00:00:00Z\"",
    "\"-001970-01-01T00:00:00Z\"",
    "\"-009999-06-01T00:00:00Z\"",
    "\"2026-06-30T23:59:60Z\"",
    "\"2026-06-31T00:00:00Z\"",
    "\"2026-06-30T10:00:00.0000005+05:30[Asia/Kolkata]\"",
    "\"1F6D7C1E52A44C0B9A396A1F0E4B2D10\"",
    "\"urn:uuid:1f6d7c1e-52a4-4c0b-9a39-6a1f0e4b2d10\"",
    "[]",
    "[[]]",
    "[1,2,3,4,5]",
    "[\"1f6d7c1e-52a4-4c0b-9a39-6a1f0e4b2d10\",1,2]",
    "{}",
    "{\"success\":null}",
    "{\"a\":\"b\",\"a\":\"c\"}",
    "{\"epoch\":\"1f6d7c1e-52a4-4c0b-9a39-6a1f0e4b2d10\",\"seq\":0,\"first\":9,\"last\":3,\"highest_seq\":0}",
    "{\"a\":{\"b\":[{\"c\":1}]}}",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => select(&VALUES[..]).prop_map(String::from),
        1 => (0..20_000_usize).prop_map(|length| format!("\"{}\"", "x".repeat(length))),
        1 => (0..1_200_usize).prop_map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth))),
        1 => (0..1_200_usize).prop_map(|depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))),
        1 => (0..1_200_usize).prop_map(|count| format!("[{}1]", "1,".repeat(count))),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => "\\PC{0,30}".prop_map(|text| format!("{text:?}")),
    ]
}

/// One change that makes a message wrong.
#[derive(Clone, Debug)]
enum Bend {
    /// A member has another value.
    Set(Index, String),
    /// A member is missing.
    Remove(Index),
    /// A member is there twice.
    Double(Index, String),
    /// A member with an unknown name is added before another one.
    Add(Index, String),
    /// A byte is replaced by another one.
    Byte(Index, u8),
    /// Bytes are inserted.
    Insert(Index, Vec<u8>),
    /// Bytes are removed.
    Cut(Index, usize),
    /// Everything from here on is missing.
    End(Index),
}

fn bend() -> impl Strategy<Value = Bend> {
    let place = any::<Index>;
    prop_oneof![
        16 => (place(), value()).prop_map(|(at, value)| Bend::Set(at, value)),
        2 => place().prop_map(Bend::Remove),
        2 => (place(), value()).prop_map(|(at, value)| Bend::Double(at, value)),
        2 => (place(), value()).prop_map(|(at, value)| Bend::Add(at, value)),
        1 => (place(), any::<u8>()).prop_map(|(at, byte)| Bend::Byte(at, byte)),
        1 => (place(), vec(any::<u8>(), 1..5)).prop_map(|(at, bytes)| Bend::Insert(at, bytes)),
        1 => (place(), 1..5_usize).prop_map(|(at, length)| Bend::Cut(at, length)),
        1 => place().prop_map(Bend::End),
    ]
}

/// Makes golden messages with one to three changes.
pub(super) fn bent() -> impl Strategy<Value = Vec<u8>> {
    (select(&GOLDEN[..]), vec(bend(), 1..4)).prop_map(|(golden, bends)| {
        let mut message = golden.trim().as_bytes().to_vec();
        for bend in &bends {
            bend.apply(&mut message);
        }
        message
    })
}

/// Makes texts of the tokens of JSON, in any order.
pub(super) fn tokens() -> impl Strategy<Value = Vec<u8>> {
    let marks = ["{", "}", "[", "]", ":", ",", "\"", "\\", "\"v\":1", "\"kind\":", "\"seq\":", "\"epoch\":", " "];
    let token = prop_oneof![3 => select(&VALUES[..]).prop_map(String::from), 4 => select(marks.to_vec()).prop_map(String::from)];
    vec(token, 0..40).prop_map(|tokens| tokens.concat().into_bytes())
}

impl Bend {
    fn apply(&self, message: &mut Vec<u8>) {
        let members = members(message);
        let member = |at: &Index| (!members.is_empty()).then(|| *at.get(&members));
        let length = message.len();
        match self {
            Bend::Set(at, value) => {
                if let Some(member) = member(at) {
                    message.splice(member.value..member.end, value.bytes());
                }
            }
            Bend::Remove(at) => {
                if let Some(member) = member(at) {
                    let comma = usize::from(message.get(member.end) == Some(&b','));
                    message.drain(member.key..member.end + comma);
                }
            }
            Bend::Double(at, value) => {
                if let Some(member) = member(at) {
                    let key = message[member.key..member.value].to_vec();
                    message.splice(member.key..member.key, [&key, value.as_bytes(), b","].concat());
                }
            }
            Bend::Add(at, value) => {
                if let Some(member) = member(at) {
                    message.splice(member.key..member.key, format!("\"x_new\":{value},").bytes());
                }
            }
            Bend::Byte(at, byte) if length > 0 => message[at.index(length)] = *byte,
            Bend::Insert(at, bytes) if length > 0 => {
                let at = at.index(length);
                message.splice(at..at, bytes.iter().copied());
            }
            Bend::Cut(at, count) if length > 0 => {
                let at = at.index(length);
                message.drain(at..length.min(at + count));
            }
            Bend::End(at) if length > 0 => message.truncate(at.index(length)),
            Bend::Byte(..) | Bend::Insert(..) | Bend::Cut(..) | Bend::End(_) => {}
        }
    }
}

/// The position of a member of an object.
#[derive(Clone, Copy)]
struct Member {
    key: usize,
    value: usize,
    end: usize,
}

/// Finds the members of all objects of a JSON text. In a text that is not JSON it finds whatever looks like a member.
fn members(text: &[u8]) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    // For each open bracket, this has the member whose value is being read.
    let mut open: Vec<Option<usize>> = Vec::new();
    let (mut at, mut string) = (0, 0);
    while at < text.len() {
        match text[at] {
            b'"' => {
                string = at;
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => open.push(None),
            b':' => {
                if let Some(running) = open.last_mut() {
                    *running = Some(members.len());
                    members.push(Member { key: string, value: at + 1, end: at + 1 });
                }
            }
            byte @ (b',' | b'}' | b']') => {
                if let Some(member) = open.last_mut().and_then(Option::take) {
                    members[member].end = at;
                }
                if byte != b',' {
                    open.pop();
                }
            }
            _ => {}
        }
        at += 1;
    }
    members
}
