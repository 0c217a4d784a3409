//! Stores everything in PostgreSQL, and reads it from there.
//!
//! ```text
//! batch ──▶ ingest ──▶ tables ──▶ rollup ──▶ summaries ──▶ queries ──▶ pages, reports
//!                        │  └───────────────────────────▶ alerts ──▶ messages
//!                        └──▶ proof, rejected, retirement, upkeep
//! ```
//! The module `db` has what all other modules need: sessions, errors and times.
//!
//! The database stores the offset from which each partition of Kafka is read (ingest/positions.rs). A database that was
//! set back to an earlier state has an earlier offset, so the collector fills it again from there.
//!
//! Only this module and the modules below it use diesel.

use crate::batch::Batch;
use crate::config::{Database, Retention};
use crate::health::Health;
use crate::position::{Log, Positions, Start, Written};
use crate::unavailable::Unavailable;

mod alerts;
mod db;
mod ingest;
mod partitions;
mod proof;
mod queries;
mod rejected;
mod retirement;
mod rollup;
mod summary_blocks;
mod upkeep;

pub use alerts::{AlertStore, Claim, Firing, GivenUp};
pub use proof::{EpochFacts, Scope, read_facts};
pub use queries::Reader;
pub use rejected::replay::Replayed;
pub use rejected::{Place, RejectedMessage, Wanted};
pub use retirement::{Retirement, retire};
pub use rollup::Rollup;
pub use upkeep::Upkeep;

use db::connections::Connections;
use db::migrate;
use ingest::positions::HeldPositions;
use ingest::retry;
use ingest::writer::Writer;

/// Writes batches.
pub struct Store {
    writer: Writer,
}

/// Brings schema and tables up to date. Returns how many migrations were run.
///
/// # Errors
/// Returns why they could not be brought up to date.
pub fn migrate(database: &Database) -> Result<usize, Unavailable> {
    let mut session = Connections::new(database).get_for_command()?;
    Ok(migrate::migrate(&mut session, &database.schema)?)
}

impl Store {
    /// Creates a store that connects when it first needs to.
    pub fn new(database: &Database, retention: Retention) -> Store {
        let (connections, schema) = (Connections::new(database), database.schema.clone());
        Store { writer: Writer::new(connections, schema, database.migrate, retention.results_days) }
    }

    /// Makes the store tell `health` what becomes of messages, and whether the database stores.
    pub fn telling(mut self, health: &Health) -> Store {
        self.writer.tally = health.tally().clone();
        self.writer.outage = health.database().clone();
        self
    }

    /// Creates another store of the same database, with a cache of its own.
    pub fn beside(&self) -> Store {
        Store { writer: self.writer.beside() }
    }

    /// Creates the upkeep of the same tables.
    pub fn upkeep(&self, retention: Retention) -> Upkeep {
        Upkeep::new(self.writer.connections.clone(), self.writer.schema.clone(), retention)
    }

    /// Creates the rollup, which makes the summaries in the same tables.
    pub fn rollup(&self) -> Rollup {
        Rollup::new(self.writer.connections.clone())
    }

    /// Creates the store of the alerts in the same tables.
    pub fn alerts(&self) -> AlertStore {
        AlertStore::on(self.writer.connections.clone())
    }

    /// Stores a batch, and tries until the database has it. A batch without messages only compares positions and writes
    /// those that were reached. The batch is given up only when `is_over` returns true.
    pub fn write(&mut self, batch: &Batch, is_over: &dyn Fn() -> bool) -> Written {
        retry::write(&mut self.writer, &batch.entries(), batch.ends(), is_over)
    }

    /// Connects and brings the tables up to date. Tries until this succeeds or `is_over` returns true.
    pub fn prepare(&mut self, is_over: &dyn Fn() -> bool) {
        self.writer.positions = HeldPositions::default();
        retry::write(&mut self.writer, &[], &Positions::new(), is_over);
    }

    /// Returns the positions from which these partitions are to be read. Tries until the database answers, and returns
    /// `None` when `is_over` returns true before that. From then on this store writes these partitions.
    pub fn locate(&mut self, log: &Log, partitions: &[i32], is_over: &dyn Fn() -> bool) -> Option<Start> {
        retry::persist(&mut self.writer, is_over, |writer| writer.locate_once(log, partitions))
    }
}
