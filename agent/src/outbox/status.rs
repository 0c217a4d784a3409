//! What the outbox says of itself, also to other processes.
//!
//! A running agent holds the lock and writes `status.json` beside the chunks; once it is gone the chunks themselves
//! are read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::disk::root::OpenError;
use super::shared::Shared;
use super::{AsOwner, Intake, LOCK_PATIENCE, Outbox, Reads};
use crate::config::OutboxConfig;

const FILE: &str = "status.json";
const LENGTH: usize = 2048;

/// The outbox at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The running epoch, or the last one.
    pub epoch: Option<Uuid>,
    /// The highest durable number in it; 0 when there is none.
    pub highest_seq: u64,
    /// Records ever appended, over epochs.
    pub position: u64,
    /// Records ever acknowledged or dropped.
    pub acknowledged_position: u64,
    /// Records that wait.
    pub pending: u64,
    /// The first of them.
    pub oldest_pending: Option<OldestPending>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Records made durable since the agent's start.
    pub appended: u64,
    /// Records ever dropped, for whatever reason. After a power cut it may be too low; the declarations never are.
    pub dropped: u64,
    /// Damaged chunks that are kept aside.
    pub damaged: u64,
    /// Results that a killed agent left in its journal, until the next start takes them up; they are not among the
    /// pending.
    #[serde(default)]
    pub in_journal: u64,
    /// Records that wait in memory for the disk; they are not among the pending.
    #[serde(default)]
    pub in_memory: u64,
    /// Results thrown away for want of memory while the disk refused, until they are declared.
    #[serde(default)]
    pub thrown_away: u64,
    /// Why the disk takes no records; none when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The first record that waits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OldestPending {
    /// Its epoch.
    pub epoch: Uuid,
    /// Its number.
    pub seq: u64,
    /// When it was appended, by the wall clock.
    pub appended_at: Timestamp,
}

impl Outbox {
    /// Opens the outbox of a configuration and makes none where there is none.
    ///
    /// # Errors
    /// When there is none, another process has it, a later version wrote it, or the disk refuses.
    pub fn open_existing(config: &OutboxConfig) -> Result<Outbox, OpenError> {
        Outbox::open_existing_within(config, LOCK_PATIENCE)
    }

    fn open_existing_within(config: &OutboxConfig, patience: Duration) -> Result<Outbox, OpenError> {
        let path = || config.path.clone();
        match fs::metadata(config.path.join("VERSION")) {
            Ok(_) => Outbox::open_within(config, Intake::default(), Reads::default(), patience),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OpenError::Absent { path: path() }),
            Err(source) => Err(OpenError::Io { path: path(), action: "look for VERSION".to_owned(), source }),
        }
    }

    /// The outbox now.
    pub fn status(&self) -> Status {
        let shared: &Shared = &self.shared;
        let bytes = shared.count_bytes();
        let (mut status, chunk) = {
            let state = shared.state();
            let next = state.acknowledged + 1;
            let at = state.chunks.partition_point(|chunk| chunk.first() <= next).saturating_sub(1);
            let chunk = state.chunks.get(at).filter(|chunk| !state.damaged.contains(&chunk.first()));
            let chunk = chunk.filter(|_| state.acknowledged < state.last).cloned();
            let status = Status {
                epoch: state.epoch.map(|at| at.epoch),
                highest_seq: state.epoch.map_or(0, |at| at.next_seq - 1),
                position: state.last,
                acknowledged_position: state.acknowledged,
                pending: state.last - state.acknowledged,
                oldest_pending: None,
                bytes,
                appended: state.appended,
                dropped: state.dropped,
                damaged: shared.root.set_aside_count().unwrap_or(0),
                in_journal: state.left.len() as u64,
                in_memory: shared.intake.len() as u64,
                thrown_away: shared.intake.thrown_away(),
                refused: state.refused.clone(),
            };
            (status, chunk)
        };
        let next = status.acknowledged_position + 1;
        if let Some(Ok(Some((first, header)))) = chunk.map(|chunk| chunk.frame_at(next)) {
            let seq = header.first_seq + next.saturating_sub(first);
            status.oldest_pending = Some(OldestPending { epoch: header.epoch, seq, appended_at: header.appended_at });
        }
        status
    }

    /// Writes what other processes read while this one has the lock. Not synced: after a power cut no one needs it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn publish_status(&self, status: &Status) -> io::Result<()> {
        let (new, file) = (self.path().join(format!("{FILE}.new")), self.path().join(FILE));
        let mut text = serde_json::to_vec(status).map_err(io::Error::other)?;
        // All have the same length, so that on a full disk the last one can be overwritten where it lies.
        text.resize(text.len().max(LENGTH), b' ');
        match fs::write(&new, &text) {
            Ok(()) => fs::rename(new, file),
            Err(_) => File::options().write(true).open(file)?.write_all_at(&text, 0),
        }
    }
}

/// The status of an outbox, from the agent that has it open, else from the outbox itself.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn read_status(config: &OutboxConfig) -> Result<Status, OpenError> {
    let failed = |action: &str, source| OpenError::Io { path: config.path.clone(), action: action.to_owned(), source };
    // It is dropped after the outbox, which writes when it is closed, too.
    let _owner = AsOwner::of(&config.path).map_err(|e| failed("act as its owner", e))?;
    match Outbox::open_existing_within(config, Duration::ZERO) {
        Ok(outbox) => Ok(outbox.status()),
        Err(OpenError::Locked { .. }) => read_file(&config.path).map_err(|e| failed("read status.json", e)),
        Err(error) => Err(error),
    }
}

pub(super) fn read_file(path: &Path) -> io::Result<Status> {
    serde_json::from_slice(&fs::read(path.join(FILE))?).map_err(io::Error::other)
}
