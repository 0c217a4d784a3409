//! Tests that any message is either decoded or refused, with little memory, and with the same outcome by both ways of
//! reading. What is decoded says the same as the message, survives its own encoding, and can be stored.
//!
//! A usual run tries some thousand messages. With `DECODE_SECONDS` set it goes on for that time (`./dev torture
//! decode`).

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::Value;
use uuid::Uuid;

use super::{read_in_parts, usual};
use crate::{CheckResult, Content, Record};

mod messages;

/// The number of cases in one round.
const CASES: u32 = 2_000;
/// The memory that the test may take, in KiB: some hundred times the size of a message.
const MEMORY_KIB: u64 = 128 * 1_024;

/// The beginning of the year 0. Years before it are written with a sign and six digits.
const YEAR_0: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// A message that is shown as text when a test fails.
struct Message(Vec<u8>);

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Tries messages for one round, or for as many rounds as there is time for.
fn try_messages(name: &str, strategy: impl Strategy<Value = Vec<u8>>) {
    let strategy = strategy.prop_map(Message);
    let seconds = std::env::var("DECODE_SECONDS").ok().map(|seconds| seconds.parse().expect("a number of seconds"));
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let (decoded, slowest) = (Cell::new(0_u64), Cell::new(Duration::ZERO));
    let mut rounds = 0_u64;
    loop {
        // A runner that has finished its cases would run no more.
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        let tried = runner.run(&strategy, |Message(message)| {
            let began = Instant::now();
            let is_record = Record::decode(Some(&message)).is_ok();
            slowest.set(slowest.get().max(began.elapsed()));
            decoded.set(decoded.get() + u64::from(is_record));
            examine(&message)
        });
        tried.unwrap_or_else(|failed| panic!("{name}: {failed}"));
        rounds += 1;
        if Instant::now() >= end {
            break;
        }
    }
    let cases = rounds * u64::from(CASES);
    let (decoded, slowest, most) = (decoded.get(), slowest.get(), memory_kib());
    writeln!(io::stderr(), "{name}: {cases} messages, {decoded} decoded, slowest {slowest:?}, memory {most} KiB")
        .expect("stderr is open");
    assert!(most < MEMORY_KIB, "{most} KiB");
}

/// Returns the most memory that this process ever had.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn examine(message: &[u8]) -> Result<(), TestCaseError> {
    let decoded = Record::decode(Some(message));
    let in_parts = read_in_parts(message);
    prop_assert_eq!(&decoded, &in_parts, "the two ways of reading differ");
    let record = match decoded {
        Ok(record) => record,
        Err(rejection) => {
            prop_assert!(!rejection.detail.is_empty());
            return Ok(());
        }
    };
    let encoded = record.encode();
    let again = Record::decode(Some(&encoded)).map_err(|rejection| TestCaseError::fail(rejection.to_string()))?;
    prop_assert_eq!(&again.encode(), &encoded);
    prop_assert_eq!(usual::read(&encoded).is_some(), is_usual(&record), "not every result is read as agents write it");
    let says: Value = serde_json::from_slice(&encoded).expect("what we encode is JSON");
    // A part that no rule knows may be nested too deeply for a generic reader.
    if let Ok(said) = serde_json::from_slice(message) {
        compare(&said, &says, "")?;
    }
    storable(&record, &says)
}

/// Returns whether the record is a result whose years have four digits.
fn is_usual(record: &Record<Cow<'_, str>>) -> bool {
    let Content::Result(result) = &record.content else { return false };
    times_of(result).iter().flatten().all(|at| *at >= YEAR_0)
}

/// Returns all times of a result.
fn times_of(result: &CheckResult<Cow<'_, str>>) -> [Option<Timestamp>; 4] {
    let certificate = result.certificate.as_ref();
    let (not_after, first_end) = (certificate.map(|it| it.not_after), certificate.and_then(|it| it.first_end));
    [Some(result.scheduled_at), Some(result.checked_at), not_after, first_end]
}

/// Checks that everything that the record says was said by the message.
fn compare(said: &Value, says: &Value, path: &str) -> Result<(), TestCaseError> {
    match (said, says) {
        (Value::Object(said), Value::Object(says)) => {
            for (key, value) in says {
                let path = format!("{path}.{key}");
                match said.get(key) {
                    Some(said) => compare(said, value, &path)?,
                    // Encoders write the default values of these two fields.
                    None => prop_assert!(path.starts_with(".clock") || path.starts_with(".configuration"), "{}", path),
                }
            }
        }
        (Value::Array(said), Value::Array(says)) => {
            prop_assert_eq!(said.len(), says.len(), "{}", path);
            for (said, says) in said.iter().zip(says) {
                compare(said, says, path)?;
            }
        }
        // serde also reads a struct from the list of its fields' values, and a word from a map with one key.
        (Value::Array(said), Value::Object(_)) => prop_assert!(said.len() <= 5, "{}", path),
        (Value::Object(said), Value::String(word)) => prop_assert!(said.contains_key(word), "{}", path),
        (Value::String(said), Value::String(says)) if said != says => {
            let time = |text: &str| text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond);
            let same_time = time(said).is_some_and(|at| Some(at) == time(says));
            let same_epoch = said.parse::<Uuid>().is_ok_and(|epoch| Ok(epoch) == says.parse());
            prop_assert!(same_time || same_epoch, "{}: {:?} became {:?}", path, said, says);
        }
        _ => prop_assert_eq!(said, says, "{}", path),
    }
    Ok(())
}

/// Checks that the columns take the record: PostgreSQL's text has no NUL, and its integers and times have their ranges.
fn storable(record: &Record<Cow<'_, str>>, says: &Value) -> Result<(), TestCaseError> {
    fn walk(value: &Value) -> bool {
        match value {
            Value::String(text) => !text.contains('\0'),
            Value::Array(values) => values.iter().all(walk),
            Value::Object(entries) => entries.iter().all(|(key, value)| !key.contains('\0') && walk(value)),
            Value::Number(number) => number.as_i64().is_some(),
            Value::Null | Value::Bool(_) => true,
        }
    }
    prop_assert!(walk(says), "no column takes {}", says);
    prop_assert!(record.seq >= 1 && record.seq < i64::MAX as u64 && !record.agent.is_empty());
    let times = match &record.content {
        Content::Result(result) => {
            prop_assert!(i16::try_from(result.attempts).is_ok());
            prop_assert!(result.status_code.is_none_or(|code| i16::try_from(code).is_ok()));
            times_of(result)
        }
        Content::Dropped(dropped) => {
            prop_assert!(dropped.ranges.iter().all(|range| 1 <= range.first && range.first <= range.last));
            [Some(dropped.dropped_at), None, None, None]
        }
        Content::Agent(report) => [Some(report.at), None, None, None],
    };
    // PostgreSQL's times begin with the Julian day 0.
    prop_assert!(times.iter().flatten().all(|at| at.as_microsecond() >= -2_440_588 * 86_400_000_000), "{:?}", times);
    Ok(())
}

#[test]
fn what_is_nearly_a_record_is_decoded_or_refused() {
    try_messages("bent records", messages::bent());
}

#[test]
fn what_is_no_record_is_refused() {
    try_messages("noise", prop_oneof![1 => vec(any::<u8>(), 0..300), 4 => messages::tokens()]);
}
