//! A search runs the worlds of many seeds on several threads.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::chance::mix;
use crate::cover::Cover;
use crate::fault::{Fault, FaultKind};
use crate::rules::Rules;
use crate::schedule::schedule;
use crate::world::{Outcome, run};

/// A thread takes these many seeds at a time.
const PORTION: u64 = 64;

/// This is what was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// These many schedules were run.
    pub schedules: u64,
    /// These many actions were in them.
    pub actions: u64,
    /// These many messages were sent.
    pub messages: u64,
    /// The digest is the same for the same seeds, in whatever order they were run.
    pub digest: u64,
    /// The cover says what was met.
    pub cover: Cover,
    /// These kinds of faults were found.
    pub faults: BTreeMap<FaultKind, Sighting>,
}

/// A sighting says where a kind of fault was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// It was found in these many schedules.
    pub schedules: u64,
    /// This is the lowest of their seeds.
    pub lowest: u64,
    /// The first one was found after this time.
    pub after: Duration,
}

/// Runs the worlds of these seeds on a number of threads.
///
/// # Panics
/// When a thread can't be started.
pub fn search(seeds: Range<u64>, threads: usize, rules: Rules) -> Found {
    let (next, began) = (AtomicU64::new(seeds.start), Instant::now());
    let work = || {
        let mut found = Found::default();
        loop {
            let first = next.fetch_add(PORTION, Ordering::Relaxed);
            if first >= seeds.end {
                return found;
            }
            (first..seeds.end.min(first + PORTION)).for_each(|seed| found.run(seed, rules, began));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut all = Found::default();
        for worker in workers {
            all.add(worker.join().expect("a world that panics is caught"));
        }
        all
    })
}

impl Found {
    fn run(&mut self, seed: u64, rules: Rules, began: Instant) {
        let actions = schedule(seed);
        let outcome = catch_unwind(AssertUnwindSafe(|| run(seed, &actions, rules))).unwrap_or_else(|_| Outcome {
            faults: vec![Fault { kind: FaultKind::Panic, text: "see above".into() }],
            ..Outcome::default()
        });
        let kinds: BTreeSet<FaultKind> = outcome.faults.iter().map(|fault| fault.kind).collect();
        let sighting = || Sighting { schedules: 1, lowest: seed, after: began.elapsed() };
        self.add(Found {
            schedules: 1,
            actions: actions.len() as u64,
            messages: outcome.messages,
            digest: mix(seed ^ mix(outcome.digest)),
            cover: outcome.cover,
            faults: kinds.into_iter().map(|kind| (kind, sighting())).collect(),
        });
    }

    fn add(&mut self, other: Found) {
        self.schedules += other.schedules;
        self.actions += other.actions;
        self.messages += other.messages;
        self.digest = self.digest.wrapping_add(other.digest);
        self.cover.add(&other.cover);
        for (kind, sighting) in other.faults {
            self.faults.entry(kind).and_modify(|before| before.add(sighting)).or_insert(sighting);
        }
    }

    /// Answers whether all faults are left to a person.
    pub fn is_clean(&self) -> bool {
        self.faults.keys().all(|kind| kind.is_for_a_person())
    }
}

impl Sighting {
    fn add(&mut self, other: Sighting) {
        self.schedules += other.schedules;
        self.lowest = self.lowest.min(other.lowest);
        self.after = self.after.min(other.after);
    }
}
