//! What pages and programs are shown about an agent.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// An agent, as the tables know it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentRow {
    /// The name of the agent.
    pub name: String,
    /// The version of the agent; none when it never reported.
    pub version: Option<String>,
    /// The labels of the agent.
    pub labels: BTreeMap<String, String>,
    /// The moment when the agent was first heard of, by the database's clock. Only alerts use it.
    #[serde(skip)]
    pub first_seen: Option<Timestamp>,
    /// The moment when its latest report was stored, by the database's clock.
    pub last_seen: Option<Timestamp>,
    /// The moment when it made its latest report, by its own clock.
    pub last_report: Option<Timestamp>,
    /// Whether the agent reports every minute, has said that it stops, is silent although it has not, or is gone for
    /// good.
    pub presence: Presence,
    /// The moment since which the agent is gone, when a person said so.
    pub retired_since: Option<Timestamp>,
    /// Whether two hosts report under its name.
    pub doubled: bool,
    /// The number of monitors that it is to check.
    pub monitors: i64,
    /// The number of records that waited in its outbox at its latest report.
    pub pending: i64,
    /// The number of sequence numbers that it declared dropped in all its runs.
    pub dropped: i64,
    /// The number of its results that were set aside in all its runs.
    pub rejected: i64,
    /// The size of its outbox in bytes at its latest report.
    pub outbox_bytes: Option<i64>,
    /// How far its clock is behind the database's at least, in microseconds. A negative value means that it is ahead.
    /// Zero means that it may be right.
    pub clock_behind_us: i64,
    /// The number of times that its clock jumped since its start.
    pub clock_jumps: i64,
    /// The last jump in microseconds. A negative value means that it went backwards.
    pub last_jump_us: i64,
    /// The number of entries of its configuration that were skipped because they are wrong.
    pub configuration_faults: i64,
    /// The number of slots without a check since its start, by reason.
    pub missed: BTreeMap<String, i64>,
}

/// How an agent is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// The agent reports.
    Running,
    /// The agent said that it stops.
    Stopped,
    /// Nothing was heard of the agent for three minutes, and it has not said that it stops.
    Silent,
    /// A person said that the agent is gone, and it has made no report since.
    Retired,
}
