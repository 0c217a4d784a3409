//! A chunk: one sled database with the records of consecutive positions, and the only code that names sled.
//!
//! sled 0.34 never gives space back, so chunks are small, and freeing one means removing its directory.
//! Its `flush()` is not durable on Linux (it calls `sync_file_range`), so each append ends with `fdatasync` on a
//! descriptor of our own. Its recovery may panic on damage, so opening and reading are fenced by `catch_unwind`.
//!
//! ```text
//! head.json           where the epoch stood when the chunk was made; ours, beside sled's files
//! db, conf, snap.*    sled's
//!   f<position><n>    piece n of a frame (see frame.rs), under the position of its first record, big-endian
//!   cursor            the last position that was acknowledged while this chunk was the front one
//! ```
//!
//! A frame is cut into pieces since sled writes what is larger than a quarter of a segment into a file of its own,
//! which no fsync of ours covers, and one such item is a whole leaf of its tree: up to 17 values. Nearly every frame is
//! one piece. The first piece is written last, so a frame whose writing was cut short is not there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Entry;
use super::frame::{self, Header};
use super::root::{Root, sync_directory, write_durably};

const HEAD: &str = "head.json";
const CURSOR: &[u8] = b"cursor";
/// How long sled may take to let go of a database that was closed.
const LET_GO: Duration = Duration::from_secs(5);
const CACHE: u64 = 16 * 1024 * 1024;
/// Pieces of this fraction of a segment keep a leaf, with its keys, below a quarter of it.
const PIECES_PER_SEGMENT: usize = 4 * 18;

/// Where things stood when a chunk was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The chunk's first position.
    pub(super) first: u64,
    /// The epoch that ran, and the number that its next record would have.
    pub(super) epoch: Option<EpochAt>,
    /// sled refuses to open a database with another segment size than it was made with.
    pub(super) segment_size: usize,
}

/// An epoch and a sequence number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EpochAt {
    pub(super) epoch: Uuid,
    pub(super) next_seq: u64,
}

/// Why a chunk could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChunkError {
    /// The disk refused: what is there stays, and may be read later.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The files are not what was written.
    #[error("damaged: {0}")]
    Damaged(String),
}

impl From<sled::Error> for ChunkError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error)
                if !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
            {
                ChunkError::Io(error)
            }
            other => ChunkError::Damaged(other.to_string()),
        }
    }
}

impl From<frame::Damaged> for ChunkError {
    fn from(error: frame::Damaged) -> Self {
        ChunkError::Damaged(error.to_string())
    }
}

#[derive(Debug)]
struct Opened {
    db: sled::Db,
    /// A second descriptor of sled's file `db`, for `fdatasync`.
    file: File,
}

/// One chunk, open or closed. Reading and appending open it when needed.
#[derive(Debug)]
pub(super) struct Chunk {
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
    pub(super) fn create(root: &Root, head: Head) -> Result<Chunk, ChunkError> {
        let path = root.chunk_path(head.first);
        let text = serde_json::to_vec(&head).map_err(io::Error::other)?;
        root.make_chunk(head.first, |made| write_durably(made, HEAD, &text))?;
        let chunk = Chunk { path, head, handle: RwLock::new(Handle::Closed) };
        chunk.with(|_| Ok(()))?;
        for name in ["db", "conf"] {
            File::open(chunk.path.join(name))?.sync_all()?;
        }
        sync_directory(&chunk.path)?;
        sync_directory(root.path())?;
        Ok(chunk)
    }

    /// Finds a chunk that an earlier run made.
    pub(super) fn load(root: &Root, first: u64) -> Result<Chunk, ChunkError> {
        let path = root.chunk_path(first);
        let text = match fs::read(path.join(HEAD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ChunkError::Damaged(format!("{HEAD} is missing")));
            }
            other => other?,
        };
        let head: Head =
            serde_json::from_slice(&text).map_err(|error| ChunkError::Damaged(format!("{HEAD}: {error}")))?;
        Ok(Chunk { path, head, handle: RwLock::new(Handle::Closed) })
    }

    pub(super) fn head(&self) -> Head {
        self.head
    }

    pub(super) fn first(&self) -> u64 {
        self.head.first
    }

    /// What it takes on disk, in bytes.
    pub(super) fn bytes_on_disk(&self) -> u64 {
        fs::metadata(self.path.join("db")).map_or(0, |metadata| metadata.blocks() * 512)
    }

    /// Appends frames, each under the position of its first record; durable when it returns.
    pub(super) fn append(&self, frames: &[(u64, Vec<u8>)]) -> Result<(), ChunkError> {
        self.with(|opened| {
            for (position, frame) in frames {
                for (n, piece) in (0..=u8::MAX).zip(frame.chunks(self.head.segment_size / PIECES_PER_SEGMENT)).rev() {
                    opened.db.insert(key(*position, n), piece)?;
                }
            }
            opened.db.flush()?;
            Ok(opened.file.sync_data()?)
        })
    }

    /// The last frame: the position of its first record, and its header.
    pub(super) fn tail(&self) -> Result<Option<(u64, Header)>, ChunkError> {
        self.frame_at(u64::MAX)
    }

    /// The frame that holds a position, and the position of its first record.
    pub(super) fn frame_at(&self, position: u64) -> Result<Option<(u64, Header)>, ChunkError> {
        self.with(|opened| {
            let Some((first, piece)) = beginning(&opened.db, position)? else { return Ok(None) };
            Ok(Some((first, frame::header(&whole(&opened.db, first, &piece)?)?)))
        })
    }

    /// Records after a position, in order, until there are `records` of them or they have `bytes` bytes.
    pub(super) fn read(&self, after: u64, records: usize, bytes: usize) -> Result<Vec<Entry>, ChunkError> {
        self.with(|opened| {
            let from = beginning(&opened.db, after + 1)?.map_or(after + 1, |(first, _)| first);
            let mut entries = Vec::new();
            let mut size = 0;
            for item in opened.db.range(key(from, 0)..) {
                let (found, value) = item?;
                let (first, piece) = place(&found)?;
                if piece > 0 {
                    continue;
                }
                let (header, payloads) = frame::decode(&whole(&opened.db, first, &value)?)?;
                for (at, payload) in (0_u64..).zip(payloads) {
                    if first + at <= after {
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
            Ok(entries)
        })
    }

    /// The cursor that was kept here; none when this chunk was never the front one.
    pub(super) fn cursor(&self) -> Result<Option<u64>, ChunkError> {
        self.with(|opened| match opened.db.get(CURSOR)? {
            Some(bytes) => Ok(Some(u64::from_be_bytes(eight(&bytes)?))),
            None => Ok(None),
        })
    }

    /// Keeps the cursor over a kill. Not over a power cut: what is sent again then is stored once all the same.
    pub(super) fn set_cursor(&self, position: u64) -> Result<(), ChunkError> {
        self.with(|opened| {
            opened.db.insert(CURSOR, &position.to_be_bytes())?;
            opened.db.flush()?;
            Ok(())
        })
    }

    /// Gives up the handle: after an error of the disk, sled answers nothing but that error until it is reopened.
    pub(super) fn close(&self) {
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*handle, Handle::Retired) {
            self.let_go(std::mem::replace(&mut *handle, Handle::Closed));
        }
    }

    /// Closes the chunk for good: whoever still uses it is told that it is gone.
    pub(super) fn retire(&self) {
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        self.let_go(std::mem::replace(&mut *handle, Handle::Retired));
    }

    fn let_go(&self, handle: Handle) {
        // Dropping flushes, which may panic on a disk that refuses; nothing acknowledged depends on it.
        if catch_unwind(AssertUnwindSafe(|| drop(handle))).is_err() {
            log::debug!(chunk:? = self.path; "closing a chunk panicked");
        }
    }

    /// Closes, opens and closes: sled then has a snapshot to check its log against, so that damage which comes later
    /// shows as an error rather than as silence.
    pub(super) fn seal(&self) -> Result<(), ChunkError> {
        self.close();
        match self.with(|_| Ok(())) {
            // Drained meanwhile.
            Err(ChunkError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        self.close();
        Ok(())
    }

    /// Runs `work` on the open database; opens it first when it is closed. An error of the disk closes it.
    fn with<T>(&self, work: impl Fn(&Opened) -> Result<T, ChunkError>) -> Result<T, ChunkError> {
        let result = loop {
            match &*self.handle.read().unwrap_or_else(PoisonError::into_inner) {
                Handle::Open(opened) => break fenced(|| work(opened)),
                Handle::Retired => return Err(io::Error::from(io::ErrorKind::NotFound).into()),
                Handle::Closed => {}
            }
            let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
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

fn open(path: &Path, segment_size: usize) -> Result<Opened, ChunkError> {
    // A kill while sled writes a snapshot leaves this file, which it would then read as the newest one.
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("snap.") && name.to_string_lossy().ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    let config =
        || sled::Config::new().path(path).cache_capacity(CACHE).segment_size(segment_size).flush_every_ms(None);
    let deadline = Instant::now() + LET_GO;
    let db = loop {
        match config().open() {
            Err(error) if is_locked(&error) && Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            other => break other?,
        }
    };
    Ok(Opened { db, file: File::open(path.join("db"))? })
}

/// Whether sled's own lock on a chunk is still held. Only by us: the outbox's lock keeps others out, but sled's threads
/// let go of a database somewhat after it was closed.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

fn fenced<T>(work: impl FnOnce() -> Result<T, ChunkError>) -> Result<T, ChunkError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(ChunkError::Damaged(format!("sled panicked: {text}")))
    })
}

/// The first piece of the last frame that begins at or before a position.
fn beginning(db: &sled::Db, position: u64) -> Result<Option<(u64, sled::IVec)>, ChunkError> {
    for item in db.range(key(0, 0)..=key(position, u8::MAX)).rev() {
        let (found, value) = item?;
        if let (first, 0) = place(&found)? {
            return Ok(Some((first, value)));
        }
    }
    Ok(None)
}

/// The whole frame that begins with `piece`.
fn whole(db: &sled::Db, first: u64, piece: &[u8]) -> Result<Vec<u8>, ChunkError> {
    let length = frame::length(piece)?;
    let mut frame = piece.to_vec();
    for n in 1..=u8::MAX {
        if frame.len() >= length {
            break;
        }
        match db.get(key(first, n))? {
            Some(piece) => frame.extend_from_slice(&piece),
            None => break,
        }
    }
    Ok(frame)
}

fn key(position: u64, piece: u8) -> [u8; 10] {
    let mut key = [b'f'; 10];
    key[1..9].copy_from_slice(&position.to_be_bytes());
    key[9] = piece;
    key
}

/// The position and the piece that a key stands for.
fn place(key: &[u8]) -> Result<(u64, u8), ChunkError> {
    match key {
        [b'f', position @ .., piece] => Ok((u64::from_be_bytes(eight(position)?), *piece)),
        _ => Err(ChunkError::Damaged("a key is none of ours".into())),
    }
}

fn eight(bytes: &[u8]) -> Result<[u8; 8], ChunkError> {
    bytes.try_into().map_err(|_| ChunkError::Damaged("a number is not eight bytes long".into()))
}
