//! The `alerts.maintenance` section: times in which nothing is told, because the trouble is known.

use std::collections::BTreeMap;

use jiff::Timestamp;
use settings::{Section, Wrong};

use super::{Selection, Weekly};

/// A time in which nothing is told about some monitors and agents.
#[derive(Clone, Debug)]
pub struct Maintenance {
    /// When the maintenance is.
    pub when: When,
    /// The monitors about which nothing is told.
    pub monitors: Selection,
    /// The names of the agents about which nothing is told.
    pub agents: Vec<String>,
    /// The reason, for people.
    pub reason: String,
    /// Whether it covers everything, because it names neither monitors nor agents.
    is_of_all: bool,
}

/// When a maintenance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// It lasts from a moment up to another one.
    Once(Timestamp, Timestamp),
    /// It comes again each week.
    Weekly(Weekly),
}

impl Maintenance {
    pub(crate) fn of(section: &mut Section<'_>) -> Maintenance {
        let is_of_all = !section.has("monitors") && !section.has("agents");
        for key in ["from", "until"] {
            section.require(key, "write a time such as 2026-11-24T22:00:00Z, or with `days` such as 22:00");
        }
        Maintenance {
            when: if section.has("days") { When::Weekly(Weekly::of(section)) } else { once(section) },
            monitors: section.section("monitors", Selection::of),
            agents: section.text_items("agents").unwrap_or_default(),
            reason: section.text_within("reason", 1_000).unwrap_or_else(|| "maintenance".into()),
            is_of_all,
        }
    }

    /// Returns whether the maintenance covers a monitor.
    pub fn covers_monitor(&self, id: &str, tags: &BTreeMap<String, String>) -> bool {
        self.is_of_all || !self.monitors.is_all() && self.monitors.has(id, tags)
    }

    /// Returns whether the maintenance covers an agent.
    pub fn covers_agent(&self, name: &str) -> bool {
        self.is_of_all || self.agents.iter().any(|agent| agent == name)
    }
}

impl When {
    /// Returns whether a moment is in it.
    pub fn covers(&self, at: Timestamp) -> bool {
        match self {
            When::Once(from, until) => (*from..*until).contains(&at),
            When::Weekly(weekly) => weekly.covers(at),
        }
    }
}

fn once(section: &mut Section<'_>) -> When {
    if section.value("timezone").is_some() {
        let mend = "give `days`, or leave it out and write times with their offset: 2026-11-24T22:00:00+01:00";
        section.fault("timezone", "has a meaning beside `days` alone", mend);
    }
    let moment = |text: &str| {
        let mend = "write a time such as 2026-11-24T22:00:00Z, or give `days`";
        text.parse::<Timestamp>().map_err(|_| Wrong::new(format!("{text:?} is no time"), mend))
    };
    let (from, until) = (section.parse("from", moment), section.parse("until", moment));
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        section.fault("until", "is not after from", "let it end after its begin");
    }
    When::Once(from.unwrap_or_default(), until.unwrap_or_default())
}
