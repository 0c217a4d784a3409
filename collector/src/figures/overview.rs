//! What pages and programs are shown about all monitors, in short.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::counts::Counts;
use super::looks::state::State;
use super::period::Period;
use super::{ResponseTimes, Window};

/// The tags of a monitor, by name.
pub type Tags = BTreeMap<String, String>;

/// All monitors in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// The moment to which all figures refer.
    pub as_of: Timestamp,
    /// How far back the page looks.
    pub period: Period,
    /// The window from the beginning of the oldest bar up to that moment.
    pub window: Window,
    /// The monitors, sorted by name.
    pub monitors: Vec<Summary>,
}

/// A monitor in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The id of the monitor.
    pub id: String,
    /// The name of the monitor.
    pub name: String,
    /// The url of the monitor, from its latest definition.
    pub url: String,
    /// The tags of the monitor, from all agents that are to look at it together.
    pub tags: Tags,
    /// The present state of the monitor.
    pub state: State,
    /// Whether no agent is to look at it any more, because it is gone from every configuration.
    pub is_retired: bool,
    /// The counts of the whole window.
    pub counts: Counts,
    /// The response times of the whole window.
    pub times: ResponseTimes,
    /// The bars, oldest first. All monitors have bars with the same edges.
    pub bars: Vec<Bar>,
}

/// A bar: a monitor in one hour or day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// The first moment of the bar.
    pub since: Timestamp,
    /// What was seen in it, which is empty when nothing was due.
    #[serde(flatten)]
    pub counts: Counts,
}
