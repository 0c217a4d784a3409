//! Makes classes of messages that are wrong as a whole, and messages with numbers that no agent issued.

use uuid::Uuid;

use super::class::{Class, End, bad, bent, days, nameless};

const GAP: u64 = 1 << 60;
const TRILLION: u64 = 1_000_000_000_000;

pub(super) fn all() -> Vec<Class> {
    let mut classes = shapes();
    classes.extend(unknown());
    classes.extend(twice());
    classes.extend(numbers());
    classes.extend(declarations());
    classes.extend(others());
    classes.push(thousands());
    classes
}

fn shapes() -> Vec<Class> {
    let not_json = |detail: &str| nameless("not_json", detail);
    let no_object = |detail: &str| nameless("bad_field", detail);
    let of_bytes = [
        ("nothing at all", &b""[..], not_json("EOF while parsing")),
        ("white space", b" \n\t ", not_json("EOF while parsing")),
        ("one NUL", b"\0", not_json("expected value")),
        ("bytes of no text", b"\xff\x00\xfe", not_json("expected value")),
        ("text of another coding", b"\xff\xfe{\x00}\x00", not_json("expected value")),
        ("a byte order mark", b"\xef\xbb\xbf{}", not_json("expected value")),
        ("words", b"what?", not_json("expected value")),
        ("an open object", b"{", not_json("EOF while parsing")),
        ("what gzip made", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\x2a", not_json("expected value")),
        ("what lz4 made", b"\x04\x22\x4d\x18\x64\x40\xa7\x05\x00\x00\x80", not_json("expected value")),
        ("what zstd made", b"\x28\xb5\x2f\xfd\x04\x58\x41\x00\x00\x7b\x7d", not_json("expected value")),
        ("null", b"null", no_object("invalid type: null")),
        ("a number", b"7", no_object("invalid type: integer `7`")),
        ("a text", b"\"{}\"", no_object("invalid type: string")),
        ("a truth", b"true", no_object("invalid type: boolean")),
        ("an empty list", b"[]", no_object("invalid length 0")),
        ("an empty object", b"{}", no_object("missing field `epoch`")),
    ];
    let of_bytes = of_bytes.into_iter().map(|(name, value, end)| Class::new(name).value(end, Some(value.to_vec())));
    let of_text = [
        ("a million times the same", "x".repeat(1_000_000), not_json("expected value")),
        ("a hundred thousand lists, deep", "[".repeat(100_000), not_json("recursion limit")),
        ("a hundred thousand objects, deep", "{\"a\":".repeat(100_000), not_json("EOF while parsing")),
        ("a version that is deep", format!("{{\"v\":{}", "[".repeat(100_000)), not_json("recursion limit")),
    ];
    let of_text = of_text.into_iter().map(|(name, value, end)| Class::new(name).value(end, Some(value.into_bytes())));
    let of_records = [
        Class::new("no value").value(nameless("no_value", "the message has no value"), None),
        Class::new("half a record").message(not_json("EOF while parsing"), |forge, seq| {
            let whole = forge.result(seq);
            whole[..whole.len() / 2].to_vec()
        }),
        Class::new("two records in one message")
            .message(not_json("trailing characters"), |forge, seq| [forge.result(seq), forge.result(seq + 1)].concat()),
        Class::new("a list of a record")
            .message(no_object("invalid length 1"), |forge, seq| [b"[", &forge.result(seq)[..], b"]"].concat()),
        Class::new("a name that is not UTF-8").message(bad("invalid unicode code point"), |forge, seq| {
            bent(&forge.result(seq), "\"name\":\"shop\"", b"\"name\":\"\xc3\x28\"")
        }),
        Class::new("an agent that is not UTF-8").message(not_json("invalid unicode code point"), |forge, seq| {
            bent(&forge.result(seq), "\"agent\":\"", b"\"agent\":\"\xff")
        }),
        Class::new("a name with a bare NUL").message(nameless("not_json", "control character"), |forge, seq| {
            bent(&forge.result(seq), "\"name\":\"shop\"", b"\"name\":\"a\0b\"")
        }),
        Class::new("white space around")
            .message(End::Stored, |forge, seq| [b"\r\n ", &forge.result(seq)[..], b"\n\n"].concat()),
    ];
    of_bytes.chain(of_text).chain(of_records).collect()
}

/// Makes records with content that only a newer agent may send, which the collector accepts.
fn unknown() -> Vec<Class> {
    let fields = [
        ("a field that no one knows", String::from("7")),
        ("a field that no one knows, of a million bytes", format!("\"{}\"", "x".repeat(998_000))),
        ("a field that no one knows, deep", format!("{}{}", "[".repeat(50_000), "]".repeat(50_000))),
        ("a field that no one knows, with a lone surrogate", String::from("\"\\ud800\"")),
        ("a field that no one knows, twice", String::from("1,\"new\":2")),
    ];
    let classes = fields.into_iter().map(|(name, json)| {
        Class::new(name).message(End::Stored, |forge, seq| {
            bent(&forge.result(seq), "\"v\":1", format!("\"new\":{json},\"v\":1").as_bytes())
        })
    });
    classes.collect()
}

fn twice() -> Vec<Class> {
    let again = |field: &'static str, more: &'static str, end: End| {
        Class::new(format!("{field} twice"))
            .message(end, move |forge, seq| bent(&forge.result(seq), "\"v\":1", format!("{more},\"v\":1").as_bytes()))
    };
    vec![
        again("v", "\"v\":1", nameless("bad_field", "duplicate field `v`")),
        again("seq", "\"seq\":3", nameless("bad_field", "duplicate field `seq`")),
        again("agent", "\"agent\":\"x\"", nameless("bad_field", "duplicate field `agent`")),
        again("monitor", "\"monitor\":\"other\"", bad("duplicate field `monitor`")),
        again("outcome", "\"outcome\":\"timeout\"", bad("duplicate field `outcome`")),
    ]
}

fn numbers() -> Vec<Class> {
    vec![
        Class::new("a number with other content")
            .message(End::Known, |forge, _| forge.result_at(2, days(0)))
            .message(End::Known, |forge, _| forge.stop(2)),
        Class::new("a forged number before the true one")
            .message(End::Stored, |forge, seq| forge.result_at(seq, days(-1)))
            .message(End::Known, |forge, seq| forge.result(seq - 1)),
        // A clean stop ends the epoch, so a made-up number beyond the stop makes no other number missing.
        Class::new("a gap of 2^60").message(End::Stored, |forge, _| forge.result(GAP)).next(3).beyond_the_stop(1),
        Class::new("the highest number")
            .message(End::Stored, |forge, _| forge.result_at(i64::MAX as u64 - 1, days(0)))
            .next(3)
            .beyond_the_stop(1),
    ]
}

fn declarations() -> Vec<Class> {
    let ranges = |count: usize, epoch: Uuid| {
        let ranges: Vec<String> = (0..count as u64)
            .map(|index| format!("{{\"epoch\":\"{epoch}\",\"first\":{0},\"last\":{0}}}", 4 + 2 * index))
            .collect();
        format!("\"ranges\":[{}]", ranges.join(","))
    };
    let many = |count: usize, end: End| {
        Class::new(format!("{count} ranges")).message(end, move |forge, seq| {
            let all = String::from_utf8(forge.dropped(seq, 2, 2)).expect("records are text");
            let (before, rest) = all.split_once("\"ranges\":[").expect("it has ranges");
            let (_, after) = rest.split_once(']').expect("they end");
            format!("{before}{}{after}", ranges(count, forge.epoch)).into_bytes()
        })
    };
    vec![
        Class::new("a drop of what arrived").message(End::Noted, |forge, seq| forge.dropped(seq, 1, 2)),
        Class::new("drops that overlap")
            .message(End::Noted, |forge, seq| forge.dropped(seq, 5, 9))
            .message(End::Noted, |forge, seq| forge.dropped(seq, 7, 12))
            .message(End::Noted, |forge, seq| forge.dropped(seq, 6, 7))
            .next(13)
            .dropped(7),
        Class::new("a drop of what comes later").message(End::Noted, |forge, seq| forge.dropped(seq, 4, 5)),
        Class::new("a reversed drop")
            .message(bad("`ranges.last`: 3 is not within 9..="), |forge, seq| forge.dropped(seq, 9, 3)),
        Class::new("a drop of a trillion")
            .message(End::Noted, |forge, seq| forge.dropped(seq, 4, TRILLION + 3))
            .next(TRILLION + 4)
            .dropped(TRILLION),
        Class::new("a drop of 2^63").message(bad("`ranges.last`: 9223372036854775808 is not within"), |forge, seq| {
            forge.dropped(seq, 1, 1 << 63)
        }),
        many(1_000, End::Noted),
        many(1_001, bad("`ranges`: 1001 is not within 1..=1000")),
    ]
}

/// Makes records with epochs and names of other agents.
fn others() -> Vec<Class> {
    let agent = |message: &[u8]| bent(message, "\"agent\":\"", b"\"agent\":\"not the ");
    vec![
        Class::new("an epoch of another agent").message(End::Stored, |forge, seq| agent(&forge.result(seq))),
        Class::new("a stop of another agent").message(End::Noted, |forge, seq| agent(&forge.stop(seq))),
        Class::new("a drop in an epoch of no agent").message(End::Noted, |forge, seq| {
            let nobody = Uuid::new_v4().to_string();
            let own = format!("[{{\"epoch\":\"{}\"", forge.epoch);
            bent(&forge.dropped(seq, 1, 9), &own, format!("[{{\"epoch\":\"{nobody}\"").as_bytes())
        }),
        Class::new("an epoch that comes after itself").message(End::Noted, |forge, seq| {
            let itself = format!("\"previous\":{{\"epoch\":\"{}\",\"highest_seq\":2}},\"highest_seq\"", forge.epoch);
            bent(&forge.periodic(seq), "\"highest_seq\"", itself.as_bytes())
        }),
        ["key of no text", "no key"].into_iter().fold(Class::new("keys of others"), |class, name| {
            let value = class.forge.result(class.next);
            let key = (name != "no key").then(|| b"\xff\x00\xfe".to_vec());
            class.keyed(End::Stored, key, Some(value))
        }),
    ]
}

fn thousands() -> Class {
    (0..1_000).fold(Class::new("thousands of bad ones"), |class, index| {
        class
            .value(nameless("not_json", "expected value"), Some(format!("bad {index}").into_bytes()))
            .message(bad("`status_code`"), |forge, seq| {
                bent(&forge.result(seq), "\"status_code\":200", b"\"status_code\":-200")
            })
            .value(nameless("no_value", "no value"), None)
    })
}
