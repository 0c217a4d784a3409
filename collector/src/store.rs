//! Everything that is stored in PostgreSQL and read from it.
//!
//! ```text
//! batch ──▶ ingest ──▶ tables ──▶ rollup ──▶ summaries ──▶ queries ──▶ pages, reports
//!                        │  └───────────────────────────▶ alerts ──▶ messages
//!                        └──▶ proof, rejected, retirement, upkeep
//! ```
//! `db` has what all of them need: sessions, errors, times.
//!
//! The database itself says from where each partition is read (ingest/positions.rs). One that was set back says an
//! earlier place, and is filled again.
//!
//! This module and those below are the only place that names diesel.

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

/// Brings schema and tables up to date; how many migrations were run.
///
/// # Errors
/// Why they could not.
pub fn migrate(database: &Database) -> Result<usize, Unavailable> {
    let mut session = Connections::new(database).get_for_command()?;
    Ok(migrate::migrate(&mut session, &database.schema)?)
}

impl Store {
    /// A store that connects when it first needs to.
    pub fn new(database: &Database, retention: Retention) -> Store {
        let (connections, schema) = (Connections::new(database), database.schema.clone());
        Store { writer: Writer::new(connections, schema, database.migrate, retention.results_days) }
    }

    /// Tells there what becomes of messages, and whether the database stores.
    pub fn telling(mut self, health: &Health) -> Store {
        self.writer.tally = health.tally().clone();
        self.writer.outage = health.database().clone();
        self
    }

    /// Another store of the same database, with a memory of its own.
    pub fn beside(&self) -> Store {
        Store { writer: self.writer.beside() }
    }

    /// Upkeep of the same tables.
    pub fn upkeep(&self, retention: Retention) -> Upkeep {
        Upkeep::new(self.writer.connections.clone(), self.writer.schema.clone(), retention)
    }

    /// Summaries of the same tables.
    pub fn rollup(&self) -> Rollup {
        Rollup::new(self.writer.connections.clone())
    }

    /// Alerts in the same tables.
    pub fn alerts(&self) -> AlertStore {
        AlertStore::on(self.writer.connections.clone())
    }

    /// Stores a batch, for as long as it takes. One without messages only compares positions. It is given up only when
    /// `is_over` says so.
    pub fn write(&mut self, batch: &Batch, is_over: &dyn Fn() -> bool) -> Written {
        retry::write(&mut self.writer, &batch.entries(), batch.ends(), is_over)
    }

    /// Connects and brings the tables up to date, for as long as it takes, unless `is_over`.
    pub fn prepare(&mut self, is_over: &dyn Fn() -> bool) {
        self.writer.positions = HeldPositions::default();
        retry::write(&mut self.writer, &[], &Positions::new(), is_over);
    }

    /// From where these partitions are to be read, for as long as it takes to learn it; none when `is_over`. From then on
    /// they are this store's to write.
    pub fn locate(&mut self, log: &Log, partitions: &[i32], is_over: &dyn Fn() -> bool) -> Option<Start> {
        retry::persist(&mut self.writer, is_over, |writer| writer.locate_once(log, partitions))
    }
}
