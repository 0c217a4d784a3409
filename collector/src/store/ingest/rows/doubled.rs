//! What the log says of names under which two hosts report: each name when it is found, and then ever more rarely.

use std::collections::BTreeMap;
use std::time::Instant;

use settings::LogThrottle;

/// At most this number of names is remembered. Beyond it all are said again.
const MOST: usize = 1_000;

/// When each name was said.
#[derive(Debug, Default)]
pub(crate) struct Doubled(BTreeMap<String, LogThrottle>);

impl Doubled {
    /// Says those that are to be said now.
    pub(crate) fn say(&mut self, names: Vec<String>) {
        for agent in names {
            if self.0.len() >= MOST && !self.0.contains_key(&agent) {
                self.0.clear();
            }
            let said = self.0.entry(agent.clone()).or_default();
            if let Some(times) = said.happened("doubled", 1, Instant::now()) {
                log::warn!(agent, times; "two hosts report as one agent: give each an agent.name of its own");
            }
        }
    }
}
