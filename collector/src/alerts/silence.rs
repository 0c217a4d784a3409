//! Maintenance: finds out about which monitors and agents nothing is told at the moment.

use std::collections::BTreeMap;

use super::alert::Alert;
use super::facts::Facts;
use crate::config::Alerts;
use crate::config::alerts::{Maintenance, Rule};
use crate::figures::overview::Tags;

/// The maintenance that is active at a moment.
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

    /// Returns the reason of the maintenance that silences the subject of a rule.
    pub(super) fn of(&self, rule: &Rule, subject: &str) -> Option<&'a str> {
        self.find(rule.what.is_of_monitors(), subject)
    }

    /// Returns the reason of the maintenance that silences an alert that no rule judges any more. The tags of a subject
    /// that is gone are not known. Therefore the maintenance that silenced it before silences it for as long as it is
    /// active.
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
