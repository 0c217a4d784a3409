//! What lies on the disk: the directory, its chunks, and the files beside them.
//!
//! The `root` is the directory with its lock. A `chunk` is one sled database of frames; `database` opens it and `frame` says
//! how a record is written. The `journal` has results that are not in a chunk yet. The `ledger` and the `marks` tell what a
//! damaged chunk can no longer tell. `salvage` reads what is left of a damaged chunk, and `unreadable` decides when a chunk
//! that can't be read counts as damaged.
//!
//! Nothing here knows of threads, of the policy when the outbox is full, or of Kafka.

pub(super) mod chunk;
pub(super) mod chunk_error;
mod database;
pub(super) mod durable;
pub(super) mod frame;
pub(super) mod journal;
pub(super) mod ledger;
pub(super) mod marks;
pub(super) mod owner;
pub(super) mod root;
pub(super) mod salvage;
pub(super) mod unreadable;
