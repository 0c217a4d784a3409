//! How far things had come, in a file beside the chunks: what a damaged chunk can no longer tell.
//!
//! ```text
//! MARKS    slot 0: the last durable position
//!          slot 1: the last position that was acknowledged
//!          slot 2: how many records were ever dropped
//!          each a u64 and the crc32c of it, little-endian
//! ```
//!
//! A mark is overwritten in place after each commit, which costs a microsecond, and is not synced: it outlives the
//! process, and after a power cut it is at worst too low. Whatever it says was true once, so the highest of what can
//! be read is what counts.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::{fs, io};

const FILE: &str = "MARKS";
const SLOT: usize = 12;

/// The open file.
#[derive(Debug)]
pub(in crate::outbox) struct Marks {
    file: File,
}

/// What the file says; 0 where it can't be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::outbox) struct Known {
    pub(in crate::outbox) last: u64,
    pub(in crate::outbox) acknowledged: u64,
    pub(in crate::outbox) dropped: u64,
}

impl Marks {
    /// Opens the file of an outbox, made if absent.
    pub(in crate::outbox) fn open(root: &Path) -> io::Result<Marks> {
        Ok(Marks { file: File::options().write(true).create(true).truncate(false).open(root.join(FILE))? })
    }

    pub(in crate::outbox) fn set_last(&self, position: u64) {
        self.set(0, position);
    }

    pub(in crate::outbox) fn set_acknowledged(&self, position: u64) {
        self.set(1, position);
    }

    pub(in crate::outbox) fn set_dropped(&self, count: u64) {
        self.set(2, count);
    }

    fn set(&self, slot: usize, number: u64) {
        let bytes = number.to_le_bytes();
        let mut mark = [0; SLOT];
        mark[..8].copy_from_slice(&bytes);
        mark[8..].copy_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        if let Err(error) = self.file.write_all_at(&mark, (slot * SLOT) as u64) {
            log::debug!(error:%; "a mark of the outbox could not be written");
        }
    }
}

/// Reads the file of an outbox.
pub(in crate::outbox) fn read(root: &Path) -> Known {
    let bytes = fs::read(root.join(FILE)).unwrap_or_default();
    let mark = |slot: usize| {
        let mark = bytes.get(slot * SLOT..(slot + 1) * SLOT)?;
        let (number, checksum) = mark.split_at(8);
        (crc32c::crc32c(number).to_le_bytes() == checksum)
            .then(|| number.try_into().map(u64::from_le_bytes).ok())
            .flatten()
    };
    Known { last: mark(0).unwrap_or(0), acknowledged: mark(1).unwrap_or(0), dropped: mark(2).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_set_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), Known::default());
        let marks = Marks::open(dir.path()).unwrap();
        marks.set_acknowledged(7);
        assert_eq!(read(dir.path()), Known { acknowledged: 7, ..Known::default() });
        marks.set_last(9);
        assert_eq!(read(dir.path()), Known { last: 9, acknowledged: 7, dropped: 0 });
        Marks::open(dir.path()).unwrap().set_last(12);
        marks.set_dropped(3);
        let mut bytes = fs::read(dir.path().join(FILE)).unwrap();
        bytes[SLOT] ^= 1;
        fs::write(dir.path().join(FILE), bytes).unwrap();
        assert_eq!(read(dir.path()), Known { last: 12, acknowledged: 0, dropped: 3 });
    }
}
