//! What pages and programs are shown of an agent.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// An agent, as the tables know it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentRow {
    /// Its name.
    pub name: String,
    /// Its version, when it reported.
    pub version: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it was first heard of, by the database's clock; for alerts alone.
    #[serde(skip)]
    pub first_seen: Option<Timestamp>,
    /// When its latest report was stored, by the database's clock.
    pub last_seen: Option<Timestamp>,
    /// When it made its latest report, by its own clock.
    pub last_report: Option<Timestamp>,
    /// Whether it reports every minute, has said that it stops, is silent though it has not, or is gone for good.
    pub presence: Presence,
    /// Since when it is gone, where somebody said so.
    pub retired_since: Option<Timestamp>,
    /// Whether two hosts report under its name.
    pub doubled: bool,
    /// Monitors that it is to check.
    pub monitors: i64,
    /// Records that waited in its outbox at its latest report.
    pub pending: i64,
    /// Numbers that it declared dropped, of all its runs.
    pub dropped: i64,
    /// Results that were set aside, of all its runs.
    pub rejected: i64,
    /// Bytes of its outbox at its latest report.
    pub outbox_bytes: Option<i64>,
    /// How far its clock is behind the database's at least, in microseconds; negative: ahead. Zero where it may be right.
    pub clock_behind_us: i64,
    /// How many times its clock jumped since its start.
    pub clock_jumps: i64,
    /// The last jump in microseconds; negative is backwards.
    pub last_jump_us: i64,
    /// Entries of its configuration that were skipped since they are wrong.
    pub configuration_faults: i64,
    /// Slots without a check since its start, by reason.
    pub missed: BTreeMap<String, i64>,
}

/// Whether an agent is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It reports.
    Running,
    /// It said that it stops.
    Stopped,
    /// It said nothing for three minutes, and has not said that it stops.
    Silent,
    /// Somebody said that it is gone, and it has made no report since.
    Retired,
}
