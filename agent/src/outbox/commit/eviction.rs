//! How the writer makes room: at the bound by dropping the oldest chunk, and after a drain by beginning a new one.

use std::sync::Arc;

use wire::DropReason;

use super::declaration::Undelivered;
use super::writer::Writer;
use crate::outbox::disk::chunk::{Chunk, Hole};
use crate::outbox::disk::chunk_error::ChunkError;
use crate::outbox::shared::Shared;

/// A drained chunk smaller than this is kept rather than rolled.
const WORTH_FREEING: u64 = 256 * 1024;

impl Writer {
    /// Makes room at the bound: declares what the oldest chunk still holds, then removes it. In this order, since what
    /// was declared and arrives all the same counts as stored, while what is gone undeclared is missing.
    pub(in crate::outbox) fn drop_oldest(&mut self) -> Result<(), ChunkError> {
        while !self.shared.has_room() {
            let (front, next, after, damaged) = {
                let state = self.shared.state();
                let Some(next) = state.chunks.get(1) else { return Ok(()) };
                let front = Arc::clone(&state.chunks[0]);
                let damaged = state.damaged.contains(&front.first());
                (front, next.first(), state.acknowledged, damaged)
            };
            let read = match damaged {
                // There is no room to salvage what it holds.
                true => Ok((self.lost(&[Hole { first: after + 1, last: next - 1 }]), DropReason::Damaged)),
                false => read_to_declare(&front, after, next).map(|read| (read, DropReason::OutboxFull)),
            };
            let (dropped, reason) = match read {
                Ok(read) => read,
                Err(ChunkError::Damaged(damage)) => {
                    self.shared.damaged(&front, &damage);
                    continue;
                }
                Err(ChunkError::Io(error)) if self.shared.reads.failed(&error) => {
                    self.shared.damaged(&front, &error.to_string());
                    continue;
                }
                Err(ChunkError::Retired) => continue,
                Err(error) => return Err(error),
            };
            let count = dropped.count();
            self.declare(dropped, reason)?;
            self.shared.count_dropped(count);
            let freed = {
                let mut state = self.shared.state();
                state.acknowledged = state.acknowledged.max(next - 1);
                state.behind_cursor()
            };
            self.shared.free(freed)?;
            log::warn!(dropped = count; "the outbox is at its bound: the oldest records are dropped");
        }
        Ok(())
    }

    /// Rolls a drained chunk, so that its space is given back.
    pub(in crate::outbox) fn give_back(&mut self) {
        let (position, last) = {
            let state = self.shared.state();
            let Some(last) = state.chunks.back() else { return };
            if state.acknowledged < state.last {
                return;
            }
            (state.last, Arc::clone(last))
        };
        if last.bytes_on_disk() < WORTH_FREEING {
            return;
        }
        let freed = self.roll(position + 1).map(|_| self.shared.state().behind_cursor());
        let freed = freed.and_then(|chunks| Ok(self.shared.free(chunks)?));
        if let Err(error) = freed {
            log::warn!(error:%; "the space of a drained chunk could not be given back yet");
        }
    }
}

impl Shared {
    /// Whether the next chunk fits under the bound. It may become somewhat larger than what it is rolled at. What is
    /// kept of damage goes before any record does.
    pub(in crate::outbox) fn has_room(&self) -> bool {
        let bounds = self.bounds;
        loop {
            if self.count_bytes() + bounds.chunk_bytes + bounds.chunk_bytes / 4 <= bounds.max_size {
                return true;
            }
            match self.root.remove_set_aside() {
                Ok(true) => log::warn!("the outbox is at its bound: the files of a damaged chunk are removed"),
                Ok(false) => return false,
                Err(error) => {
                    log::debug!(error:%; "the files of a damaged chunk can't be removed");
                    return false;
                }
            }
        }
    }
}

/// What a chunk holds from a position on, a part at a time, since a chunk may be large once it is decompressed.
fn read_to_declare(chunk: &Chunk, after: u64, next: u64) -> Result<Undelivered, ChunkError> {
    let mut dropped = Undelivered::default();
    let mut after = after;
    loop {
        let entries = chunk.read(after, next, 1_000, 4 * 1024 * 1024)?;
        let Some(last) = entries.last() else { return Ok(dropped) };
        after = last.position;
        entries.iter().for_each(|entry| dropped.add(entry));
    }
}
