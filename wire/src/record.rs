//! The record and its three kinds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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

/// What an agent says of itself: at its start, on reload, every minute, and at a clean stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentReport {
    /// The occasion.
    pub event: AgentEvent,
    /// When, by the agent's wall clock.
    #[serde(with = "crate::time")]
    pub at: Timestamp,
    /// The agent's version.
    pub version: String,
    /// Where the epoch before this one ended, as the outbox knows it; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// The highest number that was durable in this epoch when the report was made (0: none); its own is higher.
    pub highest_seq: u64,
    /// Records that waited in the outbox, of all epochs.
    pub pending: u64,
    /// The oldest of them: everything before it had been acknowledged by Kafka. Absent when none waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_pending: Option<Pending>,
    /// The outbox's size on disk.
    pub outbox_bytes: u64,
    /// Slots without a check since the start, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missed: BTreeMap<String, u64>,
    /// What the wall clock did.
    #[serde(default)]
    pub clock: Clock,
    /// What runs.
    #[serde(default)]
    pub configuration: Configuration,
    /// The agent's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// At start and reload: what should arrive from now on. A long list goes into several reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub monitors: Vec<MonitorDue>,
    /// Since when they are due, where the reports that said so at that time were dropped and this one says it again.
    /// Who doesn't know this field takes them to be due from `at` on.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::optional")]
    pub due_since: Option<Timestamp>,
}

/// The occasion of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentEvent {
    /// The first record of an epoch, or what that had said once more.
    Start,
    /// The configuration was read anew, or what was said then once more.
    Reload,
    /// A minute passed.
    Periodic,
    /// A clean stop.
    Stop,
}

impl AgentEvent {
    /// Whether a report of it says which monitors are due, be it none.
    pub const fn lists_monitors(self) -> bool {
        matches!(self, AgentEvent::Start | AgentEvent::Reload)
    }
}

/// The end of the epoch before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// That epoch.
    pub epoch: Uuid,
    /// The highest number that it issued.
    pub highest_seq: u64,
}

/// A record that waits in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its epoch.
    pub epoch: Uuid,
    /// Its number.
    pub seq: u64,
}

/// What an agent's wall clock did since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// How many times it jumped against the monotonic clock.
    #[serde(default)]
    pub jumps: u64,
    /// The last jump, in microseconds; negative is backwards.
    #[serde(default)]
    pub last_jump_us: i64,
}

/// What an agent's configuration is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Changes whenever what runs changes.
    #[serde(default)]
    pub revision: String,
    /// Entries that were skipped since they are wrong.
    #[serde(default)]
    pub faults: u64,
}

/// A monitor of an agent's schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorDue {
    /// The monitor's id.
    pub id: String,
    /// Its interval, in milliseconds.
    pub interval_ms: u64,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}
