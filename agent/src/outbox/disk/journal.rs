//! The journal: results that wait for their commit, in two files beside the chunks.
//!
//! A commit comes up to a tenth of a second after a result was handed in. The journal has the result meanwhile, by a
//! plain write without a sync. So a result outlives its process from then on, and a power cut from its commit on.
//!
//! ```text
//! JOURNAL.0, JOURNAL.1    records, one after the other:
//!  0  length   u32       of the payload; 0 where the records end
//!  4  ordinal  u64
//! 12  crc32c   u32       of the ordinal and the payload
//! 16  payload
//! ```
//! All integers are little-endian.
//!
//! - Results are handed in one after the other. A result's **ordinal** is its place in that order, counted over all
//!   starts of an outbox. Each frame tells up to which ordinal results are in the outbox, so the next start takes up
//!   exactly those that are not. A file can therefore be overwritten once its results are committed, and nothing has
//!   to be removed from it.
//! - New results go to one file. When the committer has taken all of them, the next ones go to the other file, if what
//!   that one has is committed. It is then written from its beginning.
//! - A disk that does not answer delays one result by [`PATIENCE`] and none after it. A result that could not be
//!   written here waits in memory alone.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// How long a result waits for another one that is being written.
const PATIENCE: Duration = Duration::from_secs(1);
/// A file has at most this part of the outbox's bound, and at most [`MOST`] bytes.
const PARTS: u64 = 64;
const MOST: u64 = 8 * 1024 * 1024;

const HEADER: usize = 16;
const END: [u8; 4] = [0; 4];

/// A result that an earlier run has not committed: its ordinal and its payload.
pub(in crate::outbox) type Left = (u64, Vec<u8>);

/// One of the two files.
#[derive(Clone, Copy, Debug)]
enum Side {
    A,
    B,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }
}

/// The open files.
#[derive(Debug)]
pub(in crate::outbox) struct Journal {
    sides: [Open; 2],
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Most bytes.
    most: u64,
    state: Mutex<State>,
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Where the next record goes.
    end: u64,
    /// A record is being written.
    busy: bool,
    /// It has been written for longer than a result waits.
    stuck: bool,
}

impl Journal {
    /// Opens the files of an outbox with a bound, made if absent, and reads the results beyond an ordinal, in order.
    pub(in crate::outbox) fn open(root: &Path, max_size: u64, committed: u64) -> io::Result<(Journal, Vec<Left>)> {
        let mut left: Vec<Left> = Vec::new();
        let mut open = |side| {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(path(root, side))?;
            let bytes = fs::read(path(root, side))?;
            let (mut records, mut end) = parse(&bytes);
            records.retain(|(ordinal, _)| *ordinal > committed);
            if records.is_empty() {
                file.set_len(0)?;
                end = 0;
            }
            left.extend(records.into_iter().map(|(ordinal, payload)| (ordinal, payload.to_vec())));
            let state = Mutex::new(State { end, ..State::default() });
            Ok::<_, io::Error>(Open { file, most: MOST.min(max_size / PARTS), state, written: Condvar::new() })
        };
        let sides = [open(Side::A)?, open(Side::B)?];
        left.sort_by_key(|(ordinal, _)| *ordinal);
        left.dedup_by_key(|(ordinal, _)| *ordinal);
        Ok((Journal { sides }, left))
    }

    /// Writes what [`record`] made of a result.
    fn write(&self, side: Side, record: &[u8]) {
        let open = &self.sides[side as usize];
        let Some(at) = open.reserve(record.len() as u64) else { return };
        let written = open.file.write_all_at(record, at);
        let mut state = open.state();
        (state.busy, state.stuck) = (false, false);
        match written {
            // The next record overwrites the end that this one has.
            Ok(()) => state.end = at + (record.len() - END.len()) as u64,
            Err(error) => log::debug!(error:%; "a result could not be written to the outbox's journal"),
        }
        drop(state);
        open.written.notify_one();
    }

    /// Has a file written from its beginning again, since all in it is committed.
    fn rewind(&self, side: Side) {
        let mut state = self.sides[side as usize].state();
        // A result that was committed before it was written here. It will be overwritten the next time.
        if !state.busy {
            state.end = 0;
        }
    }
}

impl Open {
    /// Where a record goes that is to be written now; none when there is no room for it, or the disk does not answer.
    fn reserve(&self, length: u64) -> Option<u64> {
        let mut state = self.state();
        self.written.wait_while_for(&mut state, |state| state.busy && !state.stuck, PATIENCE);
        if state.busy {
            state.stuck = true;
            self.written.notify_all();
            return None;
        }
        if state.end + length > self.most {
            return None;
        }
        state.busy = true;
        Some(state.end)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// The files take turns.
#[derive(Debug)]
pub(in crate::outbox) struct Turns {
    journal: Arc<Journal>,
    /// The file for new results.
    side: Side,
    /// The ordinal of the last result of each file.
    last: [u64; 2],
}

/// A result that is to be written to the journal.
pub(in crate::outbox) struct Unwritten {
    journal: Arc<Journal>,
    side: Side,
    record: Vec<u8>,
}

impl Turns {
    /// Results up to the ordinal `before` are in both files.
    pub(in crate::outbox) fn new(journal: Journal, before: u64) -> Turns {
        Turns { journal: Arc::new(journal), side: Side::A, last: [before; 2] }
    }

    /// Takes a result, which the caller is to write. Only the writing may take time.
    pub(in crate::outbox) fn take(&mut self, ordinal: u64, payload: &[u8]) -> Unwritten {
        self.last[self.side as usize] = ordinal;
        Unwritten { journal: Arc::clone(&self.journal), side: self.side, record: record(ordinal, payload) }
    }

    /// Has new results written to the other file, from its beginning, once all that it has is committed.
    pub(in crate::outbox) fn turn(&mut self, committed: u64) {
        let other = self.side.other();
        if self.last[other as usize] <= committed {
            self.journal.rewind(other);
            self.side = other;
        }
    }
}

impl Unwritten {
    pub(in crate::outbox) fn write(self) {
        self.journal.write(self.side, &self.record);
    }
}

fn path(root: &Path, side: Side) -> PathBuf {
    root.join(format!("JOURNAL.{}", side as u8))
}

/// The bytes of a result's record, and of the end after it.
fn record(ordinal: u64, payload: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER + payload.len() + END.len());
    record.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    record.extend_from_slice(&ordinal.to_le_bytes());
    record.extend_from_slice(&checksum(ordinal, payload).to_le_bytes());
    record.extend_from_slice(payload);
    record.extend_from_slice(&END);
    record
}

fn checksum(ordinal: u64, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&ordinal.to_le_bytes()), payload)
}

/// The records of a file up to the first that is not whole, and where they end.
fn parse(bytes: &[u8]) -> (Vec<(u64, &[u8])>, u64) {
    let mut records = Vec::new();
    let mut rest = bytes;
    while let Some((ordinal, payload)) = first(rest) {
        records.push((ordinal, payload));
        rest = &rest[HEADER + payload.len()..];
    }
    (records, (bytes.len() - rest.len()) as u64)
}

fn first(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (ordinal, rest) = rest.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let payload = rest.get(..u32::from_le_bytes(*length) as usize).filter(|payload| !payload.is_empty())?;
    let ordinal = u64::from_le_bytes(*ordinal);
    (checksum(ordinal, payload) == u32::from_le_bytes(*sum)).then_some((ordinal, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: u64 = 64 * 1024 * 1024;

    fn open(root: &Path, committed: u64) -> (Journal, Vec<Left>) {
        Journal::open(root, BOUND, committed).unwrap()
    }

    fn left(root: &Path, committed: u64) -> Vec<u64> {
        open(root, committed).1.into_iter().map(|(ordinal, _)| ordinal).collect()
    }

    #[test]
    fn what_is_not_committed_is_read_in_order_from_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, none) = open(dir.path(), 0);
        assert!(none.is_empty());
        for (side, ordinal) in [(Side::A, 2), (Side::A, 1), (Side::B, 4), (Side::B, 3)] {
            journal.write(side, &record(ordinal, &[ordinal as u8; 3]));
        }
        assert_eq!(open(dir.path(), 2).1, [(3, vec![3; 3]), (4, vec![4; 3])]);
        // The first opening has found nothing of use in the first file.
        assert_eq!(left(dir.path(), 0), [3, 4]);
        assert!(left(dir.path(), 4).is_empty());
    }

    #[test]
    fn a_file_that_is_written_from_its_beginning_again_gives_nothing_old() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = open(dir.path(), 0);
        for ordinal in 1..=5 {
            journal.write(Side::A, &record(ordinal, b"a payload"));
        }
        journal.rewind(Side::A);
        journal.write(Side::A, &record(6, b"another one"));
        assert_eq!(left(dir.path(), 0), [6]);
    }

    #[test]
    fn what_goes_on_after_a_start_is_appended_to_what_was_left() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), 0).0.write(Side::B, &record(7, b"seven"));
        let (journal, left_over) = open(dir.path(), 6);
        assert_eq!(left_over, [(7, b"seven".to_vec())]);
        journal.write(Side::B, &record(8, b"eight"));
        assert_eq!(left(dir.path(), 6), [7, 8]);
    }

    #[test]
    fn a_record_that_is_cut_or_bent_ends_the_reading_of_its_file() {
        let bytes = [record(1, b"one").as_slice(), &record(2, b"two")[..]].concat();
        // The second record overwrites the end that the first one has.
        let bytes = [&bytes[..HEADER + 3], &bytes[HEADER + 3 + END.len()..]].concat();
        let read = |bytes: &[u8]| parse(bytes).0.into_iter().map(|(ordinal, _)| ordinal).collect::<Vec<_>>();
        assert_eq!(read(&bytes), [1, 2]);
        for cut in 0..bytes.len() - END.len() {
            assert_eq!(read(&bytes[..cut]), [1][..usize::from(cut >= HEADER + 3)], "{cut}");
        }
        for at in HEADER + 3..bytes.len() - END.len() {
            let mut bent = bytes.clone();
            bent[at] ^= 1;
            assert_eq!(read(&bent), [1], "{at}");
        }
    }

    #[test]
    fn a_file_takes_no_more_than_its_part_of_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(dir.path(), 64 * 100, 0).unwrap();
        for ordinal in 1..=10 {
            journal.write(Side::A, &record(ordinal, &[1; 30]));
        }
        assert!(fs::metadata(path(dir.path(), Side::A)).unwrap().len() <= 100);
        assert_eq!(left(dir.path(), 0), [1, 2]);
    }

    #[test]
    fn a_disk_that_does_not_answer_delays_one_result_and_none_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = open(dir.path(), 0);
        journal.sides[0].state().busy = true;
        journal.write(Side::A, &record(1, b"waits"));
        assert!(journal.sides[0].state().stuck);
        journal.write(Side::A, &record(2, b"does not wait"));
        // The disk has answered.
        let mut state = journal.sides[0].state();
        (state.busy, state.stuck) = (false, false);
        drop(state);
        journal.write(Side::A, &record(3, b"is written"));
        assert_eq!(left(dir.path(), 0), [3]);
    }
}
