//! The `alerts.rules` section: what is told, and about which monitors and agents.

use std::collections::BTreeMap;
use std::time::Duration;

use settings::Section;

use super::{DAY, name};
use crate::figures::looks::observation::CONFIRMED;

/// One rule, which says what is told.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The name of the rule.
    pub name: String,
    /// What the rule is about.
    pub what: What,
    /// The monitors that the rule is about, when it is about monitors.
    pub monitors: Selection,
    /// The names of the agents that the rule is about, when it is about agents. All agents when it is empty.
    pub agents: Vec<String>,
    /// The names of the receivers that it tells. All receivers when it is empty.
    pub receivers: Vec<String>,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// A site fails.
    Down {
        /// The number of checks in a row that have to fail.
        checks: u32,
        /// How long it has to fail.
        lasting: Duration,
        /// The number of agents that have to see it fail; none when all agents that look have to.
        seen_by: Option<usize>,
    },
    /// A site's answers take too long.
    Slow {
        /// The bound on the response time.
        over: Duration,
        /// The percentile of the response times that is compared with the bound.
        percentile: u8,
        /// The length of the time before the present in which the answers are counted.
        lasting: Duration,
    },
    /// A certificate ends.
    CertificateExpiring {
        /// How long before its end the certificate is told.
        within: Duration,
    },
    /// An agent has neither reported nor said that it stops.
    AgentSilent {
        /// How long nothing has to be heard.
        lasting: Duration,
    },
    /// Records wait in an agent's outbox.
    Backlog {
        /// The number of records that may wait.
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
    /// Returns the word of the rule.
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

    /// Returns whether the rule is about monitors.
    pub fn is_of_monitors(&self) -> bool {
        matches!(self, What::Down { .. } | What::Slow { .. } | What::CertificateExpiring { .. })
    }

    /// Returns whether the rule is about agents. A rule about neither monitors nor agents is about the collector
    /// itself.
    pub fn is_of_agents(&self) -> bool {
        matches!(self, What::AgentSilent { .. } | What::Backlog { .. } | What::Dropped | What::Doubled)
    }
}

/// A selection of monitors. It selects all monitors when it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The ids of the monitors.
    pub ids: Vec<String>,
    /// Monitors that have all of these tags are selected as well.
    pub tags: BTreeMap<String, String>,
}

impl Selection {
    pub(super) fn of(section: &mut Section<'_>) -> Selection {
        Selection { ids: section.text_items("ids").unwrap_or_default(), tags: section.texts("tags", 64, 4_096) }
    }

    /// Returns whether it selects all monitors.
    pub fn is_all(&self) -> bool {
        self.ids.is_empty() && self.tags.is_empty()
    }

    /// Returns whether it selects a monitor.
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

/// Returns the words for what a rule is about.
pub(in crate::config) fn words() -> [&'static str; 8] {
    WORDS.map(|(word, _)| word)
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

impl Rule {
    pub(super) fn of(section: &mut Section<'_>) -> Rule {
        let name = name(section);
        let known = words().join(", ");
        section.require("what", &format!("write one of: {known}"));
        let what = section.choice("what", &WORDS).map_or(What::Dropped, |word| what(section, word));
        // An option that has no effect on this kind of rule is not read, and so it is reported as unknown.
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
            // A person who configures `for` need not configure `checks`, too.
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
