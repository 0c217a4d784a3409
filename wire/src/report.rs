//! What an agent says of itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// Which list of monitors was said last, so that it shows where one did not arrive. Older agents leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<List>,
}

/// A list of monitors in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The revision of the configuration that it is of.
    pub revision: String,
    /// How many monitors it has, over all reports that it goes into.
    pub monitors: u64,
}

/// The occasion of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentEvent {
    /// The first record of an epoch, or what that had said once more.
    Start,
    /// The configuration was read again, or what was said then once more.
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
