//! Batches into PostgreSQL, each result once.
//!
//! ```text
//! locate ──▶ positions
//! batch ──▶ names (ids) ──▶ batch_plan (without what the ledger has) ──▶ partitions ──▶ transaction ──▶ ledger_cache
//! ```
//! One layer stands on the other: `retry` waits for the database, `bisect` finds the records that it refuses, `writer` makes
//! one attempt, and `transaction` is what an attempt writes.
//!
//! The truth about what arrived is the ledger, a set of numbers in each epoch's row, which changes in the same transaction as
//! the rows. So a batch may be written any number of times, by any number of collectors, after any crash: only the first time
//! counts. What is remembered of the ledger merely saves work, and ends with the session in which it was read.
//!
//! A batch is never given up: the store waits for the database for as long as it takes. A record that the database refuses is
//! set aside, whole.

pub(super) mod batch_plan;
mod bisect;
mod dirty_hours;
pub(super) mod ledger_cache;
pub(super) mod positions;
pub(super) mod retry;
pub(super) mod rows;
pub(super) mod transaction;
pub(super) mod writer;
