//! The rules keep the protocol right. Each can be undone, so that it shows what it is for.

use std::fmt;
use std::str::FromStr;

/// A rule is on or undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// What a collector remembers ends with its session.
    Memory,
    /// Positions lie in the database.
    Positions,
    /// A log that lost its tail is known by Kafka's leader epochs.
    Tail,
    /// A database has a group of its own.
    Group,
    /// Lists of monitors are said again.
    List,
    /// An outbox that is gone is known by a later run with which the chain begins again.
    Wipe,
    /// An epoch is the agent's that its own records name.
    Name,
    /// Parts of slots are added up.
    Due,
    /// Runs are in the order of their chain.
    Clock,
}

impl Rule {
    /// These are all rules.
    pub const ALL: [Rule; 9] = [
        Rule::Memory,
        Rule::Positions,
        Rule::Tail,
        Rule::Group,
        Rule::List,
        Rule::Wipe,
        Rule::Name,
        Rule::Due,
        Rule::Clock,
    ];

    /// This is its name.
    pub const fn word(self) -> &'static str {
        match self {
            Rule::Memory => "memory",
            Rule::Positions => "positions",
            Rule::Tail => "tail",
            Rule::Group => "group",
            Rule::List => "list",
            Rule::Wipe => "wipe",
            Rule::Name => "name",
            Rule::Due => "due",
            Rule::Clock => "clock",
        }
    }

    /// This is what it says.
    pub const fn sentence(self) -> &'static str {
        match self {
            Rule::Memory => "What a collector remembers of a database ends with the session in which it was read.",
            Rule::Positions => {
                "The position up to which a partition is stored lies in the database, and changes in the transaction of \
                 the batch, from the one that this collector left or found; else it forgets what it knows and joins again."
            }
            Rule::Tail => {
                "A position bears the leader epoch of the message before it; where that epoch ends before the position, \
                 the log lost its tail and is read from there. It takes the rule of positions."
            }
            Rule::Group => "The collectors of a database share partitions with those of no other database.",
            Rule::List => "An agent says again and again which monitors are due, and since when.",
            Rule::Wipe => {
                "After a run of an agent that came after none, or after one of which nothing is known, what runs of another \
                 chain left waiting no longer comes, unless they are heard of again."
            }
            Rule::Name => "An epoch is a run of the agent that its own records name, not of one that speaks of it.",
            Rule::Due => "What is due is counted from the sum of all times, not rounded down for each.",
            Rule::Clock => "Of two runs of an agent, the later one is the one that came after the other, by no clock.",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(word: &str) -> Result<Rule, String> {
        let words = || Rule::ALL.map(Rule::word).join(", ");
        Rule::ALL.into_iter().find(|rule| rule.word() == word).ok_or_else(|| format!("the rules are {}", words()))
    }
}

/// These rules are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules(u16);

impl Rules {
    /// All rules are on.
    pub const ALL: Rules = Rules::of(&Rule::ALL);

    /// Only the rules that the product has today are on.
    pub const PRODUCT: Rules = Rules::ALL;

    /// Only these rules are on.
    pub const fn of(rules: &[Rule]) -> Rules {
        let mut bits = 0;
        let mut at = 0;
        while at < rules.len() {
            bits |= 1 << rules[at] as u16;
            at += 1;
        }
        Rules(bits)
    }

    /// Answers whether a rule is on.
    pub const fn has(self, rule: Rule) -> bool {
        self.0 & Rules::of(&[rule]).0 != 0
    }

    /// Undoes a rule.
    #[must_use]
    pub const fn without(self, rule: Rule) -> Rules {
        Rules(self.0 & !Rules::of(&[rule]).0)
    }
}
