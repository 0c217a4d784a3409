//! The way out: records are read in order, acknowledged once they are delivered, and what lies behind the cursor is freed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::disk::chunk::Chunk;
use super::disk::chunk_error::ChunkError;
use super::shared::{Shared, State};
use super::{Entry, Outbox};

impl Outbox {
    /// Up to `records` durable records after a position, in order, bounded by the sum of their payloads' bytes.
    /// Empty when there are none, or when what comes next is damaged and not repaired yet. What was dropped is passed
    /// over: then the positions have a gap.
    ///
    /// # Errors
    /// When the disk refuses; a later call may succeed.
    pub fn read(&self, after: u64, records: usize, bytes: usize) -> io::Result<Vec<Entry>> {
        let mut after = after;
        loop {
            let (chunk, next, last) = {
                let state = self.shared.state();
                after = after.max(state.acknowledged);
                if after >= state.last {
                    return Ok(Vec::new());
                }
                let at = state.chunks.partition_point(|chunk| chunk.first() <= after + 1);
                let chunk = at.checked_sub(1).and_then(|at| state.chunks.get(at));
                let Some(chunk) = chunk.filter(|chunk| !state.damaged.contains(&chunk.first())) else {
                    return Ok(Vec::new());
                };
                (Arc::clone(chunk), state.chunks.get(at).map(|next| next.first()), state.last)
            };
            match chunk.read(after, next.unwrap_or(last + 1), records, bytes) {
                Ok(entries) if !entries.is_empty() => {
                    self.shared.reads.succeeded();
                    return Ok(entries);
                }
                Ok(_) => match next {
                    Some(next) => after = next - 1,
                    None => return Ok(Vec::new()),
                },
                Err(ChunkError::Io(error)) if self.shared.reads.failed(&error) => {
                    self.shared.damaged(&chunk, &error.to_string());
                }
                Err(ChunkError::Io(error)) => return Err(error),
                Err(ChunkError::Damaged(damage)) => self.shared.damaged(&chunk, &damage),
                // Between a look at the state and this one it was repaired, drained or dropped.
                Err(ChunkError::Retired) => {}
            }
        }
    }

    /// Waits until there is a durable record after a position; whether there is one.
    pub fn wait(&self, after: u64, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| state.last > after)
    }

    /// Waits until everything up to a position was acknowledged or dropped; whether it was.
    pub fn wait_acknowledged(&self, position: u64, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| state.acknowledged >= position)
    }

    pub(super) fn wait_until(&self, timeout: Duration, holds: impl Fn(&State) -> bool) -> bool {
        let mut state = self.shared.state();
        self.shared.changed.wait_while_for(&mut state, |state| !holds(state), timeout);
        holds(&state)
    }

    /// The last position that was acknowledged or dropped.
    pub fn acknowledged(&self) -> u64 {
        self.shared.state().acknowledged
    }

    /// The last durable position.
    pub fn last(&self) -> u64 {
        self.shared.state().last
    }

    /// How far the cursor is durable, as far as that was done since the start. What is committed takes it along.
    pub fn kept(&self) -> u64 {
        self.shared.state().kept
    }

    /// How many records wait.
    pub fn pending(&self) -> u64 {
        let state = self.shared.state();
        state.last - state.acknowledged
    }

    /// Moves the cursor: everything up to `position` has been delivered. Frees the chunks behind it. Within the chunk
    /// it outlives the process, but not the machine; the next commit and [`Outbox::keep_cursor`] see to that.
    ///
    /// # Errors
    /// When the disk refuses. What should have been freed is freed by a later call or at the next start.
    pub fn acknowledge(&self, position: u64) -> io::Result<()> {
        let (freed, drained) = {
            let mut state = self.shared.state();
            if position <= state.acknowledged {
                return Ok(());
            }
            state.acknowledged = position.min(state.last);
            self.shared.marks.set_acknowledged(state.acknowledged);
            self.shared.changed.notify_all();
            let freed = state.behind_cursor();
            (freed, state.acknowledged == state.last)
        };
        self.shared.free(freed)?;
        if drained {
            self.shared.intake.drained();
        }
        Ok(())
    }

    /// Makes the cursor durable, so that a power cut does not set it back.
    ///
    /// # Errors
    /// When the disk refuses. Then what was delivered since is sent again after a power cut, and stored once.
    pub fn keep_cursor(&self) -> io::Result<()> {
        let (front, position) = {
            let state = self.shared.state();
            (state.chunks.front().cloned(), state.acknowledged)
        };
        let Some(front) = front.filter(|front| front.first() <= position) else { return Ok(()) };
        match front.set_cursor(position) {
            Err(ChunkError::Io(error)) => Err(error),
            Err(ChunkError::Damaged(damage)) => {
                self.shared.damaged(&front, &damage);
                Ok(())
            }
            Ok(()) => {
                let mut state = self.shared.state();
                state.kept = state.kept.max(position);
                Ok(())
            }
            Err(ChunkError::Retired) => Ok(()),
        }
    }
}

impl Shared {
    /// Removes chunks for good. The cursor is made durable first, so that no later start looks for them.
    pub(super) fn free(&self, chunks: Vec<Arc<Chunk>>) -> io::Result<()> {
        if chunks.is_empty() {
            return Ok(());
        }
        self.keep_cursor()?;
        for chunk in chunks {
            chunk.retire();
            self.root.bury(chunk.first())?;
        }
        Ok(())
    }

    /// Makes the cursor durable beside the chunks.
    pub(super) fn keep_cursor(&self) -> io::Result<()> {
        // The committer and anyone who acknowledges both do; the cursor never goes back.
        let _one_at_a_time = self.freeing.lock();
        let acknowledged = self.state().acknowledged;
        self.root.set_cursor(acknowledged)
    }
}

impl State {
    /// Takes out the chunks that the cursor has passed; never the last one.
    pub(super) fn behind_cursor(&mut self) -> Vec<Arc<Chunk>> {
        let mut freed = Vec::new();
        while self.chunks.get(1).is_some_and(|next| next.first() <= self.acknowledged + 1) {
            freed.extend(self.chunks.pop_front());
        }
        for chunk in &freed {
            self.damaged.remove(&chunk.first());
        }
        freed
    }
}
