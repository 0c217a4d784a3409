//! Where things stand, from what is on disk at a start. Only the first and the last chunk are opened.
//!
//! Damage is only noted here: mending it appends records, which takes an epoch. What a damaged last chunk can't tell,
//! the marks, the cursor and what a salvage finds do: the highest counts, so that no number is ever given twice.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use super::commit::repair::segment_sizes;
use super::disk::chunk::Chunk;
use super::disk::chunk_error::ChunkError;
use super::disk::journal::Journal;
use super::disk::ledger::Ledger;
use super::disk::marks;
use super::disk::root::Root;
use super::disk::salvage::salvage;
use super::disk::unreadable::Reads;
use super::shared::State;
use super::status;

/// Where the outbox in a directory stands, whose journal is bound by `max_size`.
pub(super) fn recover(root: &Root, reads: &Reads, max_size: u64) -> io::Result<(State, Journal)> {
    let mut damaged = BTreeSet::new();
    let mut chunks = VecDeque::new();
    let known = root.ledger()?;
    let unknown = known.is_none();
    let mut ledger = known.unwrap_or_default();
    for first in root.chunks()? {
        let chunk = match Chunk::load(root, first) {
            Ok(chunk) => chunk,
            Err(error) => {
                note(&mut damaged, first, error, reads)?;
                Chunk::headless(root, first)
            }
        };
        if let Some(at) = chunk.head().epoch {
            ledger.learn(at.epoch, first - 1, at.next_seq - 1);
        }
        chunks.push_back(Arc::new(chunk));
    }
    if unknown && !chunks.is_empty() {
        make_ledger(&chunks, &mut ledger, &mut damaged, reads)?;
    }
    let (marks, told) = (marks::read(root.path()), status::read_file(root.path()).ok());
    let told_last = told.as_ref().map_or(0, |status| status.position);
    let told_acknowledged = told.as_ref().map_or(0, |status| status.acknowledged_position);
    let mut acknowledged = root.cursor()?.max(marks.acknowledged).max(told_acknowledged);

    let (mut end, mut ordinal) = (0, 0);
    if let Some(last) = chunks.back() {
        let first = last.first();
        (end, ordinal) = (first - 1, last.head().ordinal);
        if !damaged.contains(&first) {
            match last.tail() {
                Ok(None) => {}
                Ok(Some((position, header))) => {
                    ledger.learn(header.epoch, position, header.first_seq);
                    end = position + u64::from(header.count) - 1;
                    ordinal = header.ordinal;
                }
                Err(error) => note(&mut damaged, first, error, reads)?,
            }
        }
        if damaged.contains(&first) {
            last.close();
            let frames = salvage(root, last.path(), segment_sizes(last.head()), &mut ledger, reads.reader())?;
            let found = frames.iter().next_back().map(|(position, (header, _))| position + u64::from(header.count) - 1);
            end = end.max(found.unwrap_or(0));
        }
    }
    if let Some(front) = chunks.front()
        && !damaged.contains(&front.first())
    {
        match front.cursor() {
            Ok(cursor) => acknowledged = acknowledged.max(cursor.unwrap_or(0)),
            Err(error) => note(&mut damaged, front.first(), error, reads)?,
        }
    }
    // Positions are never used again below these, even when damage took the records that had them.
    let last = end.max(acknowledged).max(marks.last).max(told_last);
    if let Some(chunk) = chunks.back()
        && last > end
    {
        note(
            &mut damaged,
            chunk.first(),
            ChunkError::Damaged(format!("{} records at its end are missing", last - end)),
            reads,
        )?;
    }
    let is_whole = last == end && chunks.back().is_none_or(|chunk| !damaged.contains(&chunk.first()));
    let (journal, mut left) = Journal::open(root.path(), max_size, ordinal)?;
    if !is_whole && let Some((last, _)) = left.last() {
        // What is lost at the end may be among them, and was perhaps sent.
        log::error!(lost = left.len(); "the end of the outbox is damaged: what only its journal has is not taken up");
        ordinal = *last;
        left.clear();
    }
    ledger.forget_from(last + 1);
    let epoch = ledger.after(last);
    let mut state = State {
        chunks,
        last,
        acknowledged,
        kept: acknowledged,
        epoch,
        ordinal,
        left,
        ledger,
        damaged,
        appended: 0,
        dropped: marks.dropped.max(told.as_ref().map_or(0, |status| status.dropped)),
        list_lost: false,
        bytes: 0,
        refused: None,
    };
    let behind = state.behind_cursor();
    if !behind.is_empty() {
        // What tells the cursor may be in one of them, or not outlive a power cut: a gap would seem to be lost.
        root.set_cursor(state.acknowledged)?;
    }
    for chunk in behind {
        root.bury(chunk.first())?;
    }
    state.bytes = root.bytes_on_disk()?;
    Ok((state, journal))
}

/// Makes a lost ledger again, which takes reading everything, once.
fn make_ledger(
    chunks: &VecDeque<Arc<Chunk>>,
    ledger: &mut Ledger,
    damaged: &mut BTreeSet<u64>,
    reads: &Reads,
) -> io::Result<()> {
    for chunk in chunks {
        if !damaged.contains(&chunk.first()) {
            if let Err(error) = chunk.teach(ledger) {
                note(damaged, chunk.first(), error, reads)?;
            }
            chunk.close();
        }
    }
    // A kill while the first epoch began leaves a chunk without a record.
    if *ledger != Ledger::default() {
        log::error!("the outbox's ledger was not there or damaged; it was made again from the records");
    }
    Ok(())
}

/// Notes damage; any other error is the disk's, and is only damage once reading is given up.
fn note(damaged: &mut BTreeSet<u64>, first: u64, error: ChunkError, reads: &Reads) -> io::Result<()> {
    match error {
        ChunkError::Io(error) if !reads.failed(&error) => return Err(error),
        damage => log::error!(damage:%, first; "a chunk of the outbox is damaged; what reads of it is salvaged"),
    }
    damaged.insert(first);
    Ok(())
}
