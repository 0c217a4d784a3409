//! The `alerts` section: what is told, to which receivers, and when nothing is told.

use std::collections::BTreeSet;
use std::time::Duration;

use settings::{Section, Wrong};

mod maintenance;
mod receiver;
mod rule;
mod weekly;

pub use maintenance::{Maintenance, When};
pub use receiver::Receiver;
pub(super) use rule::words;
pub use rule::{Rule, Selection, What};
pub use weekly::Weekly;

const LONGEST_NAME: usize = 100;

/// The rules, the receivers, and the times in which nothing is told.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    /// The rules, which say what is told.
    pub rules: Vec<Rule>,
    /// The receivers that are told.
    pub receivers: Vec<Receiver>,
    /// The time after which an alert that still fires is told again; none when it is never told again.
    pub repeat: Option<Duration>,
    /// How long a message waits for further alerts that it can tell, too.
    pub group_wait: Duration,
    /// The times in which nothing is told about some monitors and agents.
    pub maintenance: Vec<Maintenance>,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Alerts {
    pub(super) fn of(section: &mut Section<'_>) -> Alerts {
        let receivers: Vec<Receiver> = section.sections("receivers", Receiver::of);
        let rules: Vec<Rule> = section.sections("rules", Rule::of);
        let alerts = Alerts {
            repeat: section.parse("repeat", repeat).unwrap_or(Some(Duration::from_secs(4 * 3_600))),
            group_wait: section.duration("group_wait", Duration::ZERO..=DAY / 24).unwrap_or(Duration::from_secs(30)),
            maintenance: section.sections("maintenance", Maintenance::of),
            rules,
            receivers,
        };
        alerts.check_names(section);
        alerts
    }

    fn check_names(&self, section: &mut Section<'_>) {
        let mut names = BTreeSet::new();
        for (index, receiver) in self.receivers.iter().enumerate() {
            if !names.insert(receiver.name.as_str()) {
                section.fault(&format!("receivers[{}].name", index + 1), "stands there twice", "give each its own");
            }
        }
        let known = || names.iter().copied().collect::<Vec<_>>().join(", ");
        let mut rules = BTreeSet::new();
        for (index, rule) in self.rules.iter().enumerate() {
            if !rules.insert(rule.name.as_str()) {
                section.fault(&format!("rules[{}].name", index + 1), "stands there twice", "give each its own");
            }
            for name in rule.receivers.iter().filter(|name| !names.contains(name.as_str())) {
                let problem = format!("{name:?} is no receiver");
                let mend = match names.is_empty() {
                    true => "describe it under alerts.receivers".into(),
                    false => format!("write one of: {}", known()),
                };
                section.fault(&format!("rules[{}].receivers", index + 1), problem, mend);
            }
        }
    }

    /// Returns the receivers of a rule: those that it names, or all receivers when it names none.
    pub fn receivers_of<'a>(&'a self, rule: &'a Rule) -> impl Iterator<Item = &'a str> {
        let all = self.receivers.iter().map(|receiver| receiver.name.as_str());
        all.filter(|name| rule.receivers.is_empty() || rule.receivers.iter().any(|wanted| wanted == name))
    }
}

/// Reads a duration of at least a minute, or `none`.
fn repeat(text: &str) -> Result<Option<Duration>, Wrong> {
    if text == "none" {
        return Ok(None);
    }
    let mend = "write none, or a duration from 1m to 30d, such as 4h";
    let duration = settings::duration(&text.into()).map_err(|problem| Wrong::new(problem, mend))?;
    match (DAY / 1_440..=DAY * 30).contains(&duration) {
        true => Ok(Some(duration)),
        false => Err(Wrong::new(format!("{text:?} is out of bounds"), mend)),
    }
}

/// Reads the name of a rule or a receiver.
fn name(section: &mut Section<'_>) -> String {
    section.require("name", "give it a name");
    let name = |text: &str| match (text.len() > LONGEST_NAME, text.chars().any(char::is_control)) {
        (true, _) => Err(Wrong::new(format!("has {} bytes", text.len()), format!("keep it within {LONGEST_NAME}"))),
        (_, true) => Err(Wrong::new("holds a control character", "remove it")),
        _ => Ok(text.to_owned()),
    };
    section.parse("name", name).unwrap_or_default()
}

#[cfg(test)]
mod tests;
