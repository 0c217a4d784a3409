//! Tests properties that hold for every record and every message.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use jiff::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;
use wire::{
    AgentEvent, AgentReport, Certificate, CheckResult, Clock, Configuration, Content, DropReason, Dropped, Fault, List,
    MonitorDue, Outcome, Pending, Phases, Previous, Range, Record, limits,
};

type Text = Cow<'static, str>;

fn text<T: From<String> + Debug>() -> impl Strategy<Value = T> {
    "[^\\x00]{0,40}".prop_map(T::from)
}

fn texts<T: From<String> + Ord + Debug>() -> impl Strategy<Value = BTreeMap<T, T>> {
    btree_map(text(), text(), 0..4)
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800_000_000..253_402_207_200_000_000_i64).prop_map(|us| Timestamp::from_microsecond(us).unwrap())
}

fn epoch() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn seq() -> impl Strategy<Value = u64> {
    1..=limits::SEQUENCE
}

fn duration() -> impl Strategy<Value = Option<u64>> {
    of(0..=limits::DURATION_US)
}

prop_compose! {
    fn certificate()(
        not_after in time(),
        subject in text(),
        issuer in text(),
        first_end in of(time()),
        fault in of(text()),
        faults in vec(text(), 0..4),
    ) -> Certificate<Text> {
        Certificate { not_after, subject, issuer, first_end, fault, faults }
    }
}

prop_compose! {
    fn phases()(dns in duration(), connect in duration(), tls in duration(), first_byte in duration(), body in duration())
        -> Phases {
        Phases { dns, connect, tls, first_byte, body }
    }
}

prop_compose! {
    fn result()(
        (monitor, name, url, pattern) in (text(), text(), text(), of(text())),
        (scheduled_at, checked_at, outcome) in (time(), time(), select(Outcome::ALL.to_vec())),
        (status_code, reason, response_time_us, phases) in (of(0..=limits::STATUS_CODE), of(text()), duration(), phases()),
        (peer, redirects, pattern_matched, certificate) in (of(text()), of(0..10_000_u32), of(any::<bool>()), of(certificate())),
        (body_bytes, truncated, attempts) in (of(0..=i64::MAX as u64), of(any::<bool>()), 1..10_000_u32),
        (tags, error) in (texts(), of(text())),
    ) -> Content<Text> {
        Content::Result(Box::new(CheckResult {
            monitor, name, url, pattern, scheduled_at, checked_at, outcome, status_code, reason, response_time_us,
            phases, peer, redirects, pattern_matched, certificate, body_bytes, truncated, attempts, tags, error,
        }))
    }
}

prop_compose! {
    fn range()(epoch in epoch(), first in 1..=limits::SEQUENCE - limits::RANGE, more in 0..=limits::RANGE) -> Range {
        Range { epoch, first, last: first + more }
    }
}

prop_compose! {
    fn dropped()(
        ranges in vec(range(), 1..5),
        reason in select(vec![DropReason::OutboxFull, DropReason::Damaged, DropReason::TooLarge, DropReason::DiskFailed]),
        dropped_at in time(),
    ) -> Content<Text> {
        Content::Dropped(Dropped { ranges, reason, dropped_at })
    }
}

prop_compose! {
    fn due()(id in text(), interval_ms in 1..1_000_000_u64, tags in texts()) -> MonitorDue {
        MonitorDue { id, interval_ms, tags }
    }
}

prop_compose! {
    fn report()(
        event in select(vec![AgentEvent::Start, AgentEvent::Reload, AgentEvent::Periodic, AgentEvent::Stop]),
        (at, due_since, version, labels) in (time(), of(time()), text(), texts()),
        previous in of((epoch(), seq()).prop_map(|(epoch, highest_seq)| Previous { epoch, highest_seq })),
        (highest_seq, pending, outbox_bytes) in (seq(), seq(), 0..=i64::MAX as u64),
        oldest_pending in of((epoch(), seq()).prop_map(|(epoch, seq)| Pending { epoch, seq })),
        missed in btree_map(text(), 0..1_000_u64, 0..4),
        clock in (0..1_000_u64, any::<i64>()).prop_map(|(jumps, last_jump_us)| Clock { jumps, last_jump_us }),
        configuration in (text(), 0..1_000_u64).prop_map(|(revision, faults)| Configuration { revision, faults }),
        monitors in vec(due(), 0..4),
        list in of((text(), 0..1_000_u64).prop_map(|(revision, monitors)| List { revision, monitors })),
    ) -> Content<Text> {
        Content::Agent(Box::new(AgentReport {
            event, at, version, previous, highest_seq, pending, oldest_pending, outbox_bytes, missed, clock,
            configuration, labels, monitors, due_since, list,
        }))
    }
}

prop_compose! {
    fn record()(epoch in epoch(), seq in seq(), agent in "[^\\x00]{1,40}", content in prop_oneof![result(), dropped(), report()])
        -> Record<Text> {
        Record { epoch, seq, agent: agent.into(), content }
    }
}

/// Returns the record's message with one field set to a JSON value, or removed.
fn with(record: &Record<Cow<'_, str>>, field: &str, value: Option<serde_json::Value>) -> Vec<u8> {
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&record.encode()).unwrap();
    match value {
        Some(value) => object.insert(field.to_owned(), value),
        None => object.remove(field),
    };
    serde_json::to_vec(&object).unwrap()
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded_as_it_was(record in record()) {
        let message = record.encode();
        prop_assert_eq!(Record::decode(Some(&message)), Ok(record));
    }

    #[test]
    fn a_declaration_is_known_by_its_payload(record in record()) {
        let expected = match &record.content { Content::Dropped(dropped) => Some(dropped.clone()), _ => None };
        let content = match record.content {
            Content::Result(result) => Content::Result(serde_json::from_value(serde_json::to_value(result).unwrap()).unwrap()),
            Content::Dropped(dropped) => Content::Dropped(dropped),
            Content::Agent(report) => Content::Agent(report),
        };
        prop_assert_eq!(wire::declared(&wire::payload(&record.agent, &content)), expected);
    }

    #[test]
    fn unknown_fields_are_accepted(record in record(), name in "x_[a-z]{1,8}", value in text::<String>()) {
        let message = with(&record, &name, Some(value.into()));
        prop_assert_eq!(Record::decode(Some(&message)), Ok(record));
    }

    #[test]
    fn an_unknown_version_is_refused_and_its_number_accounted_for(record in record(), v in 2..u64::MAX) {
        let rejection = Record::decode(Some(&with(&record, "v", Some(v.into())))).unwrap_err();
        prop_assert_eq!(rejection.fault, Fault::UnknownVersion);
        prop_assert_eq!(rejection.number.map(|n| (n.epoch, n.seq, n.agent)), Some((record.epoch, record.seq, record.agent.into_owned())));
    }

    #[test]
    fn a_missing_head_field_is_named(record in record(), field in select(vec!["v", "kind", "epoch", "seq", "agent"])) {
        let rejection = Record::decode(Some(&with(&record, field, None))).unwrap_err();
        prop_assert_eq!(rejection.fault, Fault::BadField);
        prop_assert!(rejection.detail.contains(field), "{}", rejection.detail);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(Record::decode(Some(&bytes)).is_err());
    }

    #[test]
    fn a_cut_message_is_refused(record in record(), cut in any::<prop::sample::Index>()) {
        let message = record.encode();
        prop_assert_eq!(Record::decode(Some(&message[..cut.index(message.len())])).unwrap_err().fault, Fault::NotJson);
    }
}

#[test]
fn a_wrong_field_is_refused_by_its_name() {
    let golden = include_str!("../golden/v1-result.json");
    let record = Record::decode(Some(golden.as_bytes())).unwrap();
    let cases: [(&str, serde_json::Value, Fault, &str); 12] = [
        ("outcome", "fine".into(), Fault::UnknownOutcome, "`outcome`: unknown variant `fine`"),
        ("kind", "gossip".into(), Fault::UnknownKind, "`kind`: \"gossip\" is not a kind"),
        ("v", "1".into(), Fault::UnknownVersion, "`v`: \"1\" is not a version"),
        ("seq", 0.into(), Fault::BadField, "`seq`: 0 is not within"),
        ("seq", (-1).into(), Fault::BadField, "`seq`: invalid value"),
        ("seq", u64::MAX.into(), Fault::BadField, "`seq`: 18446744073709551615 is not within"),
        ("epoch", "x".into(), Fault::BadField, "`epoch`: "),
        ("agent", "".into(), Fault::BadField, "`agent`: is empty"),
        ("name", "a\0b".into(), Fault::BadField, "`name`: holds a NUL character"),
        ("name", "x".repeat(2_000).into(), Fault::BadField, "`name`: 2000 bytes are more than 1024"),
        ("status_code", 1_000.into(), Fault::BadField, "`status_code`: 1000 is not within"),
        ("checked_at", "yesterday".into(), Fault::BadField, "`checked_at`: "),
    ];
    for (field, value, fault, detail) in cases {
        let rejection = Record::decode(Some(&with(&record, field, Some(value)))).unwrap_err();
        assert_eq!(rejection.fault, fault, "{field}");
        assert!(rejection.detail.starts_with(detail), "{} does not start with {detail}", rejection.detail);
    }
}

#[test]
fn no_value_and_what_is_no_object_are_refused() {
    assert_eq!(Record::decode(None).unwrap_err().fault, Fault::NoValue);
    for message in ["", "{", "\u{0}", "{\"v\":1"] {
        assert_eq!(Record::decode(Some(message.as_bytes())).unwrap_err().fault, Fault::NotJson, "{message:?}");
    }
    for message in ["null", "7", "\"text\"", "[]", "{}"] {
        assert_eq!(Record::decode(Some(message.as_bytes())).unwrap_err().fault, Fault::BadField, "{message:?}");
    }
}

#[test]
fn a_reversed_and_an_absurd_range_are_refused() {
    let golden = include_str!("../golden/v1-dropped.json");
    for (last, field) in [(0_u64, "`ranges.last`"), (limits::SEQUENCE, "`ranges.last - ranges.first`")] {
        let message = golden.replace("\"last\":500", &format!("\"last\":{last}"));
        let rejection = Record::decode(Some(message.as_bytes())).unwrap_err();
        assert!(rejection.detail.starts_with(field), "{}", rejection.detail);
    }
}
