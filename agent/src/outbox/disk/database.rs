//! A chunk's database, and the only code that names sled: opening it, and finding frames in it.
//!
//! sled's recovery may panic on damage, so opening and reading are [`fenced`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::chunk_error::ChunkError;
use super::frame;
use crate::durable_file::sync_directory;

/// How long sled may take to let go of a database that was closed.
const LET_GO: Duration = Duration::from_secs(5);
const CACHE: u64 = 16 * 1024 * 1024;

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
pub(in crate::outbox) struct Opened {
    pub(in crate::outbox) db: sled::Db,
}

pub(in crate::outbox) fn open(path: &Path, segment_size: usize) -> Result<Opened, ChunkError> {
    // A kill while sled writes a snapshot leaves this file, which it would then read as the newest one.
    match remove_snapshots(path, |name| name.ends_with(".generating")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ChunkError::Damaged("its directory is gone".into()));
        }
        removed => removed?,
    }
    let config =
        || sled::Config::new().path(path).cache_capacity(CACHE).segment_size(segment_size).flush_every_ms(None);
    let deadline = Instant::now() + LET_GO;
    let db = loop {
        match config().open() {
            Err(error) if is_held(&error) && Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            other => break other?,
        }
    };
    // Opening may have put another snapshot into the place of one.
    sync_directory(path)?;
    Ok(Opened { db })
}

/// Removes those of sled's snapshots whose names are `such`.
fn remove_snapshots(path: &Path, such: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && such(&name) {
            match fs::remove_file(entry.path()) {
                // sled's threads go on for a moment after a database was closed, and give it its name.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
    }
    Ok(())
}

/// All frames with a right checksum that sled still finds in a damaged database, by their positions. Opening writes,
/// so `path` is to be a copy.
pub(in crate::outbox) fn found(
    path: &Path,
    segment_size: usize,
    with_snapshots: bool,
) -> io::Result<BTreeMap<u64, Vec<u8>>> {
    if !with_snapshots {
        remove_snapshots(path, |_| true)?;
    }
    let mut found = BTreeMap::new();
    let opened = match fenced(|| open(path, segment_size)) {
        Ok(opened) => opened,
        Err(ChunkError::Io(error)) => return Err(error),
        Err(_) => return Ok(found),
    };
    let mut take = |item: sled::Result<(sled::IVec, sled::IVec)>| {
        let (found_key, value) = item?;
        if let (first, 0) = place(&found_key)? {
            let frame = whole(&opened.db, first, &value)?;
            // One that can't be read is passed over; what sled can't go on after ends the walk.
            if frame::decode(&frame).is_ok() {
                found.insert(first, frame);
            }
        }
        Ok::<_, ChunkError>(())
    };
    // From both ends, since a walk ends where sled can't go on.
    for result in [
        fenced(|| opened.db.range(frames()).try_for_each(&mut take)),
        fenced(|| opened.db.range(frames()).rev().try_for_each(&mut take)),
    ] {
        match result {
            Err(ChunkError::Io(error)) => return Err(error),
            Err(error) => log::debug!(error:%; "a damaged chunk can't be walked to its end"),
            Ok(()) => {}
        }
    }
    let_go(opened);
    Ok(found)
}

/// Closes a database.
pub(in crate::outbox) fn let_go(opened: Opened) {
    // Dropping flushes, which may panic on a disk that refuses; nothing acknowledged depends on it.
    if catch_unwind(AssertUnwindSafe(|| drop(opened))).is_err() {
        log::debug!("closing a chunk panicked");
    }
}

/// Whether a chunk is still held. Only by us: the outbox's lock keeps others out, but sled's threads let go of a database
/// somewhat after it was closed. Until then they hold sled's own lock, or replace a snapshot that is just being read.
fn is_held(error: &sled::Error) -> bool {
    let sled::Error::Io(error) = error else { return false };
    error.kind() == io::ErrorKind::NotFound || error.to_string().contains("could not acquire lock")
}

pub(in crate::outbox) fn fenced<T>(work: impl FnOnce() -> Result<T, ChunkError>) -> Result<T, ChunkError> {
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
pub(in crate::outbox) fn beginning(db: &sled::Db, position: u64) -> Result<Option<(u64, sled::IVec)>, ChunkError> {
    for item in db.range(key(0, 0)..=key(position, u8::MAX)).rev() {
        let (found, value) = item?;
        if let (first, 0) = place(&found)? {
            return Ok(Some((first, value)));
        }
    }
    Ok(None)
}

/// The whole frame that begins with `piece`.
pub(in crate::outbox) fn whole(db: &sled::Db, first: u64, piece: &[u8]) -> Result<Vec<u8>, ChunkError> {
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

/// The keys of all frames.
pub(in crate::outbox) fn frames() -> std::ops::Range<&'static [u8]> {
    b"f".as_slice()..b"g".as_slice()
}

pub(in crate::outbox) fn key(position: u64, piece: u8) -> [u8; 10] {
    let mut key = [b'f'; 10];
    key[1..9].copy_from_slice(&position.to_be_bytes());
    key[9] = piece;
    key
}

/// The position and the piece that a key stands for.
pub(in crate::outbox) fn place(key: &[u8]) -> Result<(u64, u8), ChunkError> {
    match key {
        [b'f', position @ .., piece] => Ok((u64::from_be_bytes(eight(position)?), *piece)),
        _ => Err(ChunkError::Damaged("a key is none of ours".into())),
    }
}

pub(in crate::outbox) fn eight(bytes: &[u8]) -> Result<[u8; 8], ChunkError> {
    bytes.try_into().map_err(|_| ChunkError::Damaged("a number is not eight bytes long".into()))
}
