//! What the tables say of one moment, as far as rules ask for it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::figures::agent::AgentRow;
use crate::figures::look::Look;
use crate::figures::observation::Observation;
use crate::figures::overview::Tags;
use crate::figures::state::State;

/// What is known at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The moment, by the database's clock.
    pub as_of: Timestamp,
    /// Since when this collector would have heard of agents that are not silent.
    pub heard_since: Timestamp,
    /// Those that are in some agent's configuration.
    pub monitors: Vec<Monitor>,
    /// All of them.
    pub agents: Vec<AgentRow>,
    /// That Kafka is away from this collector; none: it is there.
    pub kafka: Option<Away>,
}

/// Kafka is away from this collector.
#[derive(Clone, Debug, PartialEq)]
pub struct Away {
    /// Since when, by the database's clock.
    pub since: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

/// What is known of a monitor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Monitor {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its url, as its latest definition has it.
    pub url: String,
    /// Its tags, those of all agents together.
    pub tags: Tags,
    /// By each agent that is to look at it.
    pub observations: Vec<Observation>,
    /// For the rules that ask how long its answers take, by their names: microseconds.
    pub times_us: BTreeMap<String, i64>,
}

impl Monitor {
    /// How it is now.
    pub fn state(&self) -> State {
        State::new(self.observations.clone())
    }

    /// Who sees it fail.
    pub fn failing(&self) -> impl Iterator<Item = &Observation> {
        self.observations.iter().filter(|observation| observation.latest.look == Look::Failure)
    }
}
