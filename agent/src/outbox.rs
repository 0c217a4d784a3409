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
//! - **Durable** is what [`Outbox::append`] has returned for: the chunk's database was flushed, which [`durable`] makes
//!   an `fdatasync`. A power cut cannot take it back. What was not answered yet may or may not be there.
//! - **A result** is in the [`journal`] from the moment at which it is handed in until it is durable. A kill cannot take
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

mod answer;
mod append;
mod chunk;
mod chunk_error;
mod committer;
mod database;
mod declaration;
mod declaring;
mod delivery;
mod durable;
mod eviction;
mod frame;
mod journal;
mod ledger;
mod marks;
mod owner;
mod queue;
mod recover;
mod repair;
mod root;
mod salvage;
mod status;
mod unreadable;
mod writer;

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

pub use answer::Pending;
pub use append::{AppendError, Number, Opening};
pub use committer::Committer;
pub use owner::AsOwner;
pub use queue::Intake;
pub use root::OpenError;
pub use status::{OldestPending, Status, read_status};
pub use unreadable::Reads;

use chunk::Chunk;
use journal::Left;
use ledger::EpochAt;
use ledger::Ledger;
use marks::Marks;
use root::Root;

use crate::config::{OutboxConfig, WhenFull};

/// Pieces of memory from this size on are better given back at once: sled makes buffers of some MiB again for each
/// segment, and with glibc's own bound they take four times the memory while a backlog grows.
pub const LARGE: i32 = 512 * 1024;

/// A chunk is rolled at this many records.
const CHUNK_RECORDS: u64 = 50_000;
/// A chunk is rolled at this many bytes on disk, or at an eighth of the outbox's bound.
const CHUNK_BYTES: u64 = 16 * 1024 * 1024;
/// The sizes of sled's segments: one chunk's size has an eighth of it, within these.
const SEGMENT_SIZES: [usize; 3] = [512 * 1024, 1024 * 1024, 2 * 1024 * 1024];
/// A drained chunk smaller than this is kept rather than rolled.
const WORTH_FREEING: u64 = 256 * 1024;
/// How long a start waits for another process that is about to release the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// A record as it waits: everything but its place in a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it stands in this outbox.
    pub position: u64,
    /// Its epoch.
    pub epoch: Uuid,
    /// Its number in the epoch.
    pub seq: u64,
    /// What [`wire::payload`] made of it.
    pub payload: Vec<u8>,
}

/// A handle to the outbox; clones are the same outbox.
#[derive(Clone, Debug)]
pub struct Outbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: Root,
    bounds: Bounds,
    state: Mutex<State>,
    /// Told whenever more is durable or acknowledged.
    changed: Condvar,
    intake: Intake,
    reads: Reads,
    marks: Marks,
    freeing: Mutex<()>,
    /// What the disk answers to every append, as an error number; 0 is none.
    #[cfg(test)]
    refusal: std::sync::atomic::AtomicI32,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    max_size: u64,
    when_full: WhenFull,
    chunk_records: u64,
    chunk_bytes: u64,
}

#[derive(Debug)]
struct State {
    /// Front first; the last one is appended to.
    chunks: VecDeque<Arc<Chunk>>,
    /// The last durable position.
    last: u64,
    /// Everything up to this position was acknowledged or dropped.
    acknowledged: u64,
    /// How far of that a chunk was last told durably.
    kept: u64,
    /// The running epoch, or the one that ran last.
    epoch: Option<EpochAt>,
    /// Results were in the outbox up to this one when it was opened.
    ordinal: u64,
    /// What an earlier run had in its journal alone, until an epoch begins.
    left: Vec<Left>,
    /// Where epochs began, and what was declared.
    ledger: Ledger,
    /// First positions of the chunks that are to be repaired before anything more is read of them.
    damaged: BTreeSet<u64>,
    /// Records made durable since this handle was opened.
    appended: u64,
    /// Records ever dropped from this outbox.
    dropped: u64,
    /// Among them was what said which monitors are due, and no one has asked since.
    list_lost: bool,
    /// Bytes on disk when last counted.
    bytes: u64,
    /// Why the disk takes no records now.
    refused: Option<String>,
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
        let bounds = Bounds {
            max_size: config.max_size,
            when_full: config.when_full,
            chunk_records: CHUNK_RECORDS,
            chunk_bytes: CHUNK_BYTES.min(config.max_size / 8),
        };
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
                bounds,
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

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_dropped(&self, records: u64) {
        let mut state = self.state();
        state.dropped += records;
        self.marks.set_dropped(state.dropped);
    }

    /// Counts the bytes on disk again.
    fn count_bytes(&self) -> u64 {
        match self.root.bytes_on_disk() {
            Ok(bytes) => {
                self.state().bytes = bytes;
                bytes
            }
            Err(_) => self.state().bytes,
        }
    }

    /// Has a chunk repaired, and nothing read of it until then.
    fn damaged(&self, chunk: &Arc<Chunk>, damage: &str) {
        let noted = {
            let mut state = self.state();
            // Not when it left the outbox meanwhile.
            let there = state.chunks.iter().any(|other| Arc::ptr_eq(other, chunk));
            there && state.damaged.insert(chunk.first())
        };
        if noted {
            log::error!(damage, first = chunk.first(); "a chunk of the outbox is damaged; what reads of it is salvaged");
            self.intake.damaged();
        }
    }

    /// What a test has the disk answer.
    #[cfg(test)]
    fn refusal(&self) -> std::io::Result<()> {
        match self.refusal.load(std::sync::atomic::Ordering::Relaxed) {
            0 => Ok(()),
            code => Err(std::io::Error::from_raw_os_error(code)),
        }
    }
}

impl State {
    /// The first position that a chunk is there for.
    fn front(&self) -> u64 {
        self.chunks.front().map_or(self.last + 1, |front| front.first())
    }
}

#[cfg(test)]
mod tests;
