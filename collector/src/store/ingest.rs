//! Stores batches in PostgreSQL, each result once.
//!
//! ```text
//! locate ──▶ positions
//! batch ──▶ names (ids) ──▶ batch_plan (without what the ledger has) ──▶ partitions ──▶ transaction ──▶ ledger_cache
//! ```
//! Each layer uses the next one: `retry` waits for the database, `bisect` finds the records that the database refuses,
//! `writer` makes one attempt, and `transaction` writes what belongs to an attempt.
//!
//! The ledger says what arrived. It is a set of numbers in the row of each epoch, and it changes in the same
//! transaction as the rows. So a batch may be written any number of times, by any number of collectors, after any
//! crash: only the first time counts. The ledger's copy in memory only saves work, and ends with the session in which
//! it was read.
//!
//! A failure of the database does not end a batch: the store waits for the database for as long as it takes. A record
//! that the database refuses is set aside as a whole message.

pub(super) mod batch_plan;
mod bisect;
mod dirty_hours;
pub(super) mod ledger_cache;
pub(super) mod positions;
pub(super) mod retry;
pub(super) mod rows;
pub(super) mod transaction;
pub(super) mod writer;
