//! The outbox: where records wait, on disk, until Kafka has acknowledged them.
//!
//! ```text
//!  append ──▶ queue ──▶ committer ──▶ last chunk          front chunk ──▶ read ──▶ (publisher)
//!    ▲                   one thread,      │  rolls at 50,000      ▲                     │
//!    └── answered once ◀─ group commit ◀──┘  records or 16 MB     └──── acknowledge ◀───┘
//!        it is durable                                              the cursor; behind it chunks are freed
//! ```
//!
//! - **Positions** are local to this directory, dense, and count every record ever appended, from 1. A record's
//!   **sequence number** counts from 1 in its epoch; a frame on disk has both.
//! - **Durable** is what [`Outbox::append`] has returned for: the chunk's database was flushed, which [`disk::durable`] makes
//!   an `fdatasync`. A power cut cannot take it back. What was not answered yet may or may not be there.
//! - **A result** is in the [`disk::journal`] from the moment at which it is handed in until it is durable. A kill cannot take
//!   it back: the next start takes it up, as the last of the epoch before.
//! - **Deleted** is only what was acknowledged, a whole chunk at a time, or the oldest chunk when the directory is at
//!   its bound and the policy is to drop; the numbers of that one are first declared in a `dropped` record.
//! - **The cursor** is a mark that outlives the process, and one key in the front chunk that outlives the machine.
//!   Where it was set back, records are sent again under the same numbers.
//! - **An epoch** begins with each start. Its first record says where the one before it ended, so no copy or backup
//!   of this directory can ever use a number for two contents.
//! - **When the disk refuses**, the committer keeps what it has, closes the database, and tries again for as long as
//!   it takes. Results wait in memory up to a bound; what is thrown away beyond it gets numbers too and is declared.
//!   Nothing that was acknowledged is touched.
//! - **A chunk that can't be read** is kept, and tried again for ten minutes; then it counts as damaged.
//! - **A damaged chunk** is salvaged: what reads of it stays in its place under its own numbers, the rest is declared
//!   dropped, its files are kept as `bad-…`. The ledger and the marks tell what a damaged chunk no longer can. Until it
//!   is repaired nothing behind it is read.

mod commit;
mod delivery;
mod disk;
mod entry;
mod intake;
mod recover;
mod shared;
mod status;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use commit::committer::Committer;
pub use disk::owner::AsOwner;
pub use disk::root::OpenError;
pub use disk::unreadable::Reads;
pub use entry::Entry;
pub use intake::answer::Pending;
pub use intake::append::{AppendError, Number, Opening};
pub use intake::queue::Intake;
pub use status::{OldestPending, Status, read_status};

use crate::config::{OutboxConfig, WhenFull};
use disk::durable;
use disk::marks::Marks;
use disk::root::Root;
use parking_lot::{Condvar, Mutex};
use shared::{Bounds, Shared};

/// Pieces of memory from this size on are better given back at once: sled makes buffers of some MiB again for each
/// segment, and with glibc's own bound they take four times the memory while a backlog grows.
pub const LARGE: i32 = 512 * 1024;

/// How long a start waits for another process that is about to release the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// A handle to the outbox; clones are the same outbox.
#[derive(Clone, Debug)]
pub struct Outbox {
    shared: Arc<Shared>,
}

impl Outbox {
    /// Opens the outbox of a configuration, made if absent. Nothing can be appended until [`Outbox::start`].
    ///
    /// # Errors
    /// When another process has it, a later version wrote it, or the disk refuses.
    pub fn open(config: &OutboxConfig) -> Result<Outbox, OpenError> {
        Outbox::open_within(config, Intake::default(), Reads::default(), LOCK_PATIENCE)
    }

    /// As [`Outbox::open`], with an intake that may hold results already, and what is known of earlier attempts.
    ///
    /// # Errors
    /// As [`Outbox::open`].
    pub fn open_with(config: &OutboxConfig, intake: Intake, reads: Reads) -> Result<Outbox, OpenError> {
        Outbox::open_within(config, intake, reads, LOCK_PATIENCE)
    }

    fn open_within(
        config: &OutboxConfig,
        intake: Intake,
        reads: Reads,
        patience: Duration,
    ) -> Result<Outbox, OpenError> {
        assert!(durable::is_in_force(), "this program was linked so that its outbox is not durable");
        let root = Root::open(&config.path, patience)?;
        let failed = |source| OpenError::Io { path: config.path.clone(), action: "read the chunks".to_owned(), source };
        let marks = Marks::open(root.path()).map_err(failed)?;
        let (state, journal) = recover::recover(&root, &reads, config.max_size).map_err(failed)?;
        marks.set_last(state.last);
        marks.set_acknowledged(state.acknowledged);
        if !state.damaged.is_empty() || state.front() > state.acknowledged + 1 {
            intake.damaged();
        }
        intake.attach(journal, state.left.last().map_or(state.ordinal, |(ordinal, _)| *ordinal), config.sync);
        Ok(Outbox {
            shared: Arc::new(Shared {
                root,
                bounds: Bounds::of(config),
                state: Mutex::new(state),
                changed: Condvar::new(),
                intake,
                reads,
                marks,
                freeing: Mutex::default(),
                #[cfg(test)]
                refusal: std::sync::atomic::AtomicI32::new(0),
            }),
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.shared.root.path()
    }

    /// Takes results without making anybody wait.
    pub fn intake(&self) -> &Intake {
        &self.shared.intake
    }

    /// Whether records were dropped since the last time that this was asked which may have said what monitors are due in
    /// the running epoch. Not for being too large: they would be so again.
    pub fn take_list_lost(&self) -> bool {
        std::mem::take(&mut self.shared.state().list_lost)
    }

    /// Counts records as dropped whose declaration is durable.
    pub fn count_dropped(&self, records: u64) {
        self.shared.count_dropped(records);
    }

    /// Whether there is room for more results. Only the policy `pause` ever says no.
    pub fn has_room(&self) -> bool {
        self.shared.bounds.when_full == WhenFull::DropOldest || self.shared.has_room()
    }
}

#[cfg(test)]
mod tests;
