//! When nothing is told, since it is known.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::Offset;
use settings::{Section, Wrong};

use super::Selection;

/// A time in which nothing is told of some monitors and agents.
#[derive(Clone, Debug)]
pub struct Maintenance {
    /// When.
    pub when: When,
    /// Of which monitors.
    pub monitors: Selection,
    /// Of which agents, by name.
    pub agents: Vec<String>,
    /// Why, for people.
    pub reason: String,
    /// Whether it is of everything, as neither monitors nor agents are named.
    is_of_all: bool,
}

/// When it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// From a moment up to another one.
    Once(Timestamp, Timestamp),
    /// On some days, from a minute of the day (UTC) up to another one, on the next day when that is not later.
    Weekly(Vec<Weekday>, i16, i16),
}

const DAY: i16 = 24 * 60;
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Maintenance {
    pub(crate) fn of(section: &mut Section<'_>) -> Maintenance {
        let is_of_all = !section.has("monitors") && !section.has("agents");
        for key in ["from", "until"] {
            section.require(key, "write a time such as 2026-11-24T22:00:00Z, or with `days` such as 22:00");
        }
        Maintenance {
            when: if section.has("days") { weekly(section) } else { once(section) },
            monitors: section.section("monitors", Selection::of),
            agents: section.text_items("agents").unwrap_or_default(),
            reason: section.text_within("reason", 1_000).unwrap_or_else(|| "maintenance".into()),
            is_of_all,
        }
    }

    /// Whether it is of a monitor, too.
    pub fn covers_monitor(&self, id: &str, tags: &BTreeMap<String, String>) -> bool {
        self.is_of_all || !self.monitors.is_all() && self.monitors.has(id, tags)
    }

    /// Whether it is of an agent, too.
    pub fn covers_agent(&self, name: &str) -> bool {
        self.is_of_all || self.agents.iter().any(|agent| agent == name)
    }
}

impl When {
    /// Whether a moment is in it.
    pub fn covers(&self, at: Timestamp) -> bool {
        match self {
            When::Once(from, until) => (*from..*until).contains(&at),
            When::Weekly(days, from, until) => {
                let at = Offset::UTC.to_datetime(at);
                let minute = i16::from(at.hour()) * 60 + i16::from(at.minute());
                let (today, yesterday) = (days.contains(&at.weekday()), days.contains(&at.weekday().previous()));
                match from < until {
                    true => today && (*from..*until).contains(&minute),
                    false => today && minute >= *from || yesterday && minute < *until,
                }
            }
        }
    }
}

fn once(section: &mut Section<'_>) -> When {
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

fn weekly(section: &mut Section<'_>) -> When {
    let days = section.items("days", |item| {
        let day = item.as_str().and_then(|word| DAYS.iter().find(|(known, _)| *known == word));
        let known = DAYS.map(|(word, _)| word).join(", ");
        let problem = || format!("{} is no day", settings::shown(item));
        day.map(|(_, day)| *day).ok_or_else(|| Wrong::new(problem(), format!("write some of: {known}")))
    });
    let minute = |text: &str| {
        let parts = text.split_once(':').filter(|(hours, minutes)| hours.len() <= 2 && minutes.len() == 2);
        let number = |text: &str| text.parse::<u8>().ok().map(i16::from);
        let minute = parts.and_then(|(hours, minutes)| Some((number(hours)?, number(minutes)?)));
        let minute = minute.filter(|(_, minutes)| *minutes < 60).map(|(hours, minutes)| hours * 60 + minutes);
        minute
            .filter(|minute| *minute <= DAY)
            .ok_or_else(|| Wrong::new(format!("{text:?} is no time of a day"), "write hours and minutes: 22:00"))
    };
    let (from, until) = (section.parse("from", minute), section.parse("until", minute));
    When::Weekly(days.unwrap_or_default(), from.unwrap_or_default(), until.unwrap_or_default())
}
