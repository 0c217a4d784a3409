//! A chunk: one sled database with the records of consecutive positions.
//!
//! sled 0.34 never gives space back, so chunks are small, and freeing one means removing its directory.
//! Its `flush()`, with which each append ends, is made durable by `durable`.
//!
//! ```text
//! head.json           where the epoch stood when the chunk was made; ours, beside sled's files
//! db, conf, snap.*    sled's
//!   f<position><n>    piece n of a frame (see frame.rs), under the position of its first record, big-endian
//!   cursor            the last position that was acknowledged while this chunk was the front one
//!   g<position>       a hole: from here to the value's position there are no records, and that is declared
//! ```
//!
//! A frame is cut into pieces since sled writes what is larger than a quarter of a segment into a file of its own,
//! which no fsync of ours covers, and one such item is a whole leaf of its tree: up to 17 values. Nearly every frame is
//! one piece. The first piece is written last, so a frame whose writing was cut short is not there. A position without
//! a record and without a hole is damage.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::chunk_error::ChunkError;
use super::database::{Opened, beginning, eight, fenced, frames, key, let_go, open, place, whole};
use super::frame;
use super::frame::Header;
use super::ledger::{EpochAt, Ledger};
use super::root::Root;
use crate::durable_file::{sync_directory, write_durably};
use crate::outbox::Entry;

/// The sizes of sled's segments: one chunk's size has an eighth of it, within these.
pub(in crate::outbox) const SEGMENT_SIZES: [usize; 3] = [512 * 1024, 1024 * 1024, 2 * 1024 * 1024];

const HEAD: &str = "head.json";
const CURSOR: &[u8] = b"cursor";
const HOLE: u8 = b'g';
/// Pieces of this fraction of a segment keep a leaf, with its keys, below a quarter of it.
const PIECES_PER_SEGMENT: usize = 4 * 18;

/// Where things stood when a chunk was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::outbox) struct Head {
    /// The chunk's first position.
    pub(in crate::outbox) first: u64,
    /// The epoch that ran, and the number that its next record would have.
    pub(in crate::outbox) epoch: Option<EpochAt>,
    /// Results were in the outbox up to this one (see journal.rs).
    pub(in crate::outbox) ordinal: u64,
    /// sled refuses to open a database with another segment size than it was made with.
    pub(in crate::outbox) segment_size: usize,
}

/// Positions without a record, from the first to the last, that are declared dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::outbox) struct Hole {
    pub(in crate::outbox) first: u64,
    pub(in crate::outbox) last: u64,
}

impl Hole {
    fn key(self) -> [u8; 9] {
        let mut key = [HOLE; 9];
        key[1..].copy_from_slice(&self.first.to_be_bytes());
        key
    }
}

/// One chunk, open or closed. Reading and appending open it when needed.
#[derive(Debug)]
pub(in crate::outbox) struct Chunk {
    path: PathBuf,
    head: Head,
    handle: RwLock<Handle>,
}

#[derive(Debug)]
enum Handle {
    Closed,
    Open(Opened),
    /// The chunk left the outbox: opening it again would make a new, empty one.
    Retired,
}

impl Chunk {
    /// Makes a new chunk that is there after a power cut. One that is half made is none: its directory gets its name
    /// once `head.json` is in it. What an earlier attempt left is replaced.
    pub(in crate::outbox) fn create(root: &Root, head: Head) -> Result<Chunk, ChunkError> {
        let path = root.chunk_path(head.first);
        let text = serde_json::to_vec(&head).map_err(io::Error::other)?;
        root.make_chunk(head.first, |made| write_durably(made, HEAD, &text))?;
        let chunk = Chunk { path, head, handle: RwLock::new(Handle::Closed) };
        chunk.with(|_| Ok(()))?;
        chunk.sync_made()?;
        sync_directory(root.path())?;
        Ok(chunk)
    }

    /// Fills a new chunk's directory with what was salvaged of a damaged one, and holes where nothing was.
    pub(in crate::outbox) fn fill(
        path: &Path,
        head: Head,
        frames: &BTreeMap<u64, Vec<u8>>,
        holes: &[Hole],
    ) -> io::Result<()> {
        let text = serde_json::to_vec(&head).map_err(io::Error::other)?;
        write_durably(path, HEAD, &text)?;
        let chunk = Chunk { path: path.to_owned(), head, handle: RwLock::new(Handle::Closed) };
        let filled = chunk.with(|opened| {
            for (position, frame) in frames {
                chunk.insert(opened, *position, frame)?;
            }
            for hole in holes {
                opened.db.insert(hole.key(), &hole.last.to_be_bytes())?;
            }
            opened.db.flush()?;
            Ok(())
        });
        chunk.close();
        filled.and_then(|()| Ok(chunk.sync_made()?)).map_err(|error| match error {
            ChunkError::Io(error) => error,
            damaged => io::Error::other(damaged),
        })
    }

    /// Makes the files of a new database durable by their names.
    fn sync_made(&self) -> io::Result<()> {
        for name in ["db", "conf"] {
            File::open(self.path.join(name))?.sync_all()?;
        }
        sync_directory(&self.path)
    }

    /// Finds a chunk that an earlier run made.
    pub(in crate::outbox) fn load(root: &Root, first: u64) -> Result<Chunk, ChunkError> {
        let path = root.chunk_path(first);
        let text = match fs::read(path.join(HEAD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ChunkError::Damaged(format!("{HEAD} is missing")));
            }
            other => other?,
        };
        let head: Head =
            serde_json::from_slice(&text).map_err(|error| ChunkError::Damaged(format!("{HEAD}: {error}")))?;
        if head.first != first {
            return Err(ChunkError::Damaged(format!("{HEAD} is of another chunk")));
        }
        Ok(Chunk { path, head, handle: RwLock::new(Handle::Closed) })
    }

    /// A chunk whose head can't be read. It is there to be repaired, not to be opened.
    pub(in crate::outbox) fn headless(root: &Root, first: u64) -> Chunk {
        let head = Head { first, epoch: None, ordinal: 0, segment_size: 0 };
        Chunk { path: root.chunk_path(first), head, handle: RwLock::new(Handle::Retired) }
    }

    pub(in crate::outbox) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::outbox) fn head(&self) -> Head {
        self.head
    }

    pub(in crate::outbox) fn first(&self) -> u64 {
        self.head.first
    }

    /// What it takes on disk, in bytes.
    pub(in crate::outbox) fn bytes_on_disk(&self) -> u64 {
        fs::metadata(self.path.join("db")).map_or(0, |metadata| metadata.blocks() * 512)
    }

    /// Appends frames, each under the position of its first record, and the hole before them, and keeps the cursor if
    /// there is one; durable when it returns.
    pub(in crate::outbox) fn append(
        &self,
        frames: &[(u64, Vec<u8>)],
        hole: Option<Hole>,
        cursor: Option<u64>,
    ) -> Result<(), ChunkError> {
        self.with(|opened| {
            for (position, frame) in frames {
                self.insert(opened, *position, frame)?;
            }
            // After the frames that declare it.
            if let Some(hole) = hole {
                opened.db.insert(hole.key(), &hole.last.to_be_bytes())?;
            }
            if let Some(cursor) = cursor {
                opened.db.insert(CURSOR, &cursor.to_be_bytes())?;
            }
            opened.db.flush()?;
            Ok(())
        })
    }

    fn insert(&self, opened: &Opened, position: u64, frame: &[u8]) -> Result<(), ChunkError> {
        for (n, piece) in (0..=u8::MAX).zip(frame.chunks(self.head.segment_size / PIECES_PER_SEGMENT)).rev() {
            opened.db.insert(key(position, n), piece)?;
        }
        Ok(())
    }

    /// The last frame: the position of its first record, and its header.
    pub(in crate::outbox) fn tail(&self) -> Result<Option<(u64, Header)>, ChunkError> {
        self.frame_at(u64::MAX)
    }

    /// The frame that holds a position, and the position of its first record.
    pub(in crate::outbox) fn frame_at(&self, position: u64) -> Result<Option<(u64, Header)>, ChunkError> {
        self.with(|opened| {
            let Some((first, piece)) = beginning(&opened.db, position)? else { return Ok(None) };
            Ok(Some((first, frame::header(&whole(&opened.db, first, &piece)?)?)))
        })
    }

    /// Records after a position and before `end`, in order, until there are `records` of them or they have `bytes`
    /// bytes. None when there are only holes up to the end; a position that is neither is damage.
    pub(in crate::outbox) fn read(
        &self,
        after: u64,
        end: u64,
        records: usize,
        bytes: usize,
    ) -> Result<Vec<Entry>, ChunkError> {
        self.with(|opened| {
            let from = beginning(&opened.db, after + 1)?.map_or(after + 1, |(first, _)| first);
            let mut entries: Vec<Entry> = Vec::new();
            let mut size = 0;
            let mut next = after + 1;
            for item in opened.db.range(key(from, 0).as_slice()..frames().end) {
                let (found, value) = item?;
                let (first, piece) = place(&found)?;
                if piece > 0 {
                    continue;
                }
                // What an attempt that the disk refused left beyond the chunk's end is none of it.
                if first >= end {
                    break;
                }
                if first > next && !self.is_hole(opened, next, first)? {
                    return found_before(entries, next, first);
                }
                let (header, payloads) =
                    match whole(&opened.db, first, &value).and_then(|frame| Ok(frame::decode(&frame)?)) {
                        Err(ChunkError::Damaged(_)) if !entries.is_empty() => return Ok(entries),
                        other => other?,
                    };
                next = next.max(first + u64::from(header.count));
                for (at, payload) in (0_u64..).zip(payloads) {
                    if first + at <= after || first + at >= end {
                        continue;
                    }
                    if entries.len() >= records || (size > 0 && size + payload.len() > bytes) {
                        return Ok(entries);
                    }
                    size += payload.len();
                    entries.push(Entry {
                        position: first + at,
                        epoch: header.epoch,
                        seq: header.first_seq + at,
                        payload,
                    });
                }
            }
            if next < end && !self.is_hole(opened, next, end)? {
                return found_before(entries, next, end);
            }
            Ok(entries)
        })
    }

    /// Tells a new ledger what the records here have to tell.
    pub(in crate::outbox) fn teach(&self, ledger: &mut Ledger) -> Result<(), ChunkError> {
        let told = std::cell::RefCell::new(ledger);
        self.with(|opened| {
            for item in opened.db.range(frames()) {
                let (found, value) = item?;
                let (first, 0) = place(&found)? else { continue };
                let (header, payloads) = frame::decode(&whole(&opened.db, first, &value)?)?;
                let mut told = told.borrow_mut();
                told.learn(header.epoch, first, header.first_seq);
                for (position, payload) in (first..).zip(payloads) {
                    if let Some(dropped) = wire::declared(&payload) {
                        told.declare(position, dropped);
                    }
                }
            }
            Ok(())
        })
    }

    /// Whether all positions `from..end` are in holes.
    fn is_hole(&self, opened: &Opened, from: u64, end: u64) -> Result<bool, ChunkError> {
        let mut next = from;
        for item in opened.db.scan_prefix([HOLE]) {
            let (found, value) = item?;
            let [HOLE, first @ ..] = &*found else { continue };
            if u64::from_be_bytes(eight(first)?) <= next {
                next = next.max(u64::from_be_bytes(eight(&value)?) + 1);
            }
        }
        Ok(next >= end)
    }

    /// The cursor that was kept here; none when this chunk was never the front one.
    pub(in crate::outbox) fn cursor(&self) -> Result<Option<u64>, ChunkError> {
        self.with(|opened| match opened.db.get(CURSOR)? {
            Some(bytes) => Ok(Some(u64::from_be_bytes(eight(&bytes)?))),
            None => Ok(None),
        })
    }

    /// Keeps the cursor.
    pub(in crate::outbox) fn set_cursor(&self, position: u64) -> Result<(), ChunkError> {
        self.with(|opened| {
            opened.db.insert(CURSOR, &position.to_be_bytes())?;
            opened.db.flush()?;
            Ok(())
        })
    }

    /// Gives up the handle: after an error of the disk, sled answers nothing but that error until it is reopened.
    pub(in crate::outbox) fn close(&self) {
        let mut handle = self.handle.write();
        if matches!(*handle, Handle::Open(_))
            && let Handle::Open(opened) = std::mem::replace(&mut *handle, Handle::Closed)
        {
            let_go(opened);
        }
    }

    /// Closes the chunk for good: anyone who still uses it is told that it is gone.
    pub(in crate::outbox) fn retire(&self) {
        let mut handle = self.handle.write();
        if let Handle::Open(opened) = std::mem::replace(&mut *handle, Handle::Retired) {
            let_go(opened);
        }
    }

    /// Closes, opens and closes: sled then has a snapshot to check its log against, so that damage which comes later
    /// shows as an error rather than as silence.
    pub(in crate::outbox) fn seal(&self) -> Result<(), ChunkError> {
        self.close();
        match self.with(|_| Ok(())) {
            // Drained meanwhile.
            Err(ChunkError::Retired) => return Ok(()),
            other => other?,
        }
        self.close();
        Ok(())
    }

    /// Runs `work` on the open database; opens it first when it is closed. An error of the disk closes it.
    fn with<T>(&self, work: impl Fn(&Opened) -> Result<T, ChunkError>) -> Result<T, ChunkError> {
        let result = loop {
            match &*self.handle.read() {
                Handle::Open(opened) => break fenced(|| work(opened)),
                Handle::Retired => return Err(ChunkError::Retired),
                Handle::Closed => {}
            }
            let mut handle = self.handle.write();
            if matches!(*handle, Handle::Closed) {
                *handle = Handle::Open(fenced(|| open(&self.path, self.head.segment_size))?);
            }
        };
        if matches!(result, Err(ChunkError::Io(_))) {
            self.close();
        }
        result
    }
}

/// What was found before a gap; it is damage only when nothing was.
fn found_before(entries: Vec<Entry>, next: u64, end: u64) -> Result<Vec<Entry>, ChunkError> {
    match entries.is_empty() {
        true => Err(ChunkError::Damaged(format!("the positions {next} to {} are missing", end - 1))),
        false => Ok(entries),
    }
}
