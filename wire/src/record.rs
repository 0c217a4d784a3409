//! Defines the record and its three kinds of content.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::report::AgentReport;

/// One Kafka message: a number, the agent that issued it, and the content. Its texts are owned, or, after decoding,
/// borrowed from the message where possible.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<T = String> {
    /// The run of an agent. It is a random UUID, and new at each start and each jump of the wall clock.
    pub epoch: Uuid,
    /// The sequence number. The numbers of an epoch begin at 1 and have no gaps.
    pub seq: u64,
    /// The agent's name.
    pub agent: T,
    /// The content of the record.
    pub content: Content<T>,
}

/// The content of a record, by its `kind`.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<T = String> {
    /// `kind: result`: one check was made.
    Result(Box<CheckResult<T>>),
    /// `kind: dropped`: numbers that will not come, and why.
    Dropped(Dropped),
    /// `kind: agent`: what the agent says about itself.
    Agent(Box<AgentReport>),
}

/// The result of one check. Each check has a result.
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
    /// The judgement of the check. The first fault decides it.
    pub outcome: Outcome,
    /// HTTP's status code of the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// HTTP's phrase for the status code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<T>,
    /// The time from the start of the check, or of its last attempt, to its judgement, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time_us: Option<u64>,
    /// The parts of that time. A check that fails still has the phases that it reached.
    #[serde(default, skip_serializing_if = "Phases::is_empty")]
    pub phases: Phases,
    /// The address and port that answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<T>,
    /// How many redirects were followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirects: Option<u32>,
    /// Whether the pattern was found. It is absent where none was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern_matched: Option<bool>,
    /// The certificate that the last TLS peer showed. It is there also when the certificate is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate<T>>,
    /// The number of decoded bytes of the body that were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
    /// Whether the body was longer than what was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    /// The number of times that the check was tried. It is absent when that is one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub attempts: u32,
    /// The monitor's tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<T, T>,
    /// The reason why the check failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<T>,
}

fn one() -> u32 {
    1
}

fn is_one(attempts: &u32) -> bool {
    *attempts == 1
}

/// The judgement of a check, as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was as expected.
    Success,
    /// The name could not be resolved.
    DnsError,
    /// The port refused the connection.
    ConnectionRefused,
    /// The address was unreachable, or the connection was reset while connecting.
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
    /// The redirects are a loop or too many, or a `Location` is missing or bad.
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
    /// The check failed by the agent's own trouble, never by the site's.
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

    /// Returns the outcome's word, as it is on the wire and in the table.
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

/// The time that each phase of a check took, in microseconds, summed over redirects. It is absent where the phase was
/// not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// The time to resolve the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<u64>,
    /// The time to connect the socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<u64>,
    /// The time of the TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<u64>,
    /// The time from the request to the first byte of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<u64>,
    /// The time from the first byte to the last one that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<u64>,
}

impl Phases {
    /// Returns whether no phase was reached.
    pub fn is_empty(&self) -> bool {
        *self == Phases::default()
    }
}

/// The certificate of a TLS peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Certificate<T = String> {
    /// The end of the certificate's validity.
    #[serde(with = "crate::time")]
    pub not_after: Timestamp,
    /// The distinguished name of its subject.
    pub subject: T,
    /// The distinguished name of its issuer.
    pub issuer: T,
    /// The earliest end among all certificates that the check relied on: those of the verified chain of each hop. It is
    /// absent when it is the same as `not_after`.
    #[serde(default, with = "crate::time::optional", skip_serializing_if = "Option::is_none")]
    pub first_end: Option<Timestamp>,
    /// The first reason that was found why the certificate was not accepted. It is absent when it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<T>,
    /// All reasons in the order in which they were found, if there is more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<T>,
}

/// Sequence numbers that will not arrive. A number that arrives although it was dropped counts as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// The dropped numbers, of this epoch or of earlier ones.
    pub ranges: Vec<Range>,
    /// The reason why they were dropped.
    pub reason: DropReason,
    /// The time at which they were dropped, by the agent's wall clock.
    #[serde(with = "crate::time")]
    pub dropped_at: Timestamp,
}

/// The sequence numbers `first..=last` of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The epoch.
    pub epoch: Uuid,
    /// The first number.
    pub first: u64,
    /// The last number, which is not below the first.
    pub last: u64,
}

/// The reason why numbers were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The outbox had reached its bound, and its policy is `drop_oldest`.
    OutboxFull,
    /// The outbox was damaged on disk.
    Damaged,
    /// The broker accepts no message of that size.
    TooLarge,
    /// The disk refused to write for so long that memory could hold no more.
    DiskFailed,
}

impl DropReason {
    /// Returns the reason's word, as it is on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            DropReason::OutboxFull => "outbox_full",
            DropReason::Damaged => "damaged",
            DropReason::TooLarge => "too_large",
            DropReason::DiskFailed => "disk_failed",
        }
    }
}
