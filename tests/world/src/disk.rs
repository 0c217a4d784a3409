//! An agent's outbox lies on a disk. It has the records in the order of their positions, and how far Kafka has
//! acknowledged them.

use std::collections::VecDeque;
use std::rc::Rc;

use uuid::Uuid;
use wire::{Content, Pending, Previous};

use crate::truth::Number;

/// An entry is a record that waits.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) number: Number,
    pub(crate) payload: Rc<[u8]>,
}

/// This is the running epoch, or the last one.
#[derive(Clone, Copy)]
pub(crate) struct Epoch {
    pub(crate) epoch: Uuid,
    /// Its next record has this number.
    pub(crate) next: u64,
}

/// A copy of the disk has all of this.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    entries: VecDeque<Entry>,
    /// This position was given last.
    last: u64,
    /// All up to here is acknowledged, or declared dropped.
    cursor: u64,
    /// A power cut leaves the cursor here.
    kept: u64,
    pub(crate) epoch: Option<Epoch>,
}

impl Disk {
    /// Begins an epoch, and answers where the one before ended.
    pub(crate) fn begin(&mut self, epoch: Uuid) -> Option<Previous> {
        let before = self.epoch.replace(Epoch { epoch, next: 1 });
        before.map(|before| Previous { epoch: before.epoch, highest_seq: before.next - 1 })
    }

    /// Makes a record durable under the next number of the running epoch.
    pub(crate) fn append(&mut self, name: &str, content: &Content) -> Number {
        let Epoch { epoch, next } = self.epoch.as_mut().expect("an epoch begins before its records");
        let number = Number { epoch: *epoch, seq: *next };
        *next += 1;
        self.last += 1;
        let payload = wire::payload(name, content).into();
        self.entries.push_back(Entry { position: self.last, number, payload });
        number
    }

    /// Lists the records after a position.
    pub(crate) fn after(&self, position: u64) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.position > position)
    }

    /// Lists the records that Kafka has not acknowledged.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.after(self.cursor)
    }

    /// Counts the records that Kafka has not acknowledged.
    pub(crate) const fn pending(&self) -> u64 {
        self.last - self.cursor
    }

    pub(crate) fn oldest_pending(&self) -> Option<Pending> {
        self.waiting().next().map(|entry| Pending { epoch: entry.number.epoch, seq: entry.number.seq })
    }

    pub(crate) const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Takes in that Kafka has acknowledged all up to a position. What a power cut can bring back stays.
    pub(crate) fn acknowledge(&mut self, position: u64) {
        self.cursor = self.cursor.max(position);
        while self.entries.front().is_some_and(|entry| entry.position <= self.kept) {
            self.entries.pop_front();
        }
    }

    /// Makes the cursor durable.
    pub(crate) const fn keep_cursor(&mut self) {
        self.kept = self.cursor;
    }

    /// Loses what was not made durable.
    pub(crate) const fn lose_power(&mut self) {
        self.cursor = self.kept;
    }

    /// Takes away the older half of what waits, for good.
    pub(crate) fn drop_oldest(&mut self) -> Vec<Entry> {
        let waiting: Vec<Entry> = self.waiting().cloned().collect();
        let dropped = waiting[..waiting.len() / 2].to_vec();
        if let Some(last) = dropped.last() {
            self.acknowledge(last.position);
            self.keep_cursor();
        }
        dropped
    }
}
