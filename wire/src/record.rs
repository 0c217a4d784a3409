//! The record and its three kinds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::report::AgentReport;

/// One Kafka message: a number, the agent that issued it, and what it says. Its texts are its own, or, as they are
/// decoded, still those of the message.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<T = String> {
    /// One run of an agent: random, new at each start and each jump of the wall clock.
    pub epoch: Uuid,
    /// Dense within the epoch, from 1.
    pub seq: u64,
    /// The agent's name.
    pub agent: T,
    /// What happened.
    pub content: Content<T>,
}

/// What a record says, by its `kind`.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<T = String> {
    /// `kind: result`: one check was made.
    Result(Box<CheckResult<T>>),
    /// `kind: dropped`: numbers that will not come, and why.
    Dropped(Dropped),
    /// `kind: agent`: what the agent says of itself.
    Agent(Box<AgentReport>),
}

/// The result of one check. There is no check without one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de> + Ord"))]
pub struct CheckResult<T = String> {
    /// The monitor's id, unique in its agent's configuration.
    pub monitor: T,
    /// The monitor's name, for people.
    pub name: T,
    /// The url that was checked, without user and password.
    pub url: T,
    /// The pattern that was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<T>,
    /// The slot of the grid that this check filled, by the wall clock.
    #[serde(with = "crate::time")]
    pub scheduled_at: Timestamp,
    /// When the check began, by the wall clock.
    #[serde(with = "crate::time")]
    pub checked_at: Timestamp,
    /// The verdict: the first cause wins.
    pub outcome: Outcome,
    /// HTTP's status code of the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// HTTP's phrase for the status code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<T>,
    /// From the start of the check, or of its last attempt, to its verdict, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time_us: Option<u64>,
    /// Where that time went. A check that fails still has the phases that it reached.
    #[serde(default, skip_serializing_if = "Phases::is_empty")]
    pub phases: Phases,
    /// Address and port that answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<T>,
    /// How many redirects were followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirects: Option<u32>,
    /// Whether the pattern was found; absent where none was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern_matched: Option<bool>,
    /// The certificate that the last TLS peer showed, also a bad one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate<T>>,
    /// Decoded bytes of the body that were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
    /// Whether the body was longer than what was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    /// How many times the check was tried; absent means once.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub attempts: u32,
    /// The monitor's tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<T, T>,
    /// Why the check failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<T>,
}

fn one() -> u32 {
    1
}

fn is_one(attempts: &u32) -> bool {
    *attempts == 1
}

/// The verdict of a check, one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that was expected held.
    Success,
    /// The name could not be resolved.
    DnsError,
    /// The port refused.
    ConnectionRefused,
    /// Unreachable, or reset while connecting.
    ConnectionFailed,
    /// The TLS handshake failed.
    TlsError,
    /// The peer's certificate was not accepted.
    CertificateError,
    /// The deadline passed.
    Timeout,
    /// The connection ended before the answer was whole.
    ConnectionClosed,
    /// The answer was not HTTP.
    ProtocolError,
    /// A loop, too many redirects, or no or a bad `Location`.
    RedirectError,
    /// The status code was not an expected one.
    StatusMismatch,
    /// The body's coding or length was wrong.
    BodyError,
    /// The pattern was not found.
    PatternMismatch,
    /// The answer took longer than `max_response_time`.
    TooSlow,
    /// The certificate ends within `certificate_valid_for`.
    CertificateExpiring,
    /// The agent's own trouble, never the site's.
    AgentError,
}

impl Outcome {
    /// All outcomes, in the order of the check.
    pub const ALL: [Outcome; 16] = [
        Outcome::Success,
        Outcome::DnsError,
        Outcome::ConnectionRefused,
        Outcome::ConnectionFailed,
        Outcome::TlsError,
        Outcome::CertificateError,
        Outcome::Timeout,
        Outcome::ConnectionClosed,
        Outcome::ProtocolError,
        Outcome::RedirectError,
        Outcome::StatusMismatch,
        Outcome::BodyError,
        Outcome::PatternMismatch,
        Outcome::TooSlow,
        Outcome::CertificateExpiring,
        Outcome::AgentError,
    ];

    /// The outcome's word, as on the wire and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::DnsError => "dns_error",
            Outcome::ConnectionRefused => "connection_refused",
            Outcome::ConnectionFailed => "connection_failed",
            Outcome::TlsError => "tls_error",
            Outcome::CertificateError => "certificate_error",
            Outcome::Timeout => "timeout",
            Outcome::ConnectionClosed => "connection_closed",
            Outcome::ProtocolError => "protocol_error",
            Outcome::RedirectError => "redirect_error",
            Outcome::StatusMismatch => "status_mismatch",
            Outcome::BodyError => "body_error",
            Outcome::PatternMismatch => "pattern_mismatch",
            Outcome::TooSlow => "too_slow",
            Outcome::CertificateExpiring => "certificate_expiring",
            Outcome::AgentError => "agent_error",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How long each phase of a check took, in microseconds, summed over redirects; absent where it was not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// Resolving the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<u64>,
    /// Connecting the socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<u64>,
    /// The TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<u64>,
    /// From the request to the first byte of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<u64>,
    /// From the first byte to the last that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<u64>,
}

impl Phases {
    /// Whether no phase was reached.
    pub fn is_empty(&self) -> bool {
        *self == Phases::default()
    }
}

/// A TLS peer's certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Certificate<T = String> {
    /// The end of its validity.
    #[serde(with = "crate::time")]
    pub not_after: Timestamp,
    /// Its subject's distinguished name.
    pub subject: T,
    /// Its issuer's distinguished name.
    pub issuer: T,
    /// The earliest end among all certificates that the check relied on: those of the verified chain of each hop. Absent
    /// where that is `not_after`.
    #[serde(default, with = "crate::time::optional", skip_serializing_if = "Option::is_none")]
    pub first_end: Option<Timestamp>,
    /// Why it was not accepted: the first reason that was found. Absent when it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<T>,
    /// All reasons in the order in which they were found, where there is more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<T>,
}

/// Numbers that will not come. What arrives all the same counts as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// Which numbers, of this epoch or earlier ones.
    pub ranges: Vec<Range>,
    /// Why.
    pub reason: DropReason,
    /// When, by the agent's wall clock.
    #[serde(with = "crate::time")]
    pub dropped_at: Timestamp,
}

/// Sequence numbers `first..=last` of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The epoch.
    pub epoch: Uuid,
    /// The first number.
    pub first: u64,
    /// The last number, not before the first.
    pub last: u64,
}

/// Why numbers were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The outbox was at its bound and its policy is `drop_oldest`.
    OutboxFull,
    /// The outbox was damaged on disk.
    Damaged,
    /// The broker takes no message of that size.
    TooLarge,
    /// The disk refused for longer than memory could hold.
    DiskFailed,
}

impl DropReason {
    /// The reason's word, as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            DropReason::OutboxFull => "outbox_full",
            DropReason::Damaged => "damaged",
            DropReason::TooLarge => "too_large",
            DropReason::DiskFailed => "disk_failed",
        }
    }
}
