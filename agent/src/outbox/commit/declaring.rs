//! How the writer declares records dropped: by a record of its own, which the ledger learns first.

use jiff::Timestamp;
use wire::{Content, DropReason, Dropped, Range};

use super::declaration::Undelivered;
use super::writer::{Waiting, Writer};
use crate::outbox::disk::chunk_error::ChunkError;

impl Writer {
    /// Gives numbers to the results that were thrown away, up to an ordinal, and declares them dropped.
    pub(in crate::outbox) fn declare_thrown_away(&mut self, ordinal: u64) {
        let count = self.thrown_away;
        // An epoch whose first record the disk has not taken has no numbers to give.
        if self.beginning.is_some() || self.shared.state().epoch.is_none() {
            return;
        }
        let declared = self.patiently(|writer| {
            writer.chunk()?;
            let (at, position) = {
                let state = writer.shared.state();
                (state.epoch.expect("an epoch has begun"), state.last + count + 1)
            };
            let range = Range { epoch: at.epoch, first: at.next_seq, last: at.next_seq + count - 1 };
            let dropped = Dropped { ranges: vec![range], reason: DropReason::DiskFailed, dropped_at: Timestamp::now() };
            writer.write_declaration(dropped, position, count, Some(ordinal))
        });
        if declared.is_some() {
            self.thrown_away = 0;
            self.shared.count_dropped(count);
            log::error!(dropped = count; "while the disk refused, results were thrown away: they are declared dropped");
        }
    }

    /// Declares records dropped.
    pub(in crate::outbox) fn declare(&mut self, records: Undelivered, reason: DropReason) -> Result<(), ChunkError> {
        let lists = self.shared.state().epoch.is_some_and(|at| records.may_list(at.epoch));
        for dropped in records.declare(reason) {
            self.chunk()?;
            let position = self.shared.state().last + 1;
            self.write_declaration(dropped, position, 0, None)?;
        }
        self.shared.state().list_lost |= lists;
        Ok(())
    }

    /// Appends a declaration at a position, after a hole of that many positions. First the ledger learns of it, since the
    /// record may be lost itself.
    fn write_declaration(
        &mut self,
        dropped: Dropped,
        position: u64,
        hole: u64,
        ordinal: Option<u64>,
    ) -> Result<(), ChunkError> {
        let ledger = {
            let mut state = self.shared.state();
            let acknowledged = state.acknowledged;
            state.ledger.forget_up_to(acknowledged);
            state.ledger.declare(position, dropped.clone());
            state.ledger.clone()
        };
        self.shared.root.set_ledger(&ledger)?;
        let payload = wire::payload(&self.agent, &Content::Dropped(dropped));
        self.write(&[Waiting::unasked(payload, ordinal)], hole).map(drop)
    }
}
