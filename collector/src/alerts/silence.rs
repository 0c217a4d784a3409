//! Of what a maintenance lets nothing be told.

use std::collections::BTreeMap;

use super::alert::Alert;
use super::facts::Facts;
use crate::config::Alerts;
use crate::config::alerts::{Maintenance, Rule};
use crate::figures::overview::Tags;

/// The maintenance that is on at a moment.
pub(super) struct Silence<'a> {
    on: Vec<&'a Maintenance>,
    tags: BTreeMap<&'a str, &'a Tags>,
}

impl<'a> Silence<'a> {
    pub(super) fn new(config: &'a Alerts, facts: &'a Facts) -> Silence<'a> {
        let on: Vec<_> = config.maintenance.iter().filter(|window| window.when.covers(facts.as_of)).collect();
        let monitors = facts.monitors.iter().filter(|_| !on.is_empty());
        Silence { tags: monitors.map(|monitor| (monitor.id.as_str(), &monitor.tags)).collect(), on }
    }

    /// The reason for which nothing is told of what a rule is about.
    pub(super) fn of(&self, rule: &Rule, subject: &str) -> Option<&'a str> {
        self.find(rule.what.is_of_monitors(), subject)
    }

    /// The reason for which nothing is told of what no rule says anything of any more. The tags of what is gone are not
    /// known: what silenced it then, does as long as it is on.
    pub(super) fn of_gone(&self, subject: &str, alert: &Alert) -> Option<&'a str> {
        let before = alert.silenced.as_deref();
        let still = || self.on.iter().map(|window| window.reason.as_str()).find(|reason| Some(*reason) == before);
        self.find(alert.is_of_monitor(), subject).or_else(still)
    }

    fn find(&self, is_monitor: bool, subject: &str) -> Option<&'a str> {
        let none = Tags::new();
        let covers = |window: &&&Maintenance| match is_monitor {
            true => window.covers_monitor(subject, self.tags.get(subject).copied().unwrap_or(&none)),
            false => window.covers_agent(subject),
        };
        self.on.iter().find(covers).map(|window| window.reason.as_str())
    }
}
