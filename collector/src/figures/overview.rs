//! What pages and programs are shown of all monitors, in short.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::counts::Counts;
use super::period::Period;
use super::state::State;
use super::{ResponseTimes, Window};

/// Tags of a monitor, by name.
pub type Tags = BTreeMap<String, String>;

/// All monitors in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// The moment that all of it describes.
    pub as_of: Timestamp,
    /// How far back.
    pub period: Period,
    /// From the begin of the oldest bar up to that moment.
    pub window: Window,
    /// By name.
    pub monitors: Vec<Summary>,
}

/// A monitor in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its url, as its latest definition has it.
    pub url: String,
    /// Its tags, those of all agents that are to look at it together.
    pub tags: Tags,
    /// How it is now.
    pub state: State,
    /// Whether no agent is to look at it any more: it went from every configuration.
    pub is_retired: bool,
    /// Of the whole window.
    pub counts: Counts,
    /// Of the whole window.
    pub times: ResponseTimes,
    /// Oldest first; all monitors have the same ones.
    pub bars: Vec<Bar>,
}

/// A monitor in one hour or day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// Its first moment.
    pub since: Timestamp,
    /// What was seen in it; empty where nothing was due.
    #[serde(flatten)]
    pub counts: Counts,
}
