//! How the committer repairs the outbox after damage: what reads goes on waiting in its place, the rest is declared.
//!
//! A damaged chunk is replaced by a new one at the same positions, with every frame that could be salvaged and holes
//! where there is none. The declarations come first: what is declared and arrives all the same counts as stored,
//! while what is gone undeclared is missing. Wherever this is cut short, the next start begins it again.

use std::sync::Arc;

use wire::DropReason;

use super::declaration::Undelivered;
use super::writer::Writer;
use crate::outbox::disk::chunk::SEGMENT_SIZES;
use crate::outbox::disk::chunk::{Chunk, Head, Hole};
use crate::outbox::disk::chunk_error::ChunkError;
use crate::outbox::disk::salvage::{Frames, salvage};
use crate::outbox::shared::State;

impl Writer {
    /// Repairs all that is known to be damaged; whether that worked.
    pub(in crate::outbox) fn repair(&mut self) -> Result<(), ChunkError> {
        self.declare_lost_front()?;
        loop {
            let Some(first) = self.shared.state().damaged.first().copied() else { return Ok(()) };
            self.repair_chunk(first)?;
        }
    }

    /// Positions that wait before the first chunk: their chunks are gone.
    fn declare_lost_front(&mut self) -> Result<(), ChunkError> {
        let (from, to) = {
            let state = self.shared.state();
            (state.acknowledged + 1, state.front() - 1)
        };
        if from > to {
            return Ok(());
        }
        log::error!(lost = to - from + 1; "chunks of the outbox are gone; their records are declared dropped");
        self.declare(self.lost(&[Hole { first: from, last: to }]), DropReason::Damaged)?;
        self.shared.count_dropped(to - from + 1);
        let freed = {
            let mut state = self.shared.state();
            state.acknowledged = state.acknowledged.max(to);
            state.behind_cursor()
        };
        self.shared.keep_cursor()?;
        Ok(self.shared.free(freed)?)
    }

    fn repair_chunk(&mut self, first: u64) -> Result<(), ChunkError> {
        // Nothing more may be appended to it.
        if self.shared.state().chunks.back().is_some_and(|last| last.first() == first) {
            self.tail.closed = true;
            self.chunk()?;
        }
        let found = {
            let state = self.shared.state();
            let at = state.chunks.iter().position(|chunk| chunk.first() == first);
            at.and_then(|at| Some((Arc::clone(&state.chunks[at]), state.chunks.get(at + 1)?.first())))
        };
        let Some((chunk, end)) = found else {
            // Drained or dropped meanwhile.
            self.shared.state().damaged.remove(&first);
            return Ok(());
        };
        chunk.retire();
        if self.shared.root.end_exchange(first)? {
            return self.put_in_place(&chunk);
        }
        let mut ledger = self.shared.state().ledger.clone();
        let mut frames = salvage(
            &self.shared.root,
            chunk.path(),
            segment_sizes(chunk.head()),
            &mut ledger,
            self.shared.reads.reader(),
        )?;
        frames.retain(|position, (header, _)| *position >= first && position + u64::from(header.count) <= end);
        let (wanted, epoch) = {
            let mut state = self.shared.state();
            state.ledger = ledger;
            (first.max(state.acknowledged + 1), chunk.head().epoch.or(state.ledger.after(first - 1)))
        };
        let lost: Vec<Hole> = missing(&frames, first, end).into_iter().collect();
        let unsent = lost.iter().filter(|hole| hole.last >= wanted);
        let unsent: Vec<Hole> = unsent.map(|hole| Hole { first: hole.first.max(wanted), ..*hole }).collect();
        let count: u64 = unsent.iter().map(|hole| hole.last - hole.first + 1).sum();
        self.declare(self.lost(&unsent), DropReason::Damaged)?;
        let head = Head { first, epoch, ordinal: chunk.head().ordinal, segment_size: self.segment_size() };
        let bytes = frames.into_iter().map(|(position, (_, frame))| (position, frame)).collect();
        let kept = self.shared.root.exchange(first, |made| Chunk::fill(made, head, &bytes, &lost))?;
        self.shared.count_dropped(count);
        self.put_in_place(&chunk)?;
        log::error!(
            kept:? = kept, lost = count;
            "a chunk of the outbox was damaged: it is kept aside, what reads is sent, the rest is declared dropped"
        );
        Ok(())
    }

    /// From now on the repaired chunk is read.
    fn put_in_place(&self, damaged: &Arc<Chunk>) -> Result<(), ChunkError> {
        let repaired = Arc::new(Chunk::load(&self.shared.root, damaged.first())?);
        let mut state = self.shared.state();
        state.damaged.remove(&damaged.first());
        state.replace(damaged, repaired);
        if state.damaged.is_empty() {
            self.shared.reads.repaired();
        }
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// What is to be declared when nothing is left of the records at some positions.
    pub(in crate::outbox) fn lost(&self, positions: &[Hole]) -> Undelivered {
        let state = self.shared.state();
        let mut lost = Undelivered::default();
        for hole in positions {
            lost.add_lost(state.ledger.numbers(hole.first, hole.last));
            state.ledger.declared(hole.first, hole.last).for_each(|dropped| lost.add_declared(dropped));
        }
        lost
    }
}

/// The sizes of segments that a chunk may have been made with.
pub(in crate::outbox) fn segment_sizes(head: Head) -> &'static [usize] {
    match SEGMENT_SIZES.iter().position(|size| *size == head.segment_size) {
        Some(at) => &SEGMENT_SIZES[at..=at],
        None => &SEGMENT_SIZES,
    }
}

/// The positions `first..end` without a frame.
fn missing(frames: &Frames, first: u64, end: u64) -> Vec<Hole> {
    let mut holes = Vec::new();
    let mut next = first;
    for (position, count) in frames.iter().map(|(at, (header, _))| (*at, u64::from(header.count))).chain([(end, 0)]) {
        if position > next {
            holes.push(Hole { first: next, last: position - 1 });
        }
        next = position + count;
    }
    holes
}

impl State {
    fn replace(&mut self, chunk: &Arc<Chunk>, repaired: Arc<Chunk>) {
        if let Some(place) = self.chunks.iter_mut().find(|other| Arc::ptr_eq(other, chunk)) {
            *place = repaired;
        }
    }
}
