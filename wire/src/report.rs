//! Defines the report that an agent makes about itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The report of an agent about itself: at its start, on reload, every minute, and at a clean stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentReport {
    /// The occasion.
    pub event: AgentEvent,
    /// The time, by the agent's wall clock.
    #[serde(with = "crate::time")]
    pub at: Timestamp,
    /// The agent's version.
    pub version: String,
    /// Where the epoch before this one ended, as the outbox knows it. It is absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// The highest number that was durable in this epoch when the report was made (0: none). The report's own number is
    /// higher.
    pub highest_seq: u64,
    /// The number of records that waited in the outbox, of all epochs.
    pub pending: u64,
    /// The oldest record that waited: everything before it had been acknowledged by Kafka. It is absent when none
    /// waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_pending: Option<Pending>,
    /// The size of the outbox on disk.
    pub outbox_bytes: u64,
    /// The number of slots without a check since the start, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missed: BTreeMap<String, u64>,
    /// The changes of the wall clock.
    #[serde(default)]
    pub clock: Clock,
    /// The configuration with which the agent runs.
    #[serde(default)]
    pub configuration: Configuration,
    /// The agent's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The monitors from which results should arrive from now on, at start and reload. A long list is split over
    /// several reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub monitors: Vec<MonitorDue>,
    /// The time since which the monitors are due. It is there when the reports of that time were dropped and this one
    /// repeats them. A reader that does not know this field takes the monitors to be due from `at` on.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::optional")]
    pub due_since: Option<Timestamp>,
    /// The list of monitors that was reported last, so that a reader notices a list that did not arrive. Older agents
    /// leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<List>,
}

/// A list of monitors in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The revision of the configuration that the list belongs to.
    pub revision: String,
    /// The number of its monitors, over all reports that it is split over.
    pub monitors: u64,
}

/// The occasion of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentEvent {
    /// The first record of an epoch, or a repetition of its list of monitors.
    Start,
    /// The configuration was read again, or the list of that time is repeated.
    Reload,
    /// A minute passed.
    Periodic,
    /// The agent stops cleanly.
    Stop,
}

impl AgentEvent {
    /// Returns whether a report of this event has a list of the monitors that are due. The list may be empty.
    pub const fn lists_monitors(self) -> bool {
        matches!(self, AgentEvent::Start | AgentEvent::Reload)
    }
}

/// The end of the epoch before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The epoch before.
    pub epoch: Uuid,
    /// The highest number that it issued.
    pub highest_seq: u64,
}

/// The position of a record that waits in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The epoch of the record.
    pub epoch: Uuid,
    /// The sequence number of the record.
    pub seq: u64,
}

/// The changes of an agent's wall clock since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The number of times that it jumped against the monotonic clock.
    #[serde(default)]
    pub jumps: u64,
    /// The last jump, in microseconds. A negative value is a jump backwards.
    #[serde(default)]
    pub last_jump_us: i64,
}

/// The configuration of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The revision, which changes whenever what runs changes.
    #[serde(default)]
    pub revision: String,
    /// The number of entries that were skipped because they are wrong.
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
