//! The outbox's directory: its lock, its version, and what of it survives a power cut.
//!
//! ```text
//! LOCK                       held (flock) by the one process that may open the chunks
//! VERSION                    the version of this layout, in decimal
//! CURSOR                     the last position that was acknowledged when a chunk was freed, and its crc32c
//! status.json                what a running agent says of the outbox, for other processes
//! LEDGER                     what must be known of records whose chunk is damaged (see ledger.rs)
//! MARKS                      how far things had come (see marks.rs)
//! MONITORS                   the monitors that run, so that their ids stay (see config/known.rs)
//! JOURNAL.0, JOURNAL.1       results that wait for their commit (see journal.rs)
//! ob-<first position>/       a chunk
//! new-<first position>/      a chunk that is being made
//! fix-<first position>/      what was salvaged of a damaged chunk, whole, about to take its place
//! try-…                      a copy of a damaged chunk, on which salvage tries its luck
//! dead-…                     a chunk that is being removed
//! bad-…                      a damaged chunk, kept for people
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::ledger::Ledger;
use crate::durable_file::{sync_directory, write_durably};

const VERSION: u32 = 1;
const CURSOR: &str = "CURSOR";
const LEDGER: &str = "LEDGER";
const CHUNK: &str = "ob-";
const NEW: &str = "new-";
const DEAD: &str = "dead-";
const FIXED: &str = "fix-";
const TRY: &str = "try-";
const BAD: &str = "bad-";

/// Why an outbox can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("outbox {}: locked by another agent; give each agent an `outbox.path` of its own", path.display())]
    Locked {
        /// The outbox's directory.
        path: PathBuf,
    },
    /// A later version of the agent wrote it.
    #[error(
        "outbox {}: its layout has version {found}, this agent knows {VERSION}; install the agent that wrote it, or \
         set another `outbox.path`", path.display()
    )]
    LaterVersion {
        /// The outbox's directory.
        path: PathBuf,
        /// What its VERSION says.
        found: String,
    },
    /// There is none, and none was to be made.
    #[error("outbox {}: there is none; has the agent run? `outbox.path` says where it is", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("outbox {}: {action}: {source}; {}", path.display(), mend(source))]
    Io {
        /// The outbox's directory.
        path: PathBuf,
        /// What was tried.
        action: String,
        /// What it answered.
        source: io::Error,
    },
}

impl OpenError {
    /// Whether the disk refuses, which it may cease to do without anybody's mending the configuration.
    pub fn may_pass(&self) -> bool {
        matches!(self, OpenError::Io { source, .. } if disk_refuses(source))
    }
}

/// Whether an error is the disk's: full, failing, over a quota, or mounted read-only.
fn disk_refuses(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem) || is_eio(error)
}

/// Whether the device itself failed.
pub(in crate::outbox) fn is_eio(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on its disk, or set `outbox.path` to a larger one"
        }
        _ if disk_refuses(error) => "see what the kernel says of its disk",
        _ => "the agent's user needs a directory that it can write to",
    }
}

/// The locked directory. Dropping it releases the lock.
#[derive(Debug)]
pub(in crate::outbox) struct Root {
    path: PathBuf,
    _lock: File,
}

impl Root {
    /// Makes the directory if absent, locks it, checks its version, and sweeps what an interrupted removal left.
    /// Waits up to `patience` for a lock that another process is about to release.
    pub(in crate::outbox) fn open(path: &Path, patience: Duration) -> Result<Root, OpenError> {
        let failed = |action: &str, source| OpenError::Io { path: path.to_owned(), action: action.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| failed("make the directory", e))?;
        let lock = File::create(path.join("LOCK")).map_err(|e| failed("open LOCK", e))?;
        let deadline = Instant::now() + patience;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(OpenError::Locked { path: path.to_owned() }),
                Err(error) => return Err(failed("lock LOCK", error.into())),
            }
        }
        let root = Root { path: path.to_owned(), _lock: lock };
        root.check_version()?;
        root.sweep().map_err(|e| failed("remove what is dead", e))?;
        Ok(root)
    }

    pub(in crate::outbox) fn path(&self) -> &Path {
        &self.path
    }

    fn check_version(&self) -> Result<(), OpenError> {
        let failed =
            |action: &str, source| OpenError::Io { path: self.path.clone(), action: action.to_owned(), source };
        match fs::read_to_string(self.path.join("VERSION")) {
            Ok(text) if text.trim().parse() == Ok(VERSION) => Ok(()),
            Ok(text) => {
                Err(OpenError::LaterVersion { path: self.path.clone(), found: text.trim().chars().take(40).collect() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_durably(&self.path, "VERSION", format!("{VERSION}\n").as_bytes())
                    .map_err(|e| failed("write VERSION", e))
            }
            Err(error) => Err(failed("read VERSION", error)),
        }
    }

    /// Removes what an interrupted removal, making or repair left, or ends it where it can only be ended.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if let Some(first) = name.strip_prefix(FIXED).and_then(|first| first.parse().ok())
                && self.end_exchange(first)?
            {
                continue;
            }
            if [DEAD, NEW, FIXED, TRY].iter().any(|prefix| name.starts_with(prefix)) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Puts a repaired chunk, which `fill` writes, in the place of a damaged one, whose files are kept for people.
    pub(in crate::outbox) fn exchange(
        &self,
        first: u64,
        fill: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Option<PathBuf>> {
        let made = self.path.join(format!("{NEW}{first:020}"));
        let fixed = self.path.join(format!("{FIXED}{first:020}"));
        for left in [&made, &fixed] {
            remove_if_there(left)?;
        }
        fs::create_dir(&made)?;
        fill(&made)?;
        fs::rename(made, &fixed)?;
        sync_directory(&self.path)?;
        let kept = match self.set_aside(first) {
            // Somebody removed it while the agent ran: there is nothing to keep.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            kept => Some(kept?),
        };
        self.end_exchange(first)?;
        Ok(kept)
    }

    /// Does the last step of an exchange: the repaired chunk is whole, and the damaged chunk is set aside already.
    /// Whether there was one.
    pub(in crate::outbox) fn end_exchange(&self, first: u64) -> io::Result<bool> {
        let (fixed, chunk) = (self.path.join(format!("{FIXED}{first:020}")), self.chunk_path(first));
        if chunk.exists() || !fixed.exists() {
            return Ok(false);
        }
        fs::rename(fixed, chunk)?;
        sync_directory(&self.path)?;
        Ok(true)
    }

    /// A copy of a chunk's files as `read` reads them, for as long as `work` takes. Files that can't be found any more
    /// are not in it.
    pub(in crate::outbox) fn with_copy<T>(
        &self,
        chunk: &Path,
        read: fn(&Path) -> io::Result<Vec<u8>>,
        work: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let name = chunk.file_name().unwrap_or_default().to_string_lossy();
        let copy = self.path.join(format!("{TRY}{name}"));
        remove_if_there(&copy)?;
        fs::create_dir(&copy)?;
        let copied = copy_files(chunk, &copy, read).and_then(|()| work(&copy));
        remove_if_there(&copy)?;
        copied
    }

    /// First positions of the chunks, in order.
    pub(in crate::outbox) fn chunks(&self) -> io::Result<Vec<u64>> {
        let mut firsts = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if let Some(first) = name.to_string_lossy().strip_prefix(CHUNK).and_then(|first| first.parse().ok()) {
                firsts.push(first);
            }
        }
        firsts.sort_unstable();
        Ok(firsts)
    }

    pub(in crate::outbox) fn chunk_path(&self, first: u64) -> PathBuf {
        self.path.join(format!("{CHUNK}{first:020}"))
    }

    /// Makes a chunk's directory, empty but for what `fill` writes, in place of what an earlier attempt left.
    pub(in crate::outbox) fn make_chunk(
        &self,
        first: u64,
        fill: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let (made, path) = (self.path.join(format!("{NEW}{first:020}")), self.chunk_path(first));
        for left in [&made, &path] {
            remove_if_there(left)?;
        }
        fs::create_dir(&made)?;
        fill(&made)?;
        fs::rename(made, path)
    }

    /// Takes a chunk out of the outbox for good. What is left of it after a crash is swept at the next start.
    pub(in crate::outbox) fn bury(&self, first: u64) -> io::Result<()> {
        let dead = self.path.join(format!("{DEAD}{first:020}"));
        fs::rename(self.chunk_path(first), &dead)?;
        sync_directory(&self.path)?;
        fs::remove_dir_all(dead)
    }

    /// Takes a damaged chunk out of the outbox and keeps its files for people.
    pub(in crate::outbox) fn set_aside(&self, first: u64) -> io::Result<PathBuf> {
        let now = jiff::Timestamp::now().as_microsecond();
        let bad = self.path.join(format!("{BAD}{first:020}-{now}"));
        fs::rename(self.chunk_path(first), &bad)?;
        sync_directory(&self.path)?;
        Ok(bad)
    }

    /// How many damaged chunks are kept.
    pub(in crate::outbox) fn set_aside_count(&self) -> io::Result<u64> {
        let mut count = 0;
        for entry in fs::read_dir(&self.path)? {
            count += u64::from(entry?.file_name().to_string_lossy().starts_with(BAD));
        }
        Ok(count)
    }

    /// The position that was acknowledged when a chunk was last freed; 0 when none was, or when it can't be told: then
    /// the chunks' own cursors have to do, and what they don't know of is sent again.
    pub(in crate::outbox) fn cursor(&self) -> io::Result<u64> {
        match fs::read(self.path.join(CURSOR)) {
            Ok(text) => Ok(parse_cursor(&text).unwrap_or_else(|| {
                log::error!(outbox:? = self.path; "{CURSOR} is damaged; some records may be sent again");
                0
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub(in crate::outbox) fn set_cursor(&self, position: u64) -> io::Result<()> {
        write_durably(&self.path, CURSOR, show_cursor(position).as_bytes())
    }

    /// Removes the oldest of the damaged chunks that are kept; whether there was one.
    pub(in crate::outbox) fn remove_set_aside(&self) -> io::Result<bool> {
        let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        let kept =
            names.into_iter().filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(BAD)));
        match kept.min() {
            Some(oldest) => fs::remove_dir_all(oldest).map(|()| true),
            None => Ok(false),
        }
    }

    /// The ledger; none when there is none that can be read: then the chunks have to do.
    pub(in crate::outbox) fn ledger(&self) -> io::Result<Option<Ledger>> {
        match fs::read(self.path.join(LEDGER)) {
            Ok(bytes) => Ok(Ledger::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(in crate::outbox) fn set_ledger(&self, ledger: &Ledger) -> io::Result<()> {
        write_durably(&self.path, LEDGER, &ledger.show())
    }

    /// What the outbox takes on disk, in bytes: blocks, not lengths.
    pub(in crate::outbox) fn bytes_on_disk(&self) -> io::Result<u64> {
        fn walk(path: &Path) -> io::Result<u64> {
            let mut bytes = 0;
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                // A file may vanish meanwhile: sled replaces its snapshots.
                let Ok(metadata) = entry.metadata() else { continue };
                bytes += metadata.blocks() * 512;
                if metadata.is_dir() {
                    bytes += walk(&entry.path()).unwrap_or(0);
                }
            }
            Ok(bytes)
        }
        walk(&self.path)
    }
}

fn remove_if_there(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn copy_files(from: &Path, to: &Path, read: fn(&Path) -> io::Result<Vec<u8>>) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::create_dir(to.join(entry.file_name()))?;
            copy_files(&entry.path(), &to.join(entry.file_name()), read)?;
        } else {
            fs::write(to.join(entry.file_name()), read(&entry.path())?)?;
        }
    }
    Ok(())
}

/// The position and its checksum: a cursor that is read wrong would take records for delivered.
fn show_cursor(position: u64) -> String {
    let position = position.to_string();
    format!("{position} {:08x}\n", crc32c::crc32c(position.as_bytes()))
}

fn parse_cursor(text: &[u8]) -> Option<u64> {
    let position = std::str::from_utf8(text).ok()?.split(' ').next()?.parse().ok()?;
    (show_cursor(position).as_bytes() == text).then_some(position)
}
