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
//! - **Durable** is what [`Outbox::append`] has returned for: the chunk's database was flushed and `fdatasync`ed.
//!   A power cut cannot take it back. What was not answered yet may or may not be there.
//! - **Deleted** is only what was acknowledged, a whole chunk at a time, or the oldest chunk when the directory is at
//!   its bound and the policy is to drop; the numbers of that one are first declared in a `dropped` record.
//! - **The cursor** is one key in the front chunk, flushed but not synced: a kill keeps it, a power cut may set it
//!   back, and then records are sent again under the same numbers.
//! - **An epoch** begins with each start. Its first record says where the one before it ended, so no copy or backup
//!   of this directory can ever use a number for two contents.
//! - **When the disk refuses**, the committer keeps what it has, closes the database, and tries again for as long as
//!   it takes. Whoever appends waits. Nothing that was acknowledged is touched.
//! - **A damaged chunk** is renamed to `bad-…`, said aloud, and the others go on.

mod chunk;
mod committer;
mod declaration;
mod frame;
mod queue;
mod root;
mod status;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

pub use committer::{AppendError, Committer, Number, Opening};
pub use root::OpenError;
pub use status::{OldestPending, Status, read_status};

use chunk::{Chunk, ChunkError, EpochAt};
use queue::Queue;
use root::Root;

use crate::config::{OutboxConfig, WhenFull};

/// A chunk is rolled at this many records.
const CHUNK_RECORDS: u64 = 50_000;
/// A chunk is rolled at this many bytes on disk, or at an eighth of the outbox's bound.
const CHUNK_BYTES: u64 = 16 * 1024 * 1024;
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
    queue: Queue,
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
    /// The running epoch, or the one that ran last.
    epoch: Option<EpochAt>,
    /// Records made durable since this handle was opened.
    appended: u64,
    /// Records dropped since this handle was opened.
    dropped: u64,
    /// Bytes on disk when last counted.
    bytes: u64,
}

impl Outbox {
    /// Opens the outbox of a configuration, made if absent. Nothing can be appended until [`Outbox::start`].
    ///
    /// # Errors
    /// When another process has it, a later version wrote it, or the disk refuses.
    pub fn open(config: &OutboxConfig) -> Result<Outbox, OpenError> {
        Outbox::open_within(config, LOCK_PATIENCE)
    }

    fn open_within(config: &OutboxConfig, patience: Duration) -> Result<Outbox, OpenError> {
        let root = Root::open(&config.path, patience)?;
        let bounds = Bounds {
            max_size: config.max_size,
            when_full: config.when_full,
            chunk_records: CHUNK_RECORDS,
            chunk_bytes: CHUNK_BYTES.min(config.max_size / 8),
        };
        let failed = |error: ChunkError| OpenError::Io {
            path: config.path.clone(),
            action: "read the chunks".to_owned(),
            source: match error {
                ChunkError::Io(error) => error,
                damaged => io::Error::new(io::ErrorKind::InvalidData, damaged.to_string()),
            },
        };
        let state = recover(&root).map_err(failed)?;
        Ok(Outbox {
            shared: Arc::new(Shared {
                root,
                bounds,
                state: Mutex::new(state),
                changed: Condvar::new(),
                queue: Queue::default(),
            }),
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.shared.root.path()
    }

    /// Up to `records` durable records after a position, in order, bounded by the sum of their payloads' bytes.
    /// Empty when there are none. What was dropped meanwhile, or lost to damage, is passed over: then the positions have
    /// a gap.
    ///
    /// # Errors
    /// When the disk refuses; a later call may succeed.
    pub fn read(&self, after: u64, records: usize, bytes: usize) -> io::Result<Vec<Entry>> {
        let mut after = after;
        loop {
            let (chunk, next, last) = {
                let state = self.shared.state();
                after = after.max(state.acknowledged);
                if after >= state.last {
                    return Ok(Vec::new());
                }
                let at = state.chunks.partition_point(|chunk| chunk.first() <= after + 1).saturating_sub(1);
                let Some(chunk) = state.chunks.get(at) else { return Ok(Vec::new()) };
                (Arc::clone(chunk), state.chunks.get(at + 1).map(|next| next.first()), state.last)
            };
            match chunk.read(after, records, bytes) {
                Ok(mut entries) => {
                    // What an attempt that the disk refused left beyond the chunk's end is none of it.
                    entries.retain(|entry| entry.position <= last && next.is_none_or(|next| entry.position < next));
                    match next {
                        // Nothing more in this chunk, though there should be: it lost its end.
                        Some(next) if entries.is_empty() && after + 1 < next => {
                            log::error!(lost = next - after - 1; "a chunk of the outbox ends early");
                            after = next - 1;
                        }
                        Some(next) if entries.is_empty() => after = next - 1,
                        _ => return Ok(entries),
                    }
                }
                Err(ChunkError::Io(error)) => return Err(error),
                Err(ChunkError::Damaged(damage)) => self.shared.set_aside(&chunk, &damage)?,
            }
        }
    }

    /// Waits until there is a durable record after a position; whether there is one.
    pub fn wait(&self, after: u64, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| state.last > after)
    }

    /// Waits until everything up to a position was acknowledged or dropped; whether it was.
    pub fn wait_acknowledged(&self, position: u64, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| state.acknowledged >= position)
    }

    fn wait_until(&self, timeout: Duration, holds: impl Fn(&State) -> bool) -> bool {
        let state = self.shared.state();
        let waited = self.shared.changed.wait_timeout_while(state, timeout, |state| !holds(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// The last position that was acknowledged or dropped.
    pub fn acknowledged(&self) -> u64 {
        self.shared.state().acknowledged
    }

    /// The last durable position.
    pub fn last(&self) -> u64 {
        self.shared.state().last
    }

    /// How many records wait.
    pub fn pending(&self) -> u64 {
        let state = self.shared.state();
        state.last - state.acknowledged
    }

    /// Moves the cursor: everything up to `position` has been delivered. Frees the chunks behind it.
    ///
    /// # Errors
    /// When the disk refuses. What should have been freed is freed by a later call or at the next start.
    pub fn acknowledge(&self, position: u64) -> io::Result<()> {
        let (front, freed, drained) = {
            let mut state = self.shared.state();
            if position <= state.acknowledged {
                return Ok(());
            }
            state.acknowledged = position.min(state.last);
            self.shared.changed.notify_all();
            let freed = state.behind_cursor();
            (state.chunks.front().cloned(), freed, state.acknowledged == state.last)
        };
        self.shared.free(freed, position)?;
        if let Some(front) = front {
            match front.set_cursor(position) {
                Err(ChunkError::Io(error)) => return Err(error),
                // The next read finds the damage and sets the chunk aside.
                Err(ChunkError::Damaged(damage)) => log::debug!(damage; "the cursor was not kept"),
                Ok(()) => {}
            }
        }
        if drained {
            self.shared.queue.drained();
        }
        Ok(())
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

    /// Counts the bytes on disk anew.
    fn count_bytes(&self) -> u64 {
        match self.root.bytes_on_disk() {
            Ok(bytes) => {
                self.state().bytes = bytes;
                bytes
            }
            Err(_) => self.state().bytes,
        }
    }

    /// Whether the next chunk fits under the bound. It may become somewhat larger than what it is rolled at.
    fn has_room(&self) -> bool {
        self.count_bytes() + self.bounds.chunk_bytes + self.bounds.chunk_bytes / 4 <= self.bounds.max_size
    }

    /// Removes chunks for good. The cursor is made durable first, so that no later start looks for them.
    fn free(&self, chunks: Vec<Arc<Chunk>>, position: u64) -> io::Result<()> {
        if chunks.is_empty() {
            return Ok(());
        }
        self.root.set_cursor(position)?;
        for chunk in chunks {
            chunk.retire();
            self.root.bury(chunk.first())?;
        }
        Ok(())
    }

    fn set_aside(&self, chunk: &Arc<Chunk>, damage: &str) -> io::Result<()> {
        {
            let mut state = self.state();
            let before = state.chunks.len();
            state.chunks.retain(|other| !Arc::ptr_eq(other, chunk));
            if state.chunks.len() == before {
                return Ok(());
            }
        }
        chunk.retire();
        let kept = self.root.set_aside(chunk.first())?;
        log::error!(damage, kept:? = kept; "a chunk of the outbox is damaged; it is kept aside, its records are not sent");
        Ok(())
    }
}

impl State {
    /// Takes out the chunks that the cursor has passed; never the last one.
    fn behind_cursor(&mut self) -> Vec<Arc<Chunk>> {
        let mut freed = Vec::new();
        while self.chunks.get(1).is_some_and(|next| next.first() <= self.acknowledged + 1) {
            freed.extend(self.chunks.pop_front());
        }
        freed
    }
}

/// Reads where things stand from the chunks on disk. Only the first and the last chunk are opened.
fn recover(root: &Root) -> Result<State, ChunkError> {
    let mut chunks = VecDeque::new();
    for first in root.chunks()? {
        match Chunk::load(root, first) {
            Ok(chunk) => chunks.push_back(Arc::new(chunk)),
            Err(error) => quarantine(root, first, error)?,
        }
    }
    let acknowledged = root.cursor()?;
    let mut state = State { chunks, last: acknowledged, acknowledged, epoch: None, appended: 0, dropped: 0, bytes: 0 };
    while let Some(last) = state.chunks.back() {
        let head = last.head();
        match last.tail() {
            Ok(Some((position, header))) => {
                state.last = position + u64::from(header.count) - 1;
                state.epoch = Some(EpochAt { epoch: header.epoch, next_seq: header.last_seq() + 1 });
                break;
            }
            Ok(None) => {
                state.last = head.first - 1;
                state.epoch = head.epoch;
                break;
            }
            Err(error) => {
                last.close();
                quarantine(root, head.first, error)?;
                state.epoch = head.epoch;
                state.chunks.pop_back();
            }
        }
    }
    if let Some(front) = state.chunks.front() {
        state.acknowledged = acknowledged.max(front.first() - 1);
        match front.cursor() {
            Ok(cursor) => state.acknowledged = state.acknowledged.max(cursor.unwrap_or(0)),
            Err(ChunkError::Io(error)) => return Err(error.into()),
            // The first read finds it and sets the chunk aside.
            Err(ChunkError::Damaged(damage)) => log::debug!(damage; "the cursor can't be read"),
        }
    }
    // Positions are never used again below the cursor, even when damage took the records that had them.
    state.last = state.last.max(state.acknowledged);
    for chunk in state.behind_cursor() {
        root.bury(chunk.first())?;
    }
    state.bytes = root.bytes_on_disk()?;
    Ok(state)
}

fn quarantine(root: &Root, first: u64, error: ChunkError) -> Result<(), ChunkError> {
    let ChunkError::Damaged(damage) = error else { return Err(error) };
    let kept = root.set_aside(first)?;
    log::error!(damage, kept:? = kept; "a chunk of the outbox is damaged; it is kept aside, its records are not sent");
    Ok(())
}

#[cfg(test)]
mod tests;
