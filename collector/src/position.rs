//! Where the reading of a topic's partitions goes on: what passes between `consume` and `store`.
//!
//! The database has the position of each partition, which changes in the transaction of the rows. A partition that is
//! assigned is read from there, never from Kafka's word alone: so a database that was set back is filled again by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

/// Up to where a partition is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The offset from which it is read on.
    pub next: i64,
    /// Kafka's leader epoch of the message before that; none where it is not known. When the log before the position was
    /// cut since, Kafka knows it by this number.
    pub leader_epoch: Option<i32>,
}

/// The positions of some partitions.
pub type Positions = BTreeMap<i32, Position>;

/// A topic as it is now. One that was deleted and made again has another id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Its name.
    pub topic: Arc<str>,
    /// Kafka's id of it; none where the brokers give none.
    pub id: Option<String>,
}

/// Where a database wants partitions to be read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What that database is.
    pub database: Uuid,
    /// From where each partition is read.
    pub positions: Positions,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Stored,
    /// The database is not where this collector left it: it was set back, or another collector went on. Nothing was
    /// stored; the partitions are to be located again.
    Moved,
    /// It is not stored, since the caller said that it is over.
    GivenUp,
}
