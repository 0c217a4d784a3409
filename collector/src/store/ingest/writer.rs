//! Makes one attempt to store a batch, in a session whose caches end with it.
//!
//! This file handles what other writers do in between: a ledger that changed is read again, and rows that are there
//! already are left. The layers above handle what takes longer: bisect.rs finds the records that the database refuses,
//! and retry.rs waits for a database that is away.

use std::collections::BTreeMap;
use std::time::Instant;

use diesel::{Connection, PgConnection};
use jiff::Timestamp;
use settings::{LogThrottle, Outage};

use super::batch_plan::{BatchPlan, Reject, StorableDays, day};
use super::ledger_cache::LedgerCache;
use super::positions;
use super::positions::HeldPositions;
use super::rows::doubled::Doubled;
use super::rows::{names, results};
use super::transaction;
use super::transaction::{Content, WriteMode};
use crate::batch::Entry;
use crate::health::Tally;
use crate::position::{Log, Positions, Start};
use crate::store::db::connections::{Connections, PooledSession};
use crate::store::db::error::StoreError;
use crate::store::db::migrate;
use crate::store::partitions::Partitions;

/// Writes batches in one session at a time.
pub(crate) struct Writer {
    pub(crate) connections: Connections,
    pub(crate) schema: String,
    migrate: bool,
    results_days: i64,
    /// `None` until there is a session that works.
    session: Option<WriterSession>,
    pub(crate) positions: HeldPositions,
    log: LogThrottle,
    doubled: Doubled,
    /// Whether the database does not store. All writers that share it log this together.
    pub(crate) outage: Outage,
    /// What became of messages. All writers that share it count together.
    pub(crate) tally: Tally,
}

/// A session, and what was read in it. Both end together, because the next session may be of a database that was set
/// back.
pub(crate) struct WriterSession {
    pub(crate) session: PooledSession,
    is_ready: bool,
    pub(crate) cache: LedgerCache,
    pub(crate) partitions: Partitions,
}

impl WriterSession {
    fn new(session: PooledSession) -> WriterSession {
        WriterSession { session, is_ready: false, cache: LedgerCache::default(), partitions: Partitions::default() }
    }
}

/// The number of conflicts with other collectors in one batch above which they no longer count as chance.
pub(crate) const MOST_CONFLICTS: usize = 20;

impl Writer {
    /// Creates a writer that connects when it first needs to.
    pub(crate) fn new(connections: Connections, schema: String, migrate: bool, results_days: i64) -> Writer {
        Writer {
            connections,
            schema,
            migrate,
            results_days,
            session: None,
            positions: HeldPositions::default(),
            log: LogThrottle::default(),
            doubled: Doubled::default(),
            outage: Outage::default(),
            tally: Tally::default(),
        }
    }

    /// Creates another writer to the same database, with caches of its own.
    pub(crate) fn beside(&self) -> Writer {
        let writer = Writer::new(self.connections.clone(), self.schema.clone(), self.migrate, self.results_days);
        Writer { outage: self.outage.clone(), tally: self.tally.clone(), ..writer }
    }

    pub(crate) fn locate_once(&mut self, log: &Log, partitions: &[i32]) -> Result<Start, StoreError> {
        let (held, start) = self.in_session(|_, it| positions::locate(&mut it.session, log, partitions))?;
        self.positions = held;
        Ok(start)
    }

    /// Does something in the session that is held, or in a new session whose tables are ready. After a failure of the
    /// database, the session and what was read in it are thrown away.
    pub(crate) fn in_session<T>(
        &mut self,
        work: impl FnOnce(&mut Writer, &mut WriterSession) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut it = match self.session.take() {
            Some(it) => it,
            None => WriterSession::new(self.connections.get()?),
        };
        let outcome = self.make_ready(&mut it).and_then(|()| work(self, &mut it));
        let outcome = it.session.judge(outcome);
        if !matches!(outcome, Err(StoreError::Unavailable(_) | StoreError::Locked(_) | StoreError::Refused(_))) {
            self.session = Some(it);
        }
        outcome
    }

    /// Stores these entries, after which the partitions are at `ends`. With `refused`, sets all of them aside instead.
    /// Tries again when other writers changed something in between.
    pub(crate) fn store(
        &mut self,
        entries: &[Entry<'_>],
        ends: &Positions,
        refused: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut mode = WriteMode::Copy;
        let mut conflicts = 0;
        let mut had_partitions = true;
        loop {
            match self.in_session(|writer, it| writer.attempt(it, entries, ends, refused, mode)) {
                Err(StoreError::Stale) if conflicts < MOST_CONFLICTS => {
                    conflicts += 1;
                    self.forget(|it| it.cache.forget());
                }
                Err(StoreError::Clash) if mode == WriteMode::Copy => {
                    mode = WriteMode::Upsert;
                    if let Some(batches) = self.log.happened("clash", 1, Instant::now()) {
                        log::warn!(batches; "rows are there that the ledger does not know: stored one by one");
                    }
                }
                Err(StoreError::NoPartition(_)) if had_partitions => {
                    had_partitions = false;
                    self.forget(|it| it.partitions.forget());
                }
                Err(StoreError::NoPartition(text)) => return Err(StoreError::Refused(text)),
                outcome => return outcome,
            }
        }
    }

    pub(crate) fn forget(&mut self, forget: impl FnOnce(&mut WriterSession)) {
        self.session.as_mut().map(forget);
    }

    fn attempt(
        &mut self,
        it: &mut WriterSession,
        entries: &[Entry<'_>],
        ends: &Positions,
        refused: Option<&str>,
        mode: WriteMode,
    ) -> Result<(), StoreError> {
        let (connection, cache): (&mut PgConnection, _) = (&mut it.session, &mut it.cache);
        if entries.is_empty() {
            return self.move_on(connection, ends);
        }
        cache.trim();
        names::learn_epochs(connection, cache, entries)?;
        let plan = BatchPlan::new(entries, cache, self.window(), refused);
        if plan.is_empty() {
            self.positions.reach(ends);
            self.tally.stored(0, plan.replayed);
            return Ok(());
        }
        let monitors = names::monitors(connection, cache, &plan.results)?;
        it.partitions.ensure(connection, &plan.days())?;
        let rows = results::rows(&plan.results, &monitors);
        let monitors = monitors.iter().map(|monitor| (monitor.id, monitor.hash)).collect();
        let next = self.positions.next(ends);
        let content = Content { plan: &plan, rows: &rows, monitors, positions: (&self.positions, &next) };
        let doubled = transaction::run(connection, &content, mode)?;
        self.positions.committed(next);
        cache.account(plan.deltas.values());
        self.tally.stored(rows.len() as u64, plan.replayed);
        plan.rejects.iter().for_each(|reject| self.tally.rejected(reject.reason));
        log::debug!(rows = plan.results.len(), rejected = plan.rejects.len(), replayed = plan.replayed; "stored a batch");
        self.say_rejected(&plan);
        self.doubled.say(doubled);
        Ok(())
    }

    /// Compares positions, and writes those that were reached.
    fn move_on(&mut self, connection: &mut PgConnection, ends: &Positions) -> Result<(), StoreError> {
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

    fn make_ready(&self, it: &mut WriterSession) -> Result<(), StoreError> {
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

    /// Returns the days from the first day of the retention to tomorrow.
    pub(crate) fn window(&self) -> StorableDays {
        let today = day(Timestamp::now());
        StorableDays { oldest: today - self.results_days, newest: today + 1 }
    }

    fn say_rejected(&mut self, plan: &BatchPlan<'_>) {
        let mut by_reason: BTreeMap<&'static str, (u64, &Reject<'_>)> = BTreeMap::new();
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
