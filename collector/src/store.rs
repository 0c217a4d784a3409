//! Batches into PostgreSQL, each result once.
//!
//! ```text
//! batch ──▶ names (ids) ──▶ plan (without what the ledger has) ──▶ partitions ──▶ transaction ──▶ memory
//! ```
//!
//! The truth about what arrived is the ledger, a set of numbers in each epoch's row, which changes in the same
//! transaction as the rows. So a batch may be written any number of times, by any number of collectors, after any
//! crash: only the first time counts. What is remembered of the ledger merely saves work.
//!
//! A batch is never given up: the store waits for the database for as long as it takes. A record that the database
//! refuses is found by halving and set aside, whole.
//!
//! This module and those below are the only place that names diesel.

use std::collections::BTreeMap;
use std::time::Instant;

use diesel::PgConnection;
use jiff::Timestamp;
use settings::{LogThrottle, Outage};

use crate::batch::{Batch, Entry};
use crate::config::{Database, Retention};
use crate::health::{Health, Tally};

mod agents;
mod alerts;
mod blocks;
mod connect;
mod copy;
mod figures;
mod late;
mod marks;
mod memory;
mod migrate;
mod names;
mod partitions;
mod patience;
mod plan;
mod proof;
mod rejected;
mod replay;
mod retire;
mod rights;
mod rollup;
mod schedules;
mod seen;
mod tables;
mod transaction;
mod trouble;
mod upkeep;

pub use alerts::{AlertStore, Claim, Firing, GivenUp};
pub use figures::Reader;
pub use proof::{EpochFacts, Scope, read_facts};
pub use rejected::{Place, RejectedMessage, Wanted};
pub use replay::Replayed;
pub use retire::{Retirement, retire};
pub use rollup::Rollup;
pub use upkeep::Upkeep;

use connect::{Connections, Session};
use memory::Memory;
use partitions::Partitions;
use plan::{Plan, Window, day};
use transaction::Way;
use trouble::Trouble;

/// Writes batches.
pub struct Store {
    connections: Connections,
    schema: String,
    migrate: bool,
    results_days: i64,
    is_ready: bool,
    memory: Memory,
    partitions: Partitions,
    log: LogThrottle,
    /// That the database does not store, which all stores beside one another say together.
    outage: Outage,
    /// What became of messages, counted by all stores beside one another.
    tally: Tally,
}

/// The database is not there, or not usable; says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub(crate) String);

/// Brings schema and tables up to date; how many migrations were run.
///
/// # Errors
/// Why they could not.
pub fn migrate(database: &Database) -> Result<usize, Unavailable> {
    let mut session = Connections::new(database).get()?;
    Ok(migrate::migrate(&mut session, &database.schema)?)
}

impl From<Trouble> for Unavailable {
    fn from(trouble: Trouble) -> Unavailable {
        match trouble {
            Trouble::Unavailable(text) | Trouble::Locked(text) => Unavailable(text),
            Trouble::Refused(text) | Trouble::NoPartition(text) => Unavailable(text),
            Trouble::Stale | Trouble::Clash => Unavailable("the ledger changed at the same time".into()),
        }
    }
}

/// Conflicts with other collectors in one batch that are no longer taken for chance.
const MOST_CONFLICTS: usize = 20;

impl Store {
    /// A store that connects when it first needs to.
    pub fn new(database: &Database, retention: Retention) -> Store {
        Store {
            connections: Connections::new(database),
            schema: database.schema.clone(),
            migrate: database.migrate,
            results_days: retention.results_days,
            is_ready: false,
            memory: Memory::default(),
            partitions: Partitions::default(),
            log: LogThrottle::default(),
            outage: Outage::default(),
            tally: Tally::default(),
        }
    }

    /// Tells there what becomes of messages, and whether the database stores.
    pub fn telling(self, health: &Health) -> Store {
        Store { tally: health.tally().clone(), outage: health.database().clone(), ..self }
    }

    /// Another store of the same database, with a memory of its own.
    pub fn beside(&self) -> Store {
        Store {
            connections: self.connections.clone(),
            schema: self.schema.clone(),
            is_ready: false,
            memory: Memory::default(),
            partitions: Partitions::default(),
            log: LogThrottle::default(),
            outage: self.outage.clone(),
            tally: self.tally.clone(),
            ..*self
        }
    }

    /// Upkeep of the same tables.
    pub fn upkeep(&self, retention: Retention) -> Upkeep {
        Upkeep::new(self.connections.clone(), retention)
    }

    /// Summaries of the same tables.
    pub fn rollup(&self) -> Rollup {
        Rollup::new(self.connections.clone())
    }

    /// Alerts in the same tables.
    pub fn alerts(&self) -> AlertStore {
        AlertStore::on(self.connections.clone())
    }

    /// Stores a batch, for as long as it takes; whether it is stored. It is not only when `is_over` said that nobody
    /// waits for it any more.
    pub fn write(&mut self, batch: &Batch, is_over: &dyn Fn() -> bool) -> bool {
        patience::write(self, &batch.entries(), is_over)
    }

    /// Connects and brings the tables up to date, for as long as it takes, unless `is_over`.
    pub fn prepare(&mut self, is_over: &dyn Fn() -> bool) {
        patience::write(self, &[], is_over);
    }

    /// Stores these entries, or sets all of them aside as `refused`. What other writers do in between is dealt with.
    fn store(&mut self, entries: &[Entry<'_>], refused: Option<&str>) -> Result<(), Trouble> {
        let mut way = Way::Copy;
        let mut conflicts = 0;
        let mut had_partitions = true;
        loop {
            let outcome = match self.connections.get() {
                Ok(mut session) => {
                    let outcome = self.attempt(&mut session, entries, refused, way);
                    session.judge(outcome)
                }
                Err(trouble) => Err(trouble),
            };
            match outcome {
                Err(Trouble::Stale) if conflicts < MOST_CONFLICTS => {
                    conflicts += 1;
                    self.memory.forget();
                }
                Err(Trouble::Clash) if way == Way::Copy => {
                    way = Way::Upsert;
                    if let Some(batches) = self.log.happened("clash", 1, Instant::now()) {
                        log::warn!(batches; "rows are there that the ledger does not know: stored one by one");
                    }
                }
                Err(Trouble::NoPartition(_)) if had_partitions => {
                    had_partitions = false;
                    self.partitions.forget();
                }
                Err(Trouble::NoPartition(text)) => return Err(Trouble::Refused(text)),
                Err(trouble) => {
                    // It may be another server that answers next time, and its ledger another one.
                    self.memory.forget();
                    self.partitions.forget();
                    return Err(trouble);
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    fn attempt(
        &mut self,
        session: &mut Session,
        entries: &[Entry<'_>],
        refused: Option<&str>,
        way: Way,
    ) -> Result<(), Trouble> {
        let connection: &mut PgConnection = session;
        self.make_ready(connection)?;
        self.memory.trim();
        names::learn_epochs(connection, &mut self.memory, entries)?;
        let plan = Plan::new(entries, &self.memory, self.window(), refused);
        if plan.is_empty() {
            self.tally.stored(0, plan.replayed);
            return Ok(());
        }
        let monitor_ids = names::monitor_ids(connection, &mut self.memory, &plan.results)?;
        self.partitions.ensure(connection, &plan.days())?;
        let rows = tables::rows(&plan.results, &monitor_ids);
        transaction::run(connection, &plan, &rows, way)?;
        self.memory.account(plan.deltas.values());
        self.tally.stored(rows.len() as u64, plan.replayed);
        plan.rejects.iter().for_each(|reject| self.tally.rejected(reject.reason));
        log::debug!(rows = plan.results.len(), rejected = plan.rejects.len(), replayed = plan.replayed; "stored a batch");
        self.say_rejected(&plan);
        Ok(())
    }

    fn make_ready(&mut self, connection: &mut PgConnection) -> Result<(), Trouble> {
        if self.is_ready {
            return Ok(());
        }
        if self.migrate {
            let run = migrate::migrate(connection, &self.schema)?;
            if run > 0 {
                log::info!(schema = self.schema.as_str(), migrations = run; "brought the tables up to date");
            }
        } else {
            migrate::check(connection, &self.schema)?;
        }
        self.is_ready = true;
        Ok(())
    }

    /// From the retention's first day to tomorrow.
    fn window(&self) -> Window {
        let today = day(Timestamp::now());
        Window { oldest: today - self.results_days, newest: today + 1 }
    }

    fn say_rejected(&mut self, plan: &Plan<'_>) {
        let mut by_reason: BTreeMap<&'static str, (u64, &plan::Reject<'_>)> = BTreeMap::new();
        for reject in &plan.rejects {
            by_reason.entry(reject.reason).or_insert((0, reject)).0 += 1;
        }
        for (reason, (count, reject)) in by_reason {
            if let Some(messages) = self.log.happened(reason, count, Instant::now()) {
                let (topic, offset) = (reject.message.topic, reject.message.offset);
                log::warn!(
                    reason, messages, topic, partition = reject.message.partition, offset, detail = reject.detail;
                    "set messages aside, see table rejected"
                );
            }
        }
    }
}
