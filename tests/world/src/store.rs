//! A collector stores a batch in three steps. The product's own files decide what the batch comes to and what is
//! remembered. What PostgreSQL does with it is a model, statement by statement.
//!
//! ```text
//! 1  names (each on its own) ─▶ plan        2  lock, account        3  write, positions, commit
//! ```
//! Anything can happen between these steps, such as a rival, a crash, or a backup that comes back.

mod agents;
#[allow(dead_code, reason = "the product asks for more of it")]
#[path = "../../../collector/src/store/ingest/batch_plan.rs"]
mod batch_plan;
pub(crate) mod database;
mod facts;
#[allow(dead_code, reason = "the product asks for more of it")]
#[path = "../../../collector/src/store/ingest/ledger_cache.rs"]
mod ledger_cache;
mod names;
pub(crate) mod positions;
pub(crate) mod tables;
mod transaction;

pub(crate) use facts::{EpochFacts, facts};

use crate::batch::Batch;
use crate::common::Common;
use crate::cover::Rare;
use crate::rules::Rule;
use batch_plan::{BatchPlan, StorableDays};
use database::{Commit, Database};
use ledger_cache::LedgerCache;
use positions::{Known, Positions};
use transaction::Transaction;

/// This is a collector's side of the database.
#[derive(Default)]
pub(crate) struct Store {
    cache: LedgerCache,
    /// This is the session that it has. It does not notice that a session has ended before it uses it.
    session: Option<u64>,
    open: Option<Open>,
}

/// This is a transaction that is under way.
struct Open {
    transaction: Transaction,
    is_locked: bool,
}

/// A step says what becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is more to do, or to do again.
    Continues,
    /// It is stored.
    Stored,
    /// The database is not where this collector left it.
    Elsewhere,
}

/// All results are within the retention.
const ALWAYS: StorableDays = StorableDays { oldest: i64::MIN, newest: i64::MAX };

impl Store {
    pub(crate) const fn has_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// Does the next step with a batch, which ends at these positions.
    pub(crate) fn step(
        &mut self,
        batch: &Batch,
        ends: &Positions,
        known: &Known,
        database: &mut Database,
        common: &mut Common,
    ) -> Step {
        match self.open.take() {
            None => self.plan(batch, known, database, common),
            Some(_) if !self.session.is_some_and(|session| database.has(session)) => {
                common.meets(Rare::LostTransaction);
                self.fail(database)
            }
            Some(open) if open.is_locked => self.commit(open, ends, known, database, common),
            Some(open) => self.lock(open, database, common),
        }
    }

    /// Ends what is open, and forgets what is known of the database.
    pub(crate) fn leave(&mut self, database: &mut Database) {
        if let Some(session) = self.session.take() {
            database.end(session);
        }
        self.open = None;
        self.cache.forget();
    }

    /// Takes in that a statement failed. The product takes another session then, and forgets what it knew.
    fn fail(&mut self, database: &mut Database) -> Step {
        self.leave(database);
        Step::Continues
    }

    fn plan(&mut self, batch: &Batch, known: &Known, database: &mut Database, common: &mut Common) -> Step {
        if database.is_read_only {
            return self.fail(database);
        }
        if !self.session.is_some_and(|session| database.has(session)) {
            // The pool makes another session, and says nothing of it.
            self.session = Some(database.connect());
            if common.has(Rule::Memory) {
                self.cache.forget();
            }
            if common.has(Rule::Positions) && !known.is_of(&database.tables) {
                common.meets(Rare::SessionElsewhere);
                return Step::Elsewhere;
            }
        }
        let entries = batch.entries();
        names::learn_epochs(&mut database.tables, &mut self.cache, &entries, common.rules());
        let plan = BatchPlan::new(&entries, &self.cache, ALWAYS, None);
        if plan.is_empty() && !common.has(Rule::Positions) {
            return Step::Stored;
        }
        let monitor_ids = names::monitor_ids(&mut database.tables, &mut self.cache, &plan.results);
        let transaction = Transaction::of(&plan, &entries, &monitor_ids);
        self.open = Some(Open { transaction, is_locked: false });
        Step::Continues
    }

    fn lock(&mut self, open: Open, database: &mut Database, common: &mut Common) -> Step {
        let Some(session) = self.session else { return self.fail(database) };
        if !database.lock(open.transaction.locks(), session, common) {
            common.meets(Rare::Rival);
            self.open = Some(open);
        } else if open.transaction.is_stale(&database.tables) {
            common.meets(Rare::StaleMemory);
            database.unlock(session);
            self.cache.forget();
        } else {
            self.open = Some(Open { is_locked: true, ..open });
        }
        Step::Continues
    }

    fn commit(
        &mut self,
        open: Open,
        ends: &Positions,
        known: &Known,
        database: &mut Database,
        common: &mut Common,
    ) -> Step {
        let Some(session) = self.session else { return self.fail(database) };
        if common.has(Rule::Positions) {
            if !known.is_of_batch(ends, &database.tables) {
                common.meets(Rare::BatchElsewhere);
                database.unlock(session);
                return Step::Elsewhere;
            }
            known.advance(ends, &mut database.tables);
        }
        open.transaction.write(&mut database.tables, common);
        match database.commit(session) {
            Commit::Answered => {
                self.cache.account(open.transaction.deltas());
                Step::Stored
            }
            Commit::Unanswered => {
                common.meets(Rare::LostAnswer);
                self.fail(database)
            }
        }
    }
}
