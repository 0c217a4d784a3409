//! Handles records that the broker finds too large. A declaration says that such a record is dropped.
//!
//! A declaration is itself a record of the outbox, and the disk may refuse it for a long time. No thread waits for it. The large
//! record stays before the cursor until its declaration is durable, and later records are sent in the meantime.

use std::collections::BTreeMap;
use std::time::Duration;

use wire::{Content, DropReason, Dropped, Range};

use crate::outbox::{AppendError, Entry, Outbox, Pending};

/// Declarations that are not durable yet, by the positions of what they declare.
#[derive(Debug, Default)]
pub(super) struct Oversized {
    declared: BTreeMap<u64, Pending>,
}

impl Oversized {
    /// Declares a record dropped.
    pub(super) fn declare(&mut self, agent: &str, outbox: &Outbox, entry: &Entry) -> Result<(), AppendError> {
        log::error!(
            epoch:% = entry.epoch, seq = entry.seq, bytes = entry.payload.len();
            "a record is larger than the broker takes: it is declared dropped"
        );
        let range = Range { epoch: entry.epoch, first: entry.seq, last: entry.seq };
        let dropped = Dropped { ranges: vec![range], reason: DropReason::TooLarge, dropped_at: jiff::Timestamp::now() };
        let declaration = outbox.append_soon(wire::payload(agent, &Content::Dropped(dropped)))?;
        self.declared.insert(entry.position, declaration);
        Ok(())
    }

    /// Whether a record is being declared.
    pub(super) fn contains(&self, position: u64) -> bool {
        self.declared.contains_key(&position)
    }

    /// Takes the positions of records whose declarations are durable by now.
    ///
    /// # Errors
    /// When one was refused for good: its record is to be sent, or declared, again.
    pub(super) fn take_kept(&mut self) -> Result<Vec<u64>, AppendError> {
        let mut answered = Vec::new();
        for (position, declaration) in &self.declared {
            match declaration.wait_for(Duration::ZERO) {
                Err(AppendError::TimedOut) => {}
                answer => answered.push((*position, answer)),
            }
        }
        answered.iter().for_each(|(position, _)| drop(self.declared.remove(position)));
        answered.into_iter().map(|(position, answer)| answer.map(|_| position)).collect()
    }
}
