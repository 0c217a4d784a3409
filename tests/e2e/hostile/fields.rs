//! Makes classes of messages in which one field is wrong. There is a case for each way in which each field can be
//! wrong.

use super::class::{Class, End, aside, bad, days, long, nameless, with, without};
use crate::forge::Forge;

/// The path of a field, the text that it is set to, and how the message should be handled.
type Case = (&'static str, String, End);

pub(super) fn all() -> Vec<Class> {
    let set = |kind: &str, make: fn(&Forge, u64) -> Vec<u8>, cases: Vec<Case>| -> Vec<Class> {
        let class = |(path, json, end): Case| {
            let shown: String = json.chars().take(30).collect();
            Class::new(format!("{kind} {path} = {shown} ({} bytes)", json.len()))
                .message(end, |forge, seq| with(&make(forge, seq), path, &json))
        };
        cases.into_iter().map(class).collect()
    };
    let mut classes = missing();
    classes.extend(set("result", Forge::result, [texts(), numbers(), words(), times(), heads(), nested()].concat()));
    classes.extend(set("dropped", |forge, seq| forge.dropped(seq, 2, 2), declarations()));
    classes.extend(set("agent", Forge::periodic, reports()));
    classes
}

fn missing() -> Vec<Class> {
    let result = ["monitor", "name", "url", "scheduled_at", "checked_at", "outcome"].map(|field| {
        Class::new(format!("result without {field}"))
            .message(bad(&format!("missing field `{field}`")), |forge, seq| without(&forge.result(seq), field))
    });
    let head = [
        ("v", bad("`v`: is missing")),
        ("kind", bad("`kind`: is missing")),
        ("epoch", nameless("bad_field", "missing field `epoch`")),
        ("seq", nameless("bad_field", "missing field `seq`")),
        ("agent", nameless("bad_field", "missing field `agent`")),
    ]
    .map(|(field, end)| {
        Class::new(format!("a message without {field}")).message(end, |forge, seq| without(&forge.result(seq), field))
    });
    let report = ["event", "at", "version", "highest_seq", "pending", "outbox_bytes"].map(|field| {
        Class::new(format!("report without {field}"))
            .message(bad(&format!("missing field `{field}`")), |forge, seq| without(&forge.periodic(seq), field))
    });
    result.into_iter().chain(head).chain(report).collect()
}

fn texts() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (field, most, is_needed) in [
        ("monitor", 16_384, true),
        ("name", 1_024, true),
        ("url", 8_192, true),
        ("pattern", 8_192, false),
        ("reason", 4_096, false),
        ("peer", 4_096, false),
        ("error", 4_096, false),
    ] {
        let of = |problem: &str| bad(&format!("`{field}`: {problem}"));
        let nothing = if is_needed { of("invalid type: null") } else { End::Stored };
        cases.extend([
            (field, "null".into(), nothing),
            (field, "7".into(), of("invalid type: integer `7`")),
            (field, "{}".into(), of("invalid type: map")),
            (field, "\"\"".into(), End::Stored),
            (field, long(most), End::Stored),
            (field, long(most + 1), of(&format!("{} bytes are more than {most}", most + 1))),
            (field, "\"a\\u0000b\"".into(), of("holds a NUL character")),
            (field, "\"\\ud800\"".into(), of("unexpected end of hex escape")),
        ]);
    }
    cases
}

fn numbers() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (field, most) in [
        ("status_code", 999),
        ("response_time_us", 86_400_000_000),
        ("phases.dns", 86_400_000_000),
        ("phases.body", 86_400_000_000),
        ("redirects", 10_000),
        ("body_bytes", i64::MAX as u64),
        ("attempts", 10_000),
    ] {
        let of = |problem: &str| bad(&format!("`{field}`: {problem}"));
        cases.extend([
            (field, most.to_string(), End::Stored),
            (field, (most + 1).to_string(), of(&format!("{} is not within", most + 1))),
            (field, "18446744073709551616".into(), of("invalid type: floating point")),
            (field, "-1".into(), of("invalid value: integer `-1`")),
            (field, "1.5".into(), of("invalid type: floating point `1.5`")),
            (field, "1e999".into(), of("number out of range")),
            (field, "\"7\"".into(), of("invalid type: string \"7\"")),
            (field, "\"NaN\"".into(), of("invalid type: string \"NaN\"")),
            (field, "NaN".into(), nameless("not_json", "expected value")),
            (field, "[1]".into(), of("invalid type: sequence")),
        ]);
    }
    cases.push(("attempts", "0".into(), bad("`attempts`: 0 is not within")));
    cases.push(("attempts", "null".into(), bad("`attempts`: invalid type: null")));
    cases.push(("status_code", "null".into(), End::Stored));
    cases
}

fn words() -> Vec<Case> {
    let outcome = |problem: &str| aside("unknown_outcome", &format!("`outcome`: {problem}"));
    vec![
        ("outcome", "\"maybe\"".into(), outcome("unknown variant `maybe`")),
        ("outcome", "\"\"".into(), outcome("unknown variant ``")),
        ("outcome", "\"Success\"".into(), outcome("unknown variant `Success`")),
        ("outcome", "null".into(), outcome("")),
        ("outcome", "0".into(), outcome("")),
        ("outcome", long(1_000_000), outcome("unknown variant")),
        ("pattern_matched", "1".into(), bad("`pattern_matched`: invalid type: integer `1`")),
        ("pattern_matched", "\"true\"".into(), bad("`pattern_matched`: invalid type: string")),
        ("truncated", "[]".into(), bad("`truncated`: invalid type: sequence")),
        ("truncated", "null".into(), End::Stored),
    ]
}

fn times() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for field in ["scheduled_at", "checked_at"] {
        let of = |problem: &str| bad(&format!("`{field}`: {problem}"));
        cases.extend([
            (field, "null".into(), of("invalid type: null")),
            (field, "1764000000".into(), of("invalid type: integer")),
            (field, "\"\"".into(), of("")),
            (field, "\"yesterday\"".into(), of("")),
            (field, "\"2026-11-31T00:00:00Z\"".into(), of("")),
            (field, "\"2026-11-22T10:00:00\"".into(), of("")),
            (field, "\"+010000-01-01T00:00:00Z\"".into(), of("")),
            (field, "\"-009999-06-01T00:00:00Z\"".into(), of("-009999-06-01T00:00:00Z is before -004713-11-24")),
        ]);
    }
    let (future, past) = (aside("in_the_future", "`checked_at`"), aside("too_old", "`checked_at`"));
    cases.extend([
        ("checked_at", "\"9999-12-30T00:00:00Z\"".into(), future.clone()),
        ("checked_at", format!("\"{}\"", days(3)), future),
        ("checked_at", "\"-001970-01-01T00:00:00Z\"".into(), past.clone()),
        ("checked_at", format!("\"{}\"", days(-400)), past.clone()),
        ("checked_at", "\"2016-12-31T23:59:60Z\"".into(), past),
        ("checked_at", leap_second(), End::Stored),
        // `scheduled_at` may be far from the time of the check, because rows do not contain it.
        ("scheduled_at", "\"9999-12-30T00:00:00Z\"".into(), End::Stored),
        ("scheduled_at", "\"-001970-01-01T00:00:00Z\"".into(), End::Stored),
    ]);
    cases
}

/// Returns second 60 of the last minute of yesterday, as if yesterday had ended with a leap second.
fn leap_second() -> String {
    let date = days(-1).to_string();
    format!("\"{}T23:59:60Z\"", &date[..10])
}

fn heads() -> Vec<Case> {
    let version = |shown: &str| aside("unknown_version", &format!("`v`: {shown} is not a version"));
    let nameless = |detail: &str| nameless("bad_field", detail);
    vec![
        ("v", "2".into(), version("2")),
        ("v", "0".into(), version("0")),
        ("v", "-1".into(), version("-1")),
        ("v", "1.0".into(), version("1.0")),
        ("v", "\"1\"".into(), version("\"1\"")),
        ("v", "18446744073709551615".into(), version("18446744073709551615")),
        ("v", "{\"a\":[1]}".into(), version("{\"a\":[1]}")),
        ("v", "null".into(), bad("`v`: is missing")),
        ("kind", "\"riddle\"".into(), aside("unknown_kind", "`kind`: \"riddle\"")),
        ("kind", "\"\"".into(), aside("unknown_kind", "`kind`: \"\"")),
        ("kind", "\"Result\"".into(), aside("unknown_kind", "`kind`: \"Result\"")),
        ("kind", "\"a\\u0000b\"".into(), aside("unknown_kind", "`kind`: \"a\\0b\"")),
        ("kind", "\"dropped\"".into(), bad("`reason`: unknown variant `OK`")),
        ("kind", "\"agent\"".into(), bad("missing field `event`")),
        ("kind", "null".into(), bad("`kind`: is missing")),
        ("kind", "7".into(), nameless("`kind`: invalid type")),
        ("epoch", "\"x\"".into(), nameless("`epoch`: ")),
        ("epoch", "\"\"".into(), nameless("`epoch`: ")),
        ("epoch", "7".into(), nameless("`epoch`: invalid type")),
        ("epoch", "null".into(), nameless("`epoch`: invalid type")),
        ("epoch", long(1_000_000), nameless("`epoch`: ")),
        ("seq", "0".into(), nameless("`seq`: 0 is not within")),
        ("seq", "-1".into(), nameless("`seq`: invalid value: integer `-1`")),
        ("seq", "3.0".into(), nameless("`seq`: invalid type: floating point")),
        ("seq", "\"3\"".into(), nameless("`seq`: invalid type: string")),
        ("seq", "null".into(), nameless("`seq`: invalid type: null")),
        ("seq", "9223372036854775807".into(), nameless("`seq`: 9223372036854775807 is not within")),
        ("seq", "18446744073709551615".into(), nameless("`seq`: 18446744073709551615 is not within")),
        ("seq", "18446744073709551616".into(), nameless("`seq`: invalid type: floating point")),
        ("agent", "\"\"".into(), nameless("`agent`: is empty")),
        ("agent", "7".into(), nameless("`agent`: invalid type")),
        ("agent", "null".into(), nameless("`agent`: invalid type")),
        ("agent", "\"a\\u0000b\"".into(), nameless("`agent`: holds a NUL")),
        ("agent", long(255), End::Stored),
        ("agent", long(256), nameless("`agent`: 256 bytes are more than 255")),
    ]
}

fn nested() -> Vec<Case> {
    let entries = |count: usize| {
        let entries: Vec<String> = (0..count).map(|index| format!("\"tag {index}\":\"\"")).collect();
        format!("{{{}}}", entries.join(","))
    };
    let certificate = |not_after: &str| format!(r#"{{"not_after":{not_after},"subject":"s","issuer":"i"}}"#);
    let chain = |end: &str| certificate(&format!(r#""2027-01-01T00:00:00Z","first_end":{end}"#));
    vec![
        ("tags", entries(64), End::Stored),
        ("tags", entries(65), bad("`tags`: 65 is not within 0..=64")),
        ("tags", "[1]".into(), bad("`tags")),
        ("tags", "{\"a\":1}".into(), bad("`tags.a`: invalid type: integer")),
        ("tags", "{\"a\\u0000\":\"b\"}".into(), bad("`tags`: holds a NUL")),
        ("tags", format!("{{{}:\"\"}}", long(4_097)), bad("`tags`: 4097 bytes")),
        ("tags", "{\"a\":\"b\",\"a\":\"c\"}".into(), End::Stored),
        ("phases", "[]".into(), End::Stored),
        ("phases", "{\"dns\":1,\"dns\":2}".into(), bad("duplicate field `dns`")),
        ("phases", "null".into(), bad("`phases`: invalid type: null")),
        ("certificate", "null".into(), End::Stored),
        ("certificate", "{}".into(), bad("missing field `not_after`")),
        ("certificate", "\"none\"".into(), bad("`certificate`: invalid type: string")),
        ("certificate", certificate("\"9999-12-30T00:00:00Z\""), End::Stored),
        ("certificate", certificate("\"-001970-01-01T00:00:00Z\""), End::Stored),
        ("certificate", certificate("\"-009999-01-03T00:00:00Z\""), bad("`certificate.not_after`: ")),
        ("certificate", certificate("\"+012345-01-01T00:00:00Z\""), bad("`certificate.not_after`: ")),
        ("certificate", certificate("7"), bad("`certificate.not_after`: invalid type")),
        ("certificate", chain("null"), End::Stored),
        ("certificate", chain("\"2026-12-01T00:00:00Z\""), End::Stored),
        ("certificate", chain("\"-009999-01-03T00:00:00Z\""), bad("`certificate.first_end`: ")),
        ("certificate", chain("7"), bad("`certificate.first_end`: invalid type")),
    ]
}

fn declarations() -> Vec<Case> {
    vec![
        ("reason", "\"bored\"".into(), bad("`reason`: unknown variant `bored`")),
        ("reason", "null".into(), bad("`reason`: ")),
        ("dropped_at", "\"-009999-06-01T00:00:00Z\"".into(), bad("`dropped_at`: ")),
        ("ranges", "[]".into(), bad("`ranges`: 0 is not within 1..=1000")),
        ("ranges", "{}".into(), bad("`ranges`: invalid type: map")),
        ("ranges.0.epoch", "\"x\"".into(), bad("`ranges[0].epoch`: ")),
        ("ranges.0.first", "0".into(), bad("`ranges.first`: 0 is not within")),
        ("ranges.0.first", "-5".into(), bad("`ranges[0].first`: invalid value")),
        ("ranges.0.last", "1".into(), bad("`ranges.last`: 1 is not within 2..=")),
        ("ranges.0.last", "1000000000003".into(), bad("`ranges.last - ranges.first`: 1000000000001 is not within")),
        ("ranges.0.last", "9223372036854775806".into(), bad("`ranges.last - ranges.first`: ")),
        ("ranges.0.last", "9223372036854775808".into(), bad("`ranges.last`: 9223372036854775808 is not within")),
        ("ranges.0.last", "18446744073709551615".into(), bad("`ranges.last`: 18446744073709551615 is not within")),
    ]
}

fn reports() -> Vec<Case> {
    let due = |interval: &str, count: usize| {
        let due = format!("{{\"id\":\"shop\",\"interval_ms\":{interval}}}");
        format!("[{}]", vec![due; count].join(","))
    };
    vec![
        ("event", "\"party\"".into(), bad("`event`: unknown variant `party`")),
        ("at", "\"-009999-06-01T00:00:00Z\"".into(), bad("`at`: ")),
        ("at", "\"9999-12-30T00:00:00Z\"".into(), End::Noted),
        ("version", long(4_097), bad("`version`: 4097 bytes")),
        ("previous", "{\"epoch\":\"x\",\"highest_seq\":1}".into(), bad("`previous.epoch`: ")),
        ("previous", "7".into(), bad("`previous`: invalid type")),
        ("highest_seq", "9223372036854775807".into(), bad("`highest_seq`: 9223372036854775807 is not within")),
        ("highest_seq", "-1".into(), bad("`highest_seq`: invalid value")),
        ("pending", "18446744073709551615".into(), bad("`pending`: ")),
        ("oldest_pending", "{}".into(), bad("missing field `epoch`")),
        ("outbox_bytes", "9223372036854775808".into(), bad("`outbox_bytes`: ")),
        ("missed", "{\"sleep\":-1}".into(), bad("`missed.sleep`: ")),
        ("missed", "{\"a\\u0000\":1}".into(), bad("`missed`: holds a NUL")),
        ("clock", "{\"jumps\":-1}".into(), bad("`clock.jumps`: ")),
        ("clock", "{\"last_jump_us\":9223372036854775808}".into(), bad("`clock.last_jump_us`: ")),
        ("clock", "null".into(), bad("`clock`: invalid type: null")),
        ("configuration", "{\"revision\":7}".into(), bad("`configuration.revision`: ")),
        ("labels", "{\"a\":\"\\u0000\"}".into(), bad("`labels`: holds a NUL")),
        ("labels", "{\"a\":{\"b\":\"c\"}}".into(), bad("`labels.a`: invalid type: map")),
        ("monitors", due("1", 1_000), End::Noted),
        ("monitors", due("1", 1_001), bad("`monitors`: 1001 is not within 0..=1000")),
        ("monitors", due("0", 1), bad("`monitors.interval_ms`: 0 is not within")),
        ("monitors", due("-1", 1), bad("`monitors[0].interval_ms`: ")),
        ("monitors", due("\"5s\"", 1), bad("`monitors[0].interval_ms`: ")),
    ]
}
