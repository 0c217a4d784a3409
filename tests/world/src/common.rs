//! All parts of a world share its rules, its time, what is true in it, and the account of what was met.

use jiff::Timestamp;
use uuid::Uuid;

use crate::chance::mix;
use crate::cover::{Cover, Rare};
use crate::rules::{Rule, Rules};
use crate::truth::Truth;

/// Worlds begin then, in milliseconds since 1970.
const BEGIN: i64 = 1_800_000_000_000;

/// Writes a time of the world, which is in milliseconds since its begin, as the product does.
pub(crate) fn timestamp(at: i64) -> Timestamp {
    Timestamp::from_millisecond(BEGIN + at).expect("worlds are short")
}

/// Reads a time of the world.
pub(crate) fn time(timestamp: Timestamp) -> i64 {
    timestamp.as_millisecond() - BEGIN
}

/// This is what is shared.
pub(crate) struct Common {
    seed: u64,
    rules: Rules,
    /// This is the time, in milliseconds since the begin.
    pub(crate) now: i64,
    pub(crate) truth: Truth,
    pub(crate) cover: Cover,
    /// These many numbers were given out.
    made: u64,
    /// The story says in words what happens, where that is wanted.
    story: Option<Vec<String>>,
}

impl Common {
    pub(crate) fn new(seed: u64, rules: Rules, is_told: bool) -> Common {
        let story = is_told.then(Vec::new);
        Common { seed, rules, now: 0, truth: Truth::default(), cover: Cover::default(), made: 0, story }
    }

    pub(crate) const fn has(&self, rule: Rule) -> bool {
        self.rules.has(rule)
    }

    pub(crate) const fn rules(&self) -> Rules {
        self.rules
    }

    pub(crate) fn meets(&mut self, rare: Rare) {
        self.cover.meets(rare);
    }

    /// Gives out a number that was not given out before.
    pub(crate) const fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// Makes an id for an epoch.
    pub(crate) fn epoch(&mut self) -> Uuid {
        let number = self.number();
        Uuid::from_u64_pair(mix(self.seed ^ mix(number)), mix(number ^ mix(self.seed.rotate_left(17))))
    }

    /// Tells what happens, where that is wanted.
    pub(crate) fn say(&mut self, text: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:7.1} s  {}", self.now as f64 / 1e3, text()));
        }
    }

    /// Answers how much was told.
    pub(crate) fn said(&self) -> usize {
        self.story.as_ref().map_or(0, Vec::len)
    }

    /// Takes back what was told after that, because it did not happen.
    pub(crate) fn take_back(&mut self, length: usize) {
        if let Some(story) = &mut self.story {
            story.truncate(length);
        }
    }

    /// Gives back all that was told.
    pub(crate) fn story(self) -> Vec<String> {
        self.story.unwrap_or_default()
    }
}
