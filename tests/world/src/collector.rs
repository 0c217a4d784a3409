//! A collector is a member of a group. It reads its partitions, stores what it read, and commits how far it has stored.
//!
//! ```text
//! join ──▶ commit what is stored ──▶ gather a batch ──▶ store it, step by step ──┐
//!   ▲                 ▲                                                         │
//!   └── rebalance     └─────────────────────────────────────────────────────────┘
//! ```
//! `collector/turn.rs` has these turns, and `collector/place.rs` has where a collector begins to read. One collector has
//! one batch at a time, while the product gathers the next one meanwhile.

mod place;
mod turn;

pub(crate) use turn::Turn;

use std::collections::BTreeMap;

use crate::batch::Batch;
use crate::common::Common;
use crate::cover::Stage;
use crate::log::Kafka;
use crate::rules::Rule;
use crate::store::Store;
use crate::store::database::Database;
use crate::store::positions::{Known, Positions};

pub(crate) struct Collector {
    /// It has this number in its group.
    number: usize,
    /// It stores into the database with this number.
    database: usize,
    life: Life,
    /// It was given its partitions in this generation of the group.
    generation: Option<u64>,
    /// It reads these offsets next, by partition.
    reading: BTreeMap<i32, i64>,
    known: Known,
    store: Store,
    batch: Option<Gathered>,
    /// These offsets are stored and not committed.
    done: BTreeMap<i32, i64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Off,
    Running,
    Paused,
}

/// This is a batch with its end.
struct Gathered {
    batch: Batch,
    ends: Positions,
}

impl Collector {
    /// Makes one that does not run yet.
    pub(crate) fn new(number: usize, database: usize) -> Collector {
        Collector {
            number,
            database,
            life: Life::Off,
            generation: None,
            reading: BTreeMap::new(),
            known: Known::default(),
            store: Store::default(),
            batch: None,
            done: BTreeMap::new(),
        }
    }

    pub(crate) const fn database(&self) -> usize {
        self.database
    }

    pub(crate) fn is_off(&self) -> bool {
        self.life == Life::Off
    }

    /// Answers how far it is with a batch.
    pub(crate) const fn stage(&self) -> Stage {
        match &self.batch {
            None => Stage::Idle,
            Some(_) if self.store.has_transaction() => Stage::Transaction,
            Some(_) => Stage::Batch,
        }
    }

    /// Starts, or goes on after a pause.
    pub(crate) fn start(&mut self, kafka: &mut Kafka, common: &Common) -> bool {
        let rests = self.life != Life::Running;
        if rests {
            self.life = Life::Running;
            kafka.groups[self.group(common)].enter(self.number);
        }
        rests
    }

    /// Stands still, in the middle of whatever it does, until it goes on.
    pub(crate) fn pause(&mut self, kafka: &mut Kafka, common: &Common) -> bool {
        let runs = self.life == Life::Running;
        if runs {
            self.life = Life::Paused;
            kafka.groups[self.group(common)].leave(self.number);
        }
        runs
    }

    /// Dies, and its session ends with it.
    pub(crate) fn kill(&mut self, kafka: &mut Kafka, databases: &mut [Database], common: &Common) -> bool {
        let was_on = !self.is_off();
        if was_on {
            self.store.leave(&mut databases[self.database]);
            kafka.groups[self.group(common)].leave(self.number);
            *self = Collector::new(self.number, self.database);
        }
        was_on
    }

    /// Finds the group that it is a member of.
    const fn group(&self, common: &Common) -> usize {
        if common.has(Rule::Group) { self.database } else { 0 }
    }
}
