//! Logs names under which two hosts report. Each name is logged when it is found, and then more and more rarely.

use std::collections::BTreeMap;
use std::time::Instant;

use settings::LogThrottle;

/// The largest number of names that are remembered. Above it, all names are forgotten and logged again.
const MOST: usize = 1_000;

/// When each name was logged.
#[derive(Debug, Default)]
pub(crate) struct Doubled(BTreeMap<String, LogThrottle>);

impl Doubled {
    /// Logs those of the names that are to be logged now.
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
