//! The positions from which the partitions of a topic are read. `consume` and `store` pass them to each other.
//!
//! The database has the position of each partition, which changes in the transaction of the rows. A partition that is
//! assigned is read from this position, and never only from the offset that Kafka has. So a database that was set back
//! is filled again without help.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

/// The position up to which a partition is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The offset from which the partition is read next.
    pub next: i64,
    /// Kafka's leader epoch of the message before that offset. It is none where it is not known. By this number Kafka
    /// recognises that the log before the position was cut.
    pub leader_epoch: Option<i32>,
}

/// The positions of some partitions.
pub type Positions = BTreeMap<i32, Position>;

/// A topic as it is now. A topic that was deleted and created again has another id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The name of the topic.
    pub topic: Arc<str>,
    /// Kafka's id of the topic. It is none where the brokers give no id.
    pub id: Option<String>,
}

/// The positions from which a database wants partitions to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The identity of that database.
    pub database: Uuid,
    /// The position from which each partition is read.
    pub positions: Positions,
}

/// The outcome of writing a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The batch is stored.
    Stored,
    /// The database is not where this collector left it: it was set back, or another collector went on. Nothing was
    /// stored, and the partitions have to be located again.
    Moved,
    /// The batch is not stored, since the caller said that it is over.
    GivenUp,
}
