//! What the tables contain at one moment, as far as rules need it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::figures::agent::AgentRow;
use crate::figures::looks::look::Look;
use crate::figures::looks::observation::Observation;
use crate::figures::looks::state::State;
use crate::figures::overview::Tags;

/// What is known at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The moment, by the database's clock.
    pub as_of: Timestamp,
    /// The moment since which this collector would have heard of every agent that is not silent.
    pub heard_since: Timestamp,
    /// The monitors that are in the configuration of at least one agent.
    pub monitors: Vec<Monitor>,
    /// All agents.
    pub agents: Vec<AgentRow>,
    /// Set while Kafka is away from this collector; none while this collector reaches Kafka.
    pub kafka: Option<Away>,
}

/// The facts about a Kafka that is away from this collector.
#[derive(Clone, Debug, PartialEq)]
pub struct Away {
    /// The moment since which Kafka is away, by the database's clock.
    pub since: Timestamp,
    /// The reason, if it is known.
    pub reason: Option<String>,
}

/// What is known of a monitor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Monitor {
    /// The id of the monitor.
    pub id: String,
    /// The name of the monitor.
    pub name: String,
    /// The url of the monitor, from its latest definition.
    pub url: String,
    /// The tags of the monitor, from all agents together.
    pub tags: Tags,
    /// What each agent that is to look at the monitor observed.
    pub observations: Vec<Observation>,
    /// How long the answers take in microseconds, for each rule that asks for it, by the name of the rule.
    pub times_us: BTreeMap<String, i64>,
}

impl Monitor {
    /// Returns the present state of the monitor.
    pub fn state(&self) -> State {
        State::new(self.observations.clone())
    }

    /// Returns the observations of the agents that see the monitor fail.
    pub fn failing(&self) -> impl Iterator<Item = &Observation> {
        self.observations.iter().filter(|observation| observation.latest.look == Look::Failure)
    }
}
