//! What is to be told, and of what.

use std::collections::BTreeMap;
use std::time::Duration;

use settings::Section;

use super::{DAY, name};
use crate::figures::observation::CONFIRMED;

/// One thing that is to be told.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What is told.
    pub what: What,
    /// The monitors that it judges, where it is about monitors.
    pub monitors: Selection,
    /// The agents that it judges, by name, where it is about agents. An empty list means all agents.
    pub agents: Vec<String>,
    /// To whom, by name; empty means to all.
    pub receivers: Vec<String>,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// A site fails.
    Down {
        /// For this many checks in a row.
        checks: u32,
        /// And for so long.
        lasting: Duration,
        /// The number of agents that have to see it fail. None means all agents that look.
        seen_by: Option<usize>,
    },
    /// A site's answers take too long.
    Slow {
        /// Longer than this,
        over: Duration,
        /// but for this many of a hundred that are faster,
        percentile: u8,
        /// in the last such time.
        lasting: Duration,
    },
    /// A certificate ends.
    CertificateExpiring {
        /// Within this time.
        within: Duration,
    },
    /// An agent has neither reported nor said that it stops.
    AgentSilent {
        /// For so long.
        lasting: Duration,
    },
    /// Records wait in an agent's outbox.
    Backlog {
        /// More than this many.
        over: u64,
    },
    /// An agent declared that records were dropped.
    Dropped,
    /// Two hosts report under an agent's name.
    Doubled,
    /// Kafka or the database is away from the collector, so that nothing is seen.
    Blind {
        /// For how long it has to be away.
        lasting: Duration,
    },
}

impl What {
    /// Its word.
    pub fn as_str(&self) -> &'static str {
        match self {
            What::Down { .. } => "down",
            What::Slow { .. } => "slow",
            What::CertificateExpiring { .. } => "certificate_expiring",
            What::AgentSilent { .. } => "agent_silent",
            What::Backlog { .. } => "backlog",
            What::Dropped => "dropped",
            What::Doubled => "doubled",
            What::Blind { .. } => "blind",
        }
    }

    /// Whether it is about monitors.
    pub fn is_of_monitors(&self) -> bool {
        matches!(self, What::Down { .. } | What::Slow { .. } | What::CertificateExpiring { .. })
    }

    /// Whether it is about agents. What is about neither is about the collector itself.
    pub fn is_of_agents(&self) -> bool {
        matches!(self, What::AgentSilent { .. } | What::Backlog { .. } | What::Dropped | What::Doubled)
    }
}

/// Some monitors; all where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Their ids.
    pub ids: Vec<String>,
    /// Or tags that they have, all of them.
    pub tags: BTreeMap<String, String>,
}

impl Selection {
    pub(super) fn of(section: &mut Section<'_>) -> Selection {
        Selection { ids: section.text_items("ids").unwrap_or_default(), tags: section.texts("tags", 64, 4_096) }
    }

    /// Whether nothing narrows it.
    pub fn is_all(&self) -> bool {
        self.ids.is_empty() && self.tags.is_empty()
    }

    /// Whether a monitor is in it.
    pub fn has(&self, id: &str, tags: &BTreeMap<String, String>) -> bool {
        let has_tags = || !self.tags.is_empty() && self.tags.iter().all(|(name, value)| tags.get(name) == Some(value));
        self.is_all() || self.ids.iter().any(|wanted| wanted == id) || has_tags()
    }
}

#[derive(Clone, Copy)]
enum Word {
    Down,
    Slow,
    CertificateExpiring,
    AgentSilent,
    Backlog,
    Dropped,
    Doubled,
    Blind,
}

const WORDS: [(&str, Word); 8] = [
    ("down", Word::Down),
    ("slow", Word::Slow),
    ("certificate_expiring", Word::CertificateExpiring),
    ("agent_silent", Word::AgentSilent),
    ("backlog", Word::Backlog),
    ("dropped", Word::Dropped),
    ("doubled", Word::Doubled),
    ("blind", Word::Blind),
];

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

impl Rule {
    pub(super) fn of(section: &mut Section<'_>) -> Rule {
        let name = name(section);
        let known = WORDS.map(|(word, _)| word).join(", ");
        section.require("what", &format!("write one of: {known}"));
        let what = section.choice("what", &WORDS).map_or(What::Dropped, |word| what(section, word));
        // Each option that makes no sense with it is left unread, and so told as unknown.
        let mut rule = Rule {
            name,
            what,
            monitors: Selection::default(),
            agents: Vec::new(),
            receivers: section.text_items("receivers").unwrap_or_default(),
        };
        if what.is_of_monitors() {
            rule.monitors = section.section("monitors", Selection::of);
        }
        if what.is_of_agents() {
            rule.agents = section.text_items("agents").unwrap_or_default();
        }
        rule
    }
}

fn what(section: &mut Section<'_>, word: Word) -> What {
    match word {
        Word::Down => {
            let lasting = section.duration("for", SECOND..=DAY);
            // Who says how long it is to take need not say how often, too.
            let checks = if lasting.is_some() { 1 } else { CONFIRMED };
            What::Down {
                checks: section.integer("checks", 1..=20).unwrap_or(checks),
                lasting: lasting.unwrap_or_default(),
                seen_by: section.integer("seen_by", 1..=1_000),
            }
        }
        Word::Slow => {
            section.require("over", "write the longest time that is fast enough, such as 2s");
            What::Slow {
                over: section.duration("over", Duration::from_millis(1)..=MINUTE * 60).unwrap_or(SECOND),
                percentile: section.integer("percentile", 1..=99).unwrap_or(95),
                lasting: section.duration("for", SECOND..=DAY).unwrap_or(5 * MINUTE),
            }
        }
        Word::CertificateExpiring => {
            What::CertificateExpiring { within: section.duration("within", SECOND..=DAY * 3_650).unwrap_or(DAY * 14) }
        }
        Word::AgentSilent => {
            What::AgentSilent { lasting: section.duration("for", MINUTE..=DAY * 30).unwrap_or(3 * MINUTE) }
        }
        Word::Backlog => {
            section.require("over", "write how many records may wait, such as 10000");
            What::Backlog { over: section.integer("over", 0..=u64::MAX).unwrap_or(10_000) }
        }
        Word::Dropped => What::Dropped,
        Word::Doubled => What::Doubled,
        Word::Blind => What::Blind { lasting: section.duration("for", SECOND..=DAY).unwrap_or(3 * MINUTE) },
    }
}
