//! Evaluates all rules over all facts: finds which alerts change, and which messages go to which receivers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::advance::{Step, Terms, advance, retire};
use super::alert::{Alert, GONE_AFTER};
use super::facts::Facts;
use super::judge::judge;
use super::silence::Silence;
use crate::config::Alerts;
use crate::config::alerts::What;
use crate::notify::Item;

/// The alerts that were known before, by the name of the rule and then by the monitor's id or the agent's name.
pub type Known = BTreeMap<String, BTreeMap<String, Alert>>;

/// The changes of one evaluation, which are written in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Alerts that are new or changed: the rule, the subject, and the alert.
    pub alerts: Vec<(String, String, Alert)>,
    /// Alerts that are to be deleted: the rule and the subject.
    pub gone: Vec<(String, String)>,
    /// The items that are to be told, by receiver.
    pub messages: BTreeMap<String, Vec<Item>>,
}

/// Evaluates all rules. `page` is the url at which people find the status pages.
pub(crate) fn evaluate(config: &Alerts, page: Option<&str>, facts: &Facts, known: &Known) -> Changes {
    let mut changes = Changes::default();
    let now = facts.as_of;
    let silence = Silence::new(config, facts);
    let none = BTreeMap::new();
    let mut judged = BTreeSet::new();
    for rule in &config.rules {
        let before = known.get(&rule.name).unwrap_or(&none);
        let receivers: Vec<&str> = config.receivers_of(rule).collect();
        let what = rule.what;
        let terms = Terms { what: what.as_str(), receivers: &receivers, lasting: lasting(what), repeat: config.repeat };
        for judgement in judge(rule, facts, |subject| before.get(subject)) {
            let subject = judgement.subject.clone();
            let previous = before.get(&subject);
            let step = advance(previous, judgement, now, terms, silence.of(rule, &subject));
            changes.take(&rule.name, page, now, &subject, previous, step);
            judged.insert((rule.name.as_str(), subject));
        }
    }
    // A collector that has just started cannot tell for how long the other collectors have not judged an alert.
    if now.duration_since(facts.heard_since) < GONE_AFTER {
        return changes;
    }
    for (rule, alerts) in known {
        let is_gone =
            |subject: &str, alert: &Alert| alert.is_gone(now) && !judged.contains(&(rule, subject.to_owned()));
        for (subject, previous) in alerts.iter().filter(|(subject, alert)| is_gone(subject, alert)) {
            let step = retire(previous, now, silence.of_gone(subject, previous));
            changes.take(rule, page, now, subject, Some(previous), step);
        }
    }
    changes
}

impl Changes {
    fn take(
        &mut self,
        rule: &str,
        page: Option<&str>,
        at: Timestamp,
        subject: &str,
        previous: Option<&Alert>,
        step: Step,
    ) {
        let Some(alert) = step.alert else {
            if previous.is_some() {
                self.gone.push((rule.to_owned(), subject.to_owned()));
            }
            return;
        };
        if let Some(kind) = step.tell {
            for receiver in &alert.receivers {
                let item = alert.item(kind, rule, subject, at, page);
                self.messages.entry(receiver.clone()).or_default().push(item);
            }
        }
        if previous != Some(&alert) {
            self.alerts.push((rule.to_owned(), subject.to_owned(), alert));
        }
    }
}

/// Returns how long trouble has to last before an alert fires.
fn lasting(what: What) -> Duration {
    match what {
        What::Down { lasting, .. } | What::Blind { lasting } => lasting,
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
