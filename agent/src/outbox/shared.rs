//! What all parts of one open outbox share: its directory, its bounds, and where it stands.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::disk::chunk::Chunk;
use super::disk::journal::Left;
use super::disk::ledger::{EpochAt, Ledger};
use super::disk::marks::Marks;
use super::disk::root::Root;
use super::disk::unreadable::Reads;
use super::intake::queue::Intake;
use crate::config::{OutboxConfig, WhenFull};

/// A chunk is rolled at this many records.
const CHUNK_RECORDS: u64 = 50_000;
/// A chunk is rolled at this many bytes on disk, or at an eighth of the outbox's bound.
const CHUNK_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) root: Root,
    pub(super) bounds: Bounds,
    pub(super) state: Mutex<State>,
    /// Told whenever more is durable or acknowledged.
    pub(super) changed: Condvar,
    pub(super) intake: Intake,
    pub(super) reads: Reads,
    pub(super) marks: Marks,
    pub(super) freeing: Mutex<()>,
    /// What the disk answers to every append, as an error number; 0 is none.
    #[cfg(test)]
    pub(super) refusal: std::sync::atomic::AtomicI32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_size: u64,
    pub(super) when_full: WhenFull,
    pub(super) chunk_records: u64,
    pub(super) chunk_bytes: u64,
}

#[derive(Debug)]
pub(super) struct State {
    /// Front first; the last one is appended to.
    pub(super) chunks: VecDeque<Arc<Chunk>>,
    /// The last durable position.
    pub(super) last: u64,
    /// Everything up to this position was acknowledged or dropped.
    pub(super) acknowledged: u64,
    /// How far of that a chunk was last told durably.
    pub(super) kept: u64,
    /// The running epoch, or the one that ran last.
    pub(super) epoch: Option<EpochAt>,
    /// Results were in the outbox up to this one when it was opened.
    pub(super) ordinal: u64,
    /// What an earlier run had in its journal alone, until an epoch begins.
    pub(super) left: Vec<Left>,
    /// Where epochs began, and what was declared.
    pub(super) ledger: Ledger,
    /// First positions of the chunks that are to be repaired before anything more is read of them.
    pub(super) damaged: BTreeSet<u64>,
    /// Records made durable since this handle was opened.
    pub(super) appended: u64,
    /// Records ever dropped from this outbox.
    pub(super) dropped: u64,
    /// Among them was what said which monitors are due, and no one has asked since.
    pub(super) list_lost: bool,
    /// Bytes on disk when last counted.
    pub(super) bytes: u64,
    /// Why the disk takes no records now.
    pub(super) refused: Option<String>,
}

impl Bounds {
    /// The bounds that a configuration gives.
    pub(super) fn of(config: &OutboxConfig) -> Bounds {
        Bounds {
            max_size: config.max_size,
            when_full: config.when_full,
            chunk_records: CHUNK_RECORDS,
            chunk_bytes: CHUNK_BYTES.min(config.max_size / 8),
        }
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn count_dropped(&self, records: u64) {
        let mut state = self.state();
        state.dropped += records;
        self.marks.set_dropped(state.dropped);
    }

    /// Counts the bytes on disk again.
    pub(super) fn count_bytes(&self) -> u64 {
        match self.root.bytes_on_disk() {
            Ok(bytes) => {
                self.state().bytes = bytes;
                bytes
            }
            Err(_) => self.state().bytes,
        }
    }

    /// Has a chunk repaired, and nothing read of it until then.
    pub(super) fn damaged(&self, chunk: &Arc<Chunk>, damage: &str) {
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
    pub(super) fn refusal(&self) -> std::io::Result<()> {
        match self.refusal.load(std::sync::atomic::Ordering::Relaxed) {
            0 => Ok(()),
            code => Err(std::io::Error::from_raw_os_error(code)),
        }
    }
}

impl State {
    /// The first position that a chunk is there for.
    pub(super) fn front(&self) -> u64 {
        self.chunks.front().map_or(self.last + 1, |front| front.first())
    }
}
