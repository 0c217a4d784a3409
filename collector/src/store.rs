//! Batches into PostgreSQL, each result once.
//!
//! ```text
//! locate ──▶ positions
//! batch ──▶ names (ids) ──▶ plan (without what the ledger has) ──▶ partitions ──▶ transaction ──▶ memory
//! ```
//!
//! The truth about what arrived is the ledger, a set of numbers in each epoch's row, which changes in the same
//! transaction as the rows. So a batch may be written any number of times, by any number of collectors, after any
//! crash: only the first time counts. What is remembered of the ledger merely saves work, and ends with the session in
//! which it was read.
//!
//! The database itself says from where each partition is read (positions.rs). One that was set back says an earlier
//! place, and is filled again.
//!
//! A batch is never given up: the store waits for the database for as long as it takes. A record that the database
//! refuses is found by halving and set aside, whole.
//!
//! This module and those below are the only place that names diesel.

use std::collections::BTreeMap;
use std::time::Instant;

use diesel::{Connection, PgConnection};
use jiff::Timestamp;
use settings::{LogThrottle, Outage};

use crate::batch::{Batch, Entry};
use crate::config::{Database, Retention};
use crate::health::{Health, Tally};
use crate::position::{Log, Positions, Start, Written};

mod agents;
mod alerts;
mod blocks;
mod connect;
mod copy;
mod doubled;
mod figures;
mod late;
mod marks;
mod memory;
mod migrate;
mod names;
mod partitions;
mod patience;
mod plan;
mod positions;
mod proof;
mod rejected;
mod replay;
mod retire;
mod rights;
mod rollup;
mod schedules;
mod seen;
mod sharing;
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

use connect::{Connections, Kept};
use doubled::Doubled;
use memory::Memory;
use partitions::Partitions;
use plan::{Plan, Window, day};
use positions::Held;
use transaction::{Content, Way};
use trouble::Trouble;

/// Writes batches.
pub struct Store {
    connections: Connections,
    schema: String,
    migrate: bool,
    results_days: i64,
    /// None until there is one that works.
    session: Option<Remembering>,
    positions: Held,
    log: LogThrottle,
    doubled: Doubled,
    /// That the database does not store, which all stores beside one another say together.
    outage: Outage,
    /// What became of messages, counted by all stores beside one another.
    tally: Tally,
}

/// A session, and what was read in it. It ends with the session: the next one may be of a database that was set back.
struct Remembering {
    session: Kept,
    is_ready: bool,
    memory: Memory,
    partitions: Partitions,
}

impl Remembering {
    fn new(session: Kept) -> Remembering {
        Remembering { session, is_ready: false, memory: Memory::default(), partitions: Partitions::default() }
    }
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
    let mut session = Connections::new(database).get_for_command()?;
    Ok(migrate::migrate(&mut session, &database.schema)?)
}

impl From<Trouble> for Unavailable {
    fn from(trouble: Trouble) -> Unavailable {
        match trouble {
            Trouble::Unavailable(text) | Trouble::Locked(text) => Unavailable(text),
            Trouble::Refused(text) | Trouble::NoPartition(text) => Unavailable(text),
            Trouble::Stale | Trouble::Clash => Unavailable("the ledger changed at the same time".into()),
            Trouble::Moved => Unavailable("the database is not where it was left".into()),
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
            session: None,
            positions: Held::default(),
            log: LogThrottle::default(),
            doubled: Doubled::default(),
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
            session: None,
            positions: Held::default(),
            log: LogThrottle::default(),
            doubled: Doubled::default(),
            outage: self.outage.clone(),
            tally: self.tally.clone(),
            ..*self
        }
    }

    /// Upkeep of the same tables.
    pub fn upkeep(&self, retention: Retention) -> Upkeep {
        Upkeep::new(self.connections.clone(), self.schema.clone(), retention)
    }

    /// Summaries of the same tables.
    pub fn rollup(&self) -> Rollup {
        Rollup::new(self.connections.clone())
    }

    /// Alerts in the same tables.
    pub fn alerts(&self) -> AlertStore {
        AlertStore::on(self.connections.clone())
    }

    /// Stores a batch, for as long as it takes. One without messages only compares positions. It is given up only when
    /// `is_over` says so.
    pub fn write(&mut self, batch: &Batch, is_over: &dyn Fn() -> bool) -> Written {
        patience::write(self, &batch.entries(), batch.ends(), is_over)
    }

    /// Connects and brings the tables up to date, for as long as it takes, unless `is_over`.
    pub fn prepare(&mut self, is_over: &dyn Fn() -> bool) {
        self.positions = Held::default();
        patience::write(self, &[], &Positions::new(), is_over);
    }

    /// From where these partitions are to be read, for as long as it takes to learn it; none when `is_over`. From then on
    /// they are this store's to write.
    pub fn locate(&mut self, log: &Log, partitions: &[i32], is_over: &dyn Fn() -> bool) -> Option<Start> {
        patience::persist(self, is_over, |store| store.locate_once(log, partitions))
    }

    fn locate_once(&mut self, log: &Log, partitions: &[i32]) -> Result<Start, Trouble> {
        let (held, start) = self.in_session(|_, it| positions::locate(&mut it.session, log, partitions))?;
        self.positions = held;
        Ok(start)
    }

    /// Does something in the session that is held, or in a new one whose tables are ready. After a failure of the
    /// database the session and what was read in it are gone.
    fn in_session<T>(
        &mut self,
        work: impl FnOnce(&mut Store, &mut Remembering) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut it = match self.session.take() {
            Some(it) => it,
            None => Remembering::new(self.connections.get()?),
        };
        let outcome = self.make_ready(&mut it).and_then(|()| work(self, &mut it));
        let outcome = it.session.judge(outcome);
        if !matches!(outcome, Err(Trouble::Unavailable(_) | Trouble::Locked(_) | Trouble::Refused(_))) {
            self.session = Some(it);
        }
        outcome
    }

    /// Stores these entries, after which the partitions are at `ends`, or sets all of them aside as `refused`. What other
    /// writers do in between is dealt with.
    fn store(&mut self, entries: &[Entry<'_>], ends: &Positions, refused: Option<&str>) -> Result<(), Trouble> {
        let mut way = Way::Copy;
        let mut conflicts = 0;
        let mut had_partitions = true;
        loop {
            match self.in_session(|store, it| store.attempt(it, entries, ends, refused, way)) {
                Err(Trouble::Stale) if conflicts < MOST_CONFLICTS => {
                    conflicts += 1;
                    self.forget(|it| it.memory.forget());
                }
                Err(Trouble::Clash) if way == Way::Copy => {
                    way = Way::Upsert;
                    if let Some(batches) = self.log.happened("clash", 1, Instant::now()) {
                        log::warn!(batches; "rows are there that the ledger does not know: stored one by one");
                    }
                }
                Err(Trouble::NoPartition(_)) if had_partitions => {
                    had_partitions = false;
                    self.forget(|it| it.partitions.forget());
                }
                Err(Trouble::NoPartition(text)) => return Err(Trouble::Refused(text)),
                outcome => return outcome,
            }
        }
    }

    fn forget(&mut self, forget: impl FnOnce(&mut Remembering)) {
        self.session.as_mut().map(forget);
    }

    fn attempt(
        &mut self,
        it: &mut Remembering,
        entries: &[Entry<'_>],
        ends: &Positions,
        refused: Option<&str>,
        way: Way,
    ) -> Result<(), Trouble> {
        let (connection, memory): (&mut PgConnection, _) = (&mut it.session, &mut it.memory);
        if entries.is_empty() {
            return self.move_on(connection, ends);
        }
        memory.trim();
        names::learn_epochs(connection, memory, entries)?;
        let plan = Plan::new(entries, memory, self.window(), refused);
        if plan.is_empty() {
            self.positions.reach(ends);
            self.tally.stored(0, plan.replayed);
            return Ok(());
        }
        let monitors = names::monitors(connection, memory, &plan.results)?;
        it.partitions.ensure(connection, &plan.days())?;
        let rows = tables::rows(&plan.results, &monitors);
        let monitors = monitors.iter().map(|monitor| (monitor.id, monitor.hash)).collect();
        let next = self.positions.next(ends);
        let content = Content { plan: &plan, rows: &rows, monitors, positions: (&self.positions, &next) };
        let doubled = transaction::run(connection, &content, way)?;
        self.positions.committed(next);
        memory.account(plan.deltas.values());
        self.tally.stored(rows.len() as u64, plan.replayed);
        plan.rejects.iter().for_each(|reject| self.tally.rejected(reject.reason));
        log::debug!(rows = plan.results.len(), rejected = plan.rejects.len(), replayed = plan.replayed; "stored a batch");
        self.say_rejected(&plan);
        self.doubled.say(doubled);
        Ok(())
    }

    /// Compares positions, and writes what was reached.
    fn move_on(&mut self, connection: &mut PgConnection, ends: &Positions) -> Result<(), Trouble> {
        if self.positions.is_empty() {
            return Ok(());
        }
        let next = self.positions.next(ends);
        connection.transaction(|connection| {
            self.positions.lock(connection)?;
            self.positions.advance(connection, &next)
        })?;
        self.positions.committed(next);
        Ok(())
    }

    fn make_ready(&self, it: &mut Remembering) -> Result<(), Trouble> {
        if it.is_ready {
            return Ok(());
        }
        let connection: &mut PgConnection = &mut it.session;
        if self.migrate {
            let run = migrate::migrate(connection, &self.schema)?;
            if run > 0 {
                log::info!(schema = self.schema.as_str(), migrations = run; "brought the tables up to date");
            }
        } else {
            migrate::check(connection, &self.schema)?;
        }
        it.is_ready = true;
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
