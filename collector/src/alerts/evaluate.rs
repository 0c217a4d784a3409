//! All rules over all facts: what changes, and what is to be told to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::advance::{Alert, Step, advance, retire};
use super::facts::Facts;
use super::judge::judge;
use super::message::Item;
use crate::config::Alerts;
use crate::config::alerts::{Maintenance, Rule, What};

/// What was known before, by rule and then by the monitor's id or the agent's name.
pub type Known = BTreeMap<String, BTreeMap<String, Alert>>;

/// What is to be written, all at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Alerts that are new or changed: rule, subject, and how it stands.
    pub alerts: Vec<(String, String, Alert)>,
    /// Of what nothing is to be known any more: rule and subject.
    pub gone: Vec<(String, String)>,
    /// What is to be told, by receiver.
    pub messages: BTreeMap<String, Vec<Item>>,
}

/// Evaluates all rules. `page` is the url at which people find our pages.
pub(super) fn evaluate(config: &Alerts, page: Option<&str>, facts: &Facts, known: &Known) -> Changes {
    let mut changes = Changes::default();
    let none = BTreeMap::new();
    for rule in &config.rules {
        let before = known.get(&rule.name).unwrap_or(&none);
        let mut judged = BTreeSet::new();
        for judgement in judge(rule, facts, |subject| before.get(subject)) {
            let subject = judgement.subject.clone();
            let previous = before.get(&subject);
            let silenced = silenced(config, rule, facts, &subject);
            let step = advance(previous, judgement, facts.as_of, lasting(rule.what), silenced, config.repeat);
            changes.take(config, rule, page, facts.as_of, &subject, previous, step);
            judged.insert(subject);
        }
        for (subject, previous) in before.iter().filter(|(subject, _)| !judged.contains(*subject)) {
            let step = retire(previous, facts.as_of);
            changes.take(config, rule, page, facts.as_of, subject, Some(previous), step);
        }
    }
    for (rule, alerts) in known.iter().filter(|(name, _)| !config.rules.iter().any(|rule| rule.name == **name)) {
        changes.gone.extend(alerts.keys().map(|subject| (rule.clone(), subject.clone())));
    }
    changes
}

impl Changes {
    #[allow(clippy::too_many_arguments)] // what a step is of
    fn take(
        &mut self,
        config: &Alerts,
        rule: &Rule,
        page: Option<&str>,
        at: Timestamp,
        subject: &str,
        previous: Option<&Alert>,
        step: Step,
    ) {
        let Some(alert) = step.alert else {
            if previous.is_some() {
                self.gone.push((rule.name.clone(), subject.to_owned()));
            }
            return;
        };
        if let Some(kind) = step.tell {
            for receiver in config.receivers_of(rule) {
                let item = Item::new(kind, rule, subject, &alert, at, page);
                self.messages.entry(receiver.to_owned()).or_default().push(item);
            }
        }
        if previous != Some(&alert) {
            self.alerts.push((rule.name.clone(), subject.to_owned(), alert));
        }
    }
}

/// How long trouble has to last.
fn lasting(what: What) -> Duration {
    match what {
        What::Down { lasting, .. } => lasting,
        _ => Duration::ZERO,
    }
}

/// The maintenance that is on.
fn silenced<'a>(config: &'a Alerts, rule: &Rule, facts: &Facts, subject: &str) -> Option<&'a str> {
    let mut on = config.maintenance.iter().filter(|window| window.when.covers(facts.as_of)).peekable();
    on.peek()?;
    let tags = facts.monitors.iter().find(|monitor| monitor.id == subject).map(|monitor| &monitor.tags);
    let covers = |window: &&Maintenance| match tags.filter(|_| rule.what.is_of_monitors()) {
        Some(tags) => window.covers_monitor(subject, tags),
        None => window.covers_agent(subject),
    };
    on.find(covers).map(|window| window.reason.as_str())
}

#[cfg(test)]
mod tests;
