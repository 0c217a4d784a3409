//! The outbox's directory: its lock, its version, and what of it survives a power cut.
//!
//! ```text
//! LOCK                       held (flock) by the one process that may open the chunks
//! VERSION                    the version of this layout, in decimal
//! CURSOR                     the last position that was acknowledged when a chunk was freed, and its crc32c
//! status.json                what a running agent says of the outbox, for other processes
//! ob-<first position>/       a chunk
//! new-<first position>/      a chunk that is being made
//! dead-…                     a chunk that is being removed
//! bad-…                      a damaged chunk, kept for people
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

const VERSION: u32 = 1;
const CURSOR: &str = "CURSOR";
const CHUNK: &str = "ob-";
const NEW: &str = "new-";
const DEAD: &str = "dead-";
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
    /// The file system refused.
    #[error("outbox {}: {action}: {source}; the agent's user needs a directory that it can write to", path.display())]
    Io {
        /// The outbox's directory.
        path: PathBuf,
        /// What was tried.
        action: String,
        /// What it answered.
        source: io::Error,
    },
}

/// The locked directory. Dropping it releases the lock.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    _lock: File,
}

impl Root {
    /// Makes the directory if absent, locks it, checks its version, and sweeps what an interrupted removal left.
    /// Waits up to `patience` for a lock that another process is about to release.
    pub(super) fn open(path: &Path, patience: Duration) -> Result<Root, OpenError> {
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

    pub(super) fn path(&self) -> &Path {
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

    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if [DEAD, NEW].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// First positions of the chunks, in order.
    pub(super) fn chunks(&self) -> io::Result<Vec<u64>> {
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

    pub(super) fn chunk_path(&self, first: u64) -> PathBuf {
        self.path.join(format!("{CHUNK}{first:020}"))
    }

    /// Makes a chunk's directory, empty but for what `fill` writes, in place of what an earlier attempt left.
    pub(super) fn make_chunk(&self, first: u64, fill: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let (made, path) = (self.path.join(format!("{NEW}{first:020}")), self.chunk_path(first));
        for left in [&made, &path] {
            match fs::remove_dir_all(left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::create_dir(&made)?;
        fill(&made)?;
        fs::rename(made, path)
    }

    /// Takes a chunk out of the outbox for good. What is left of it after a crash is swept at the next start.
    pub(super) fn bury(&self, first: u64) -> io::Result<()> {
        let dead = self.path.join(format!("{DEAD}{first:020}"));
        fs::rename(self.chunk_path(first), &dead)?;
        sync_directory(&self.path)?;
        fs::remove_dir_all(dead)
    }

    /// Takes a damaged chunk out of the outbox and keeps its files for people.
    pub(super) fn set_aside(&self, first: u64) -> io::Result<PathBuf> {
        let now = jiff::Timestamp::now().as_second();
        let bad = self.path.join(format!("{BAD}{first:020}-{now}"));
        fs::rename(self.chunk_path(first), &bad)?;
        sync_directory(&self.path)?;
        Ok(bad)
    }

    /// How many damaged chunks are kept.
    pub(super) fn set_aside_count(&self) -> io::Result<u64> {
        let mut count = 0;
        for entry in fs::read_dir(&self.path)? {
            count += u64::from(entry?.file_name().to_string_lossy().starts_with(BAD));
        }
        Ok(count)
    }

    /// The position that was acknowledged when a chunk was last freed; 0 when none was, or when it can't be told: then
    /// the chunks' own cursors have to do, and what they don't know of is sent again.
    pub(super) fn cursor(&self) -> io::Result<u64> {
        match fs::read(self.path.join(CURSOR)) {
            Ok(text) => Ok(parse_cursor(&text).unwrap_or_else(|| {
                log::error!(outbox:? = self.path; "{CURSOR} is damaged; some records may be sent again");
                0
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub(super) fn set_cursor(&self, position: u64) -> io::Result<()> {
        write_durably(&self.path, CURSOR, show_cursor(position).as_bytes())
    }

    /// What the outbox takes on disk, in bytes: blocks, not lengths.
    pub(super) fn bytes_on_disk(&self) -> io::Result<u64> {
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

/// The position and its checksum: a cursor that is read wrong would take records for delivered.
fn show_cursor(position: u64) -> String {
    let position = position.to_string();
    format!("{position} {:08x}\n", crc32c::crc32c(position.as_bytes()))
}

fn parse_cursor(text: &[u8]) -> Option<u64> {
    let position = std::str::from_utf8(text).ok()?.split(' ').next()?.parse().ok()?;
    (show_cursor(position).as_bytes() == text).then_some(position)
}

/// Replaces a file so that after a power cut it is either whole as before or whole as now.
pub(super) fn write_durably(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = directory.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, directory.join(name))?;
    sync_directory(directory)
}

/// Makes a directory's entries durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
