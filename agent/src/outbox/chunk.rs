//! A chunk: one sled database with the records of consecutive positions, and the only code that names sled.
//!
//! sled 0.34 never gives space back, so chunks are small, and freeing one means removing its directory.
//! Its `flush()` is not durable on Linux (it calls `sync_file_range`), so each append ends with `fdatasync` on a
//! descriptor of our own. Its recovery may panic on damage, so opening and reading are fenced by `catch_unwind`.
//!
//! ```text
//! head.json           where the epoch stood when the chunk was made; ours, beside sled's files
//! db, conf, snap.*    sled's
//!   f<position>       a frame (see frame.rs), under the position of its first record, big-endian
//!   cursor            the last position that was acknowledged while this chunk was the front one
//! ```

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Entry;
use super::frame::{self, Header};
use super::root::{Root, sync_directory, write_durably};

const HEAD: &str = "head.json";
const CURSOR: &[u8] = b"cursor";
const CACHE: u64 = 16 * 1024 * 1024;

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
    opened: RwLock<Option<Opened>>,
}

impl Chunk {
    /// Makes a new chunk that is there after a power cut.
    pub(super) fn create(root: &Root, head: Head) -> Result<Chunk, ChunkError> {
        let path = root.chunk_path(head.first);
        fs::create_dir(&path)?;
        let text = serde_json::to_vec(&head).map_err(io::Error::other)?;
        write_durably(&path, HEAD, &text)?;
        let chunk = Chunk { path, head, opened: RwLock::new(None) };
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
        Ok(Chunk { path, head, opened: RwLock::new(None) })
    }

    pub(super) fn head(&self) -> Head {
        self.head
    }

    pub(super) fn first(&self) -> u64 {
        self.head.first
    }

    /// Appends frames, each under the position of its first record; durable when it returns.
    pub(super) fn append(&self, frames: &[(u64, Vec<u8>)]) -> Result<(), ChunkError> {
        self.with(|opened| {
            for (position, frame) in frames {
                opened.db.insert(key(*position), frame.as_slice())?;
            }
            opened.db.flush()?;
            Ok(opened.file.sync_data()?)
        })
    }

    /// The last frame: the position of its first record, and its header.
    pub(super) fn tail(&self) -> Result<Option<(u64, Header)>, ChunkError> {
        self.with(|opened| last_frame(opened.db.range(key(0)..=key(u64::MAX)).next_back()))
    }

    /// The frame that holds a position, and the position of its first record.
    pub(super) fn frame_at(&self, position: u64) -> Result<Option<(u64, Header)>, ChunkError> {
        self.with(|opened| last_frame(opened.db.range(key(0)..=key(position)).next_back()))
    }

    /// Records after a position, in order, until there are `records` of them or they have `bytes` bytes.
    pub(super) fn read(&self, after: u64, records: usize, bytes: usize) -> Result<Vec<Entry>, ChunkError> {
        self.with(|opened| {
            let from = match opened.db.range(key(0)..=key(after + 1)).next_back() {
                Some(found) => position(&found?.0)?,
                None => after + 1,
            };
            let mut entries = Vec::new();
            let mut size = 0;
            for item in opened.db.range(key(from)..=key(u64::MAX)) {
                let (found, value) = item?;
                let (header, payloads) = frame::decode(&value)?;
                let first = position(&found)?;
                for (at, payload) in payloads.into_iter().enumerate() {
                    let at = at as u64;
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
        let mut opened = self.opened.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(opened) = opened.take() {
            // Dropping flushes, which may panic on a disk that refuses; nothing acknowledged depends on it.
            if catch_unwind(AssertUnwindSafe(|| drop(opened))).is_err() {
                log::debug!(chunk:? = self.path; "closing a chunk panicked");
            }
        }
    }

    /// Closes, opens and closes: sled then has a snapshot to check its log against, so that damage which comes later
    /// shows as an error rather than as silence.
    pub(super) fn seal(&self) -> Result<(), ChunkError> {
        self.close();
        self.with(|_| Ok(()))?;
        self.close();
        Ok(())
    }

    /// Runs `work` on the open database; opens it first when it is closed. An error of the disk closes it.
    fn with<T>(&self, work: impl Fn(&Opened) -> Result<T, ChunkError>) -> Result<T, ChunkError> {
        let result = loop {
            let opened = self.opened.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(opened) = opened.as_ref() {
                break fenced(|| work(opened));
            }
            drop(opened);
            let mut opened = self.opened.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            if opened.is_none() {
                *opened = Some(fenced(|| open(&self.path, self.head.segment_size))?);
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
    let db =
        sled::Config::new().path(path).cache_capacity(CACHE).segment_size(segment_size).flush_every_ms(None).open()?;
    Ok(Opened { db, file: File::open(path.join("db"))? })
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

fn last_frame(found: Option<sled::Result<(sled::IVec, sled::IVec)>>) -> Result<Option<(u64, Header)>, ChunkError> {
    let Some(found) = found else { return Ok(None) };
    let (key, value) = found?;
    Ok(Some((position(&key)?, frame::header(&value)?)))
}

fn key(position: u64) -> [u8; 9] {
    let mut key = [b'f'; 9];
    key[1..].copy_from_slice(&position.to_be_bytes());
    key
}

fn position(key: &[u8]) -> Result<u64, ChunkError> {
    Ok(u64::from_be_bytes(eight(key.get(1..).unwrap_or_default())?))
}

fn eight(bytes: &[u8]) -> Result<[u8; 8], ChunkError> {
    bytes.try_into().map_err(|_| ChunkError::Damaged("a number is not eight bytes long".into()))
}
