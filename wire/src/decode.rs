//! Decodes the bytes of a message to a record, or returns the reason why the message is no record.
//!
//! Most messages are results as agents write them, and these are read directly (usual.rs). For everything else, and for
//! a result with any fault, the head is read first. So a message whose body is wrong still accounts for its number.
//! What cannot be stored later (text with NUL, numbers beyond a column) is refused here, where the field can be named.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::record::{CheckResult, Content, Dropped, Record};
use crate::report::AgentReport;
use crate::{VERSION, limits};

#[cfg(test)]
mod tests;
mod usual;

/// The reason why a message is no record. Collectors set such a message aside, whole.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub struct Rejection {
    /// The class of the fault.
    pub fault: Fault,
    /// The text that says which field is wrong, and what is wrong with it.
    pub detail: String,
    /// The number that the message accounts for, if it could be read.
    pub number: Option<Number>,
}

/// The class of a fault, as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The message has no value.
    NoValue,
    /// The value is not a JSON object in UTF-8.
    NotJson,
    /// A field is missing, of the wrong type, or out of its bounds.
    BadField,
    /// `v` is a version that this collector does not read.
    UnknownVersion,
    /// `kind` is a kind that this collector does not read.
    UnknownKind,
    /// `outcome` is an outcome that this collector does not read.
    UnknownOutcome,
}

impl Fault {
    /// Returns the fault's word, as it is in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Fault::NoValue => "no_value",
            Fault::NotJson => "not_json",
            Fault::BadField => "bad_field",
            Fault::UnknownVersion => "unknown_version",
            Fault::UnknownKind => "unknown_kind",
            Fault::UnknownOutcome => "unknown_outcome",
        }
    }
}

/// The number of a message: the agent, the epoch, and the sequence number in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    /// The epoch.
    pub epoch: Uuid,
    /// The sequence number.
    pub seq: u64,
    /// The agent's name.
    pub agent: String,
}

#[derive(Deserialize)]
struct Head<'a> {
    v: Option<serde_json::Value>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    epoch: Uuid,
    seq: u64,
    #[serde(borrow)]
    agent: Cow<'a, str>,
}

/// A text that is borrowed where possible. serde borrows a `Cow`, but not one within an `Option`.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'m> Record<Cow<'m, str>> {
    /// Decodes a message. Texts are borrowed from it where they need no unescaping.
    ///
    /// # Errors
    /// Returns a [`Rejection`] when no rule of this version can read the message.
    pub fn decode(message: Option<&'m [u8]>) -> Result<Record<Cow<'m, str>>, Rejection> {
        let Some(message) = message else {
            return Err(Rejection::new(Fault::NoValue, "the message has no value".into()));
        };
        usual::read(message).map_or_else(|| read_in_parts(message), Ok)
    }
}

fn read_in_parts(message: &[u8]) -> Result<Record<Cow<'_, str>>, Rejection> {
    let Head { v, kind, epoch, seq, agent } = read_head(message)?;
    match read_content(v, kind.as_ref().map(|kind| &*kind.0), message) {
        Ok(content) => Ok(Record { epoch, seq, agent, content }),
        Err(rejection) => {
            let number = Number { epoch, seq, agent: agent.into_owned() };
            Err(Rejection { number: Some(number), ..rejection })
        }
    }
}

impl Rejection {
    fn new(fault: Fault, detail: String) -> Rejection {
        Rejection { fault, detail, number: None }
    }
}

fn bad(field: &str, problem: impl std::fmt::Display) -> Rejection {
    Rejection::new(Fault::BadField, format!("`{field}`: {problem}"))
}

fn read_head(message: &[u8]) -> Result<Head<'_>, Rejection> {
    let head: Head<'_> = match serde_json::from_slice(message) {
        Ok(head) => head,
        Err(error) if error.is_data() => {
            let again = &mut serde_json::Deserializer::from_slice(message);
            return Err(match serde_path_to_error::deserialize::<_, Head<'_>>(again) {
                Err(error) if error.path().iter().len() > 0 => bad(&error.path().to_string(), error.inner()),
                _ => Rejection::new(Fault::BadField, error.to_string()),
            });
        }
        Err(error) => return Err(Rejection::new(Fault::NotJson, format!("not JSON: {error}"))),
    };
    check_head(head.seq, &head.agent)?;
    Ok(head)
}

fn check_head(seq: u64, agent: &str) -> Result<(), Rejection> {
    number("seq", seq, 1, limits::SEQUENCE)?;
    text("agent", agent, limits::AGENT)?;
    if agent.is_empty() {
        return Err(bad("agent", "is empty"));
    }
    Ok(())
}

fn read_content<'m>(
    v: Option<serde_json::Value>,
    kind: Option<&str>,
    message: &'m [u8],
) -> Result<Content<Cow<'m, str>>, Rejection> {
    match v {
        Some(v) if v == VERSION => {}
        Some(other) => {
            let shown: String = other.to_string().chars().take(40).collect();
            let detail = format!("`v`: {shown} is not a version that is known here (known: {VERSION})");
            return Err(Rejection::new(Fault::UnknownVersion, detail));
        }
        None => return Err(bad("v", "is missing")),
    }
    match kind {
        Some("result") => {
            let result: CheckResult<Cow<'_, str>> = read_body(message)?;
            check_result(&result)?;
            Ok(Content::Result(Box::new(result)))
        }
        Some("dropped") => {
            let dropped: Dropped = read_body(message)?;
            check_dropped(&dropped)?;
            Ok(Content::Dropped(dropped))
        }
        Some("agent") => {
            let report: AgentReport = read_body(message)?;
            check_report(&report)?;
            Ok(Content::Agent(Box::new(report)))
        }
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            let detail = format!("`kind`: {shown:?} is not a kind that is known here (known: result, dropped, agent)");
            Err(Rejection::new(Fault::UnknownKind, detail))
        }
        None => Err(bad("kind", "is missing")),
    }
}

/// Reads the body's fields. After an error it reads them once more, in a slower way, to learn which field is wrong.
fn read_body<T: DeserializeOwned>(message: &[u8]) -> Result<T, Rejection> {
    serde_json::from_slice(message).map_err(|error| name_field::<T>(message, &error))
}

fn name_field<T: DeserializeOwned>(message: &[u8], error: &serde_json::Error) -> Rejection {
    let again = &mut serde_json::Deserializer::from_slice(message);
    match serde_path_to_error::deserialize::<_, T>(again) {
        Err(error) if error.path().iter().len() > 0 => {
            let field = error.path().to_string();
            let fault = if field == "outcome" { Fault::UnknownOutcome } else { Fault::BadField };
            Rejection { fault, ..bad(&field, error.inner()) }
        }
        _ => Rejection::new(Fault::BadField, error.to_string()),
    }
}

fn number(field: &str, value: u64, least: u64, most: u64) -> Result<(), Rejection> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(bad(field, format_args!("{value} is not within {least}..={most}")))
}

fn text(field: &str, value: &str, most: usize) -> Result<(), Rejection> {
    if value.len() > most {
        return Err(bad(field, format_args!("{} bytes are more than {most}", value.len())));
    }
    if value.contains('\0') {
        return Err(bad(field, "holds a NUL character"));
    }
    Ok(())
}

fn time(field: &str, at: jiff::Timestamp) -> Result<(), Rejection> {
    if at < limits::OLDEST {
        return Err(bad(field, format_args!("{at} is before {}", limits::OLDEST)));
    }
    Ok(())
}

fn optional_text(field: &str, value: &Option<Cow<'_, str>>, most: usize) -> Result<(), Rejection> {
    value.as_deref().map_or(Ok(()), |value| text(field, value, most))
}

fn optional_number(field: &str, value: Option<u64>, most: u64) -> Result<(), Rejection> {
    value.map_or(Ok(()), |value| number(field, value, 0, most))
}

fn entries<T: AsRef<str>>(field: &str, map: &BTreeMap<T, T>) -> Result<(), Rejection> {
    number(field, map.len() as u64, 0, limits::ENTRIES as u64)?;
    for (key, value) in map {
        text(field, key.as_ref(), limits::TEXT)?;
        text(field, value.as_ref(), limits::TEXT)?;
    }
    Ok(())
}

fn check_result(result: &CheckResult<Cow<'_, str>>) -> Result<(), Rejection> {
    text("monitor", &result.monitor, limits::MONITOR)?;
    text("name", &result.name, limits::NAME)?;
    text("url", &result.url, limits::URL)?;
    optional_text("pattern", &result.pattern, limits::PATTERN)?;
    time("scheduled_at", result.scheduled_at)?;
    time("checked_at", result.checked_at)?;
    optional_number("status_code", result.status_code.map(u64::from), limits::STATUS_CODE.into())?;
    optional_text("reason", &result.reason, limits::TEXT)?;
    optional_number("response_time_us", result.response_time_us, limits::DURATION_US)?;
    for (field, value) in [
        ("phases.dns", result.phases.dns),
        ("phases.connect", result.phases.connect),
        ("phases.tls", result.phases.tls),
        ("phases.first_byte", result.phases.first_byte),
        ("phases.body", result.phases.body),
    ] {
        optional_number(field, value, limits::DURATION_US)?;
    }
    optional_text("peer", &result.peer, limits::TEXT)?;
    optional_number("redirects", result.redirects.map(u64::from), 10_000)?;
    if let Some(certificate) = &result.certificate {
        time("certificate.not_after", certificate.not_after)?;
        text("certificate.subject", &certificate.subject, limits::TEXT)?;
        text("certificate.issuer", &certificate.issuer, limits::TEXT)?;
        if let Some(first_end) = certificate.first_end {
            time("certificate.first_end", first_end)?;
        }
        optional_text("certificate.fault", &certificate.fault, limits::TEXT)?;
        number("certificate.faults", certificate.faults.len() as u64, 0, limits::ENTRIES as u64)?;
        for fault in &certificate.faults {
            text("certificate.faults", fault, limits::TEXT)?;
        }
    }
    optional_number("body_bytes", result.body_bytes, i64::MAX as u64)?;
    number("attempts", result.attempts.into(), 1, 10_000)?;
    entries("tags", &result.tags)?;
    optional_text("error", &result.error, limits::TEXT)
}

fn check_dropped(dropped: &Dropped) -> Result<(), Rejection> {
    time("dropped_at", dropped.dropped_at)?;
    number("ranges", dropped.ranges.len() as u64, 1, limits::RANGES as u64)?;
    for range in &dropped.ranges {
        number("ranges.first", range.first, 1, limits::SEQUENCE)?;
        number("ranges.last", range.last, range.first, limits::SEQUENCE)?;
        number("ranges.last - ranges.first", range.last - range.first, 0, limits::RANGE)?;
    }
    Ok(())
}

fn check_report(report: &AgentReport) -> Result<(), Rejection> {
    time("at", report.at)?;
    report.due_since.map_or(Ok(()), |since| time("due_since", since))?;
    text("version", &report.version, limits::TEXT)?;
    if let Some(previous) = &report.previous {
        number("previous.highest_seq", previous.highest_seq, 0, limits::SEQUENCE)?;
    }
    number("highest_seq", report.highest_seq, 0, limits::SEQUENCE)?;
    number("pending", report.pending, 0, limits::SEQUENCE)?;
    if let Some(pending) = &report.oldest_pending {
        number("oldest_pending.seq", pending.seq, 1, limits::SEQUENCE)?;
    }
    number("outbox_bytes", report.outbox_bytes, 0, i64::MAX as u64)?;
    number("missed", report.missed.len() as u64, 0, limits::ENTRIES as u64)?;
    for (reason, count) in &report.missed {
        text("missed", reason, limits::TEXT)?;
        number("missed", *count, 0, i64::MAX as u64)?;
    }
    number("clock.jumps", report.clock.jumps, 0, i64::MAX as u64)?;
    text("configuration.revision", &report.configuration.revision, limits::TEXT)?;
    number("configuration.faults", report.configuration.faults, 0, i64::MAX as u64)?;
    if let Some(list) = &report.list {
        text("list.revision", &list.revision, limits::TEXT)?;
        number("list.monitors", list.monitors, 0, i64::MAX as u64)?;
    }
    entries("labels", &report.labels)?;
    number("monitors", report.monitors.len() as u64, 0, limits::MONITORS as u64)?;
    for monitor in &report.monitors {
        text("monitors.id", &monitor.id, limits::MONITOR)?;
        number("monitors.interval_ms", monitor.interval_ms, 1, limits::DURATION_US)?;
        entries("monitors.tags", &monitor.tags)?;
    }
    Ok(())
}
