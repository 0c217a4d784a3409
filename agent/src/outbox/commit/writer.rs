//! The one thread that writes: it takes all that wait, numbers them, makes them durable together, then answers all.
//!
//! While the disk refuses it holds one group and tries again; what comes meanwhile waits in the intake. What the intake
//! had to throw away gets numbers too, ahead of the results that follow, and a record that declares them dropped: the
//! positions are a hole before that record's frame, so both are there or neither is.

use crate::outbox::disk::frame::PAYLOAD;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;
use wire::Previous;

use crate::config::WhenFull;
use crate::outbox::Outbox;
use crate::outbox::disk::chunk::SEGMENT_SIZES;
use crate::outbox::disk::chunk::{Chunk, Head, Hole};
use crate::outbox::disk::chunk_error::ChunkError;
use crate::outbox::disk::frame;
use crate::outbox::disk::ledger::EpochAt;
use crate::outbox::disk::root::is_eio;
use crate::outbox::intake::answer::Asker;
use crate::outbox::intake::append::{AppendError, Number, Opening};
use crate::outbox::intake::queue::{Opener, Request};
use crate::outbox::shared::Shared;

/// How long the committer waits between attempts while the disk refuses.
const RETRY: Duration = Duration::from_millis(500);

/// A commit has at most this part of a chunk's bytes, unless it is one record.
const PARTS: u64 = 8;

/// What the last chunk holds.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::outbox) struct Tail {
    first: u64,
    records: u64,
    /// It takes no more.
    pub(in crate::outbox) closed: bool,
}

/// A record to write, and who waits for its number.
pub(in crate::outbox) struct Waiting {
    payload: Vec<u8>,
    asker: Option<Asker>,
    /// The results up to this one are in the outbox once it is.
    ordinal: Option<u64>,
}

impl Waiting {
    fn asked(payload: Vec<u8>, asker: Asker) -> Waiting {
        Waiting { payload, asker: Some(asker), ordinal: None }
    }

    fn kept((ordinal, payload): (u64, Vec<u8>)) -> Waiting {
        Waiting::unasked(payload, Some(ordinal))
    }

    pub(in crate::outbox) fn unasked(payload: Vec<u8>, ordinal: Option<u64>) -> Waiting {
        Waiting { payload, asker: None, ordinal }
    }
}

/// The state of the one thread that writes.
pub(in crate::outbox) struct Writer {
    pub(in crate::outbox) shared: Arc<Shared>,
    pub(in crate::outbox) agent: String,
    pub(in crate::outbox) tail: Tail,
    /// Results up to this one are in the outbox, or declared.
    ordinal: u64,
    /// An epoch whose first record is not durable yet.
    pub(in crate::outbox) beginning: Option<Uuid>,
    /// Results that have no number, since they were thrown away, and are to be declared.
    pub(in crate::outbox) thrown_away: u64,
    /// The last attempt to repair what is damaged failed.
    unrepaired: bool,
    /// Rolled chunks that are being sealed.
    sealing: Vec<JoinHandle<()>>,
}

impl Writer {
    pub(in crate::outbox) fn new(shared: Arc<Shared>, agent: &str) -> Writer {
        let ordinal = shared.state().ordinal;
        Writer {
            shared,
            agent: agent.to_owned(),
            tail: Tail::default(),
            ordinal,
            beginning: None,
            thrown_away: 0,
            unrepaired: false,
            sealing: Vec::new(),
        }
    }

    /// Writes what comes until the intake is stopped.
    pub(in crate::outbox) fn run(mut self) {
        while let Some(work) = self.shared.intake.take(self.unrepaired.then_some(RETRY), self.ordinal) {
            if work.drained {
                self.give_back();
            }
            let mut group = Vec::with_capacity(work.asked.len() + work.kept.len());
            for request in work.asked {
                match request {
                    Request::Append(payload, asker) => group.push(Waiting::asked(payload, asker)),
                    Request::BeginEpoch(first, asker) => {
                        self.commit(std::mem::take(&mut group));
                        self.begin_epoch(first, asker);
                    }
                }
            }
            let before = work.ordinal - work.kept.len() as u64;
            if work.thrown_away > 0 {
                self.commit(std::mem::take(&mut group));
                self.thrown_away += work.thrown_away;
                self.declare_thrown_away(before);
            }
            group.extend((before + 1..).zip(work.kept).map(Waiting::kept));
            self.commit(group);
            if (work.damaged || self.unrepaired) && self.has_epoch() {
                self.mend();
            }
        }
        // Or they would open chunks that are closed for good.
        for sealing in self.sealing {
            if sealing.join().is_err() {
                log::error!("sealing a chunk of the outbox panicked");
            }
        }
        if self.thrown_away > 0 {
            log::error!(lost = self.thrown_away; "results were thrown away while the disk refused, and are not declared");
        }
    }

    /// Repairs what is damaged. When the disk has no room for that, records go on being written, and it is tried again.
    fn mend(&mut self) {
        let before = self.unrepaired;
        self.unrepaired = false;
        if let Err(error) = self.repair() {
            self.unrepaired = true;
            if !before {
                log::error!(error:%; "what is damaged of the outbox can't be repaired yet");
            }
        }
    }

    fn begin_epoch(&mut self, first: Opener, asker: Asker) {
        // First the chunk: making one may append a record to the epoch before, whose end is told here.
        if self.patiently(|writer| writer.chunk().map(drop)).is_none() {
            asker.answer(Err(AppendError::Stopped));
            return;
        }
        self.take_up();
        let status = Outbox { shared: Arc::clone(&self.shared) }.status();
        let previous = self.shared.state().epoch;
        let payload = first(Opening {
            previous: previous.map(|at| Previous { epoch: at.epoch, highest_seq: at.next_seq - 1 }),
            status,
        });
        if payload.len() > PAYLOAD {
            asker.answer(Err(AppendError::TooLarge(payload.len())));
            return;
        }
        self.beginning = Some(Uuid::new_v4());
        self.commit(vec![Waiting::asked(payload, asker)]);
        self.take_up();
    }

    /// Commits what the run before had in its journal alone: as the last results of its epoch, if that had begun.
    fn take_up(&mut self) {
        if self.has_epoch() {
            let left = std::mem::take(&mut self.shared.state().left);
            if !left.is_empty() {
                log::info!(results = left.len(); "results that the run before had not committed are taken up");
            }
            self.commit(left.into_iter().map(Waiting::kept).collect());
        }
    }

    /// Whether there is an epoch to append to.
    fn has_epoch(&self) -> bool {
        self.beginning.is_some() || self.shared.state().epoch.is_some()
    }

    /// Makes a group durable, then answers each. A group that is large beside a chunk goes in parts, since a chunk is
    /// looked at between them: one that grew far beyond its size would carry the outbox beyond its bound.
    fn commit(&mut self, group: Vec<Waiting>) {
        let most = (self.shared.bounds.chunk_bytes / PARTS) as usize;
        let mut part = Vec::new();
        let mut bytes = 0;
        for record in group {
            if bytes > 0 && bytes + record.payload.len() > most {
                self.commit_part(std::mem::take(&mut part));
                bytes = 0;
            }
            bytes += record.payload.len();
            part.push(record);
        }
        self.commit_part(part);
    }

    fn commit_part(&mut self, group: Vec<Waiting>) {
        if group.is_empty() {
            return;
        }
        let written = match self.has_epoch() {
            true => self.patiently(|writer| writer.write(&group, 0)),
            // The first record of the first run was refused for its size.
            false => None,
        };
        let unasked = group.iter().filter(|record| record.asker.is_none()).count();
        if written.is_none() && unasked > 0 {
            log::error!(lost = unasked; "results are lost: the disk refused them until the stop");
        }
        for (n, record) in (0..).zip(group) {
            let number = written.map(|at| Number { epoch: at.epoch, seq: at.next_seq + n });
            if let Some(asker) = record.asker {
                asker.answer(number.ok_or(AppendError::Stopped));
            }
        }
    }

    /// Tries for as long as the disk refuses; gives up only when the agent stops.
    pub(in crate::outbox) fn patiently<T>(&mut self, work: impl Fn(&mut Writer) -> Result<T, ChunkError>) -> Option<T> {
        loop {
            match work(self) {
                Ok(done) => {
                    if self.shared.state().refused.take().is_some() {
                        log::warn!("the outbox's disk takes records again");
                    }
                    return Some(done);
                }
                Err(error) => {
                    if self.shared.state().refused.replace(error.to_string()).is_none() {
                        let waiting = self.shared.intake.len();
                        log::error!(error:%, waiting; "the outbox's disk refuses; results wait in memory");
                    }
                    if self.shared.intake.is_impatient() {
                        // What this attempt may have left in the chunk must not mix with what comes next.
                        self.tail.closed = true;
                        return None;
                    }
                    thread::sleep(RETRY);
                }
            }
        }
    }

    /// Makes a group durable, after a hole of that many positions; answers the number that its first record was given.
    pub(in crate::outbox) fn write(&mut self, group: &[Waiting], hole: u64) -> Result<EpochAt, ChunkError> {
        // First the chunk: making room for it may append a record of its own.
        let chunk = self.chunk()?;
        let (last, at, cursor) = {
            let state = self.shared.state();
            let beginning = self.beginning.map(|epoch| EpochAt { epoch, next_seq: 1 });
            let at = beginning.or(state.epoch).expect("an epoch begins before anything is appended");
            // It goes along where it belongs into the same chunk: a flush of its own costs as much as the group's.
            let is_front = state.chunks.len() == 1 && chunk.first() <= state.acknowledged;
            (state.last, at, (is_front && state.acknowledged > state.kept).then_some(state.acknowledged))
        };
        let at = EpochAt { next_seq: at.next_seq + hole, ..at };
        let first = last + hole + 1;
        if self.beginning.is_some() {
            let ledger = {
                let mut state = self.shared.state();
                let acknowledged = state.acknowledged;
                state.ledger.forget_up_to(acknowledged);
                state.ledger.begin(at.epoch, first);
                state.ledger.clone()
            };
            self.shared.root.set_ledger(&ledger)?;
        }
        let now = Timestamp::now();
        let mut frames = Vec::new();
        let (mut done, mut ordinal) = (0, self.ordinal);
        while done < group.len() {
            let rest = group[done..].iter().map(|record| record.payload.as_slice());
            let count = frame::fitting(rest.clone());
            let ordinals = group[done..done + count].iter().filter_map(|record| record.ordinal);
            ordinal = ordinals.max().unwrap_or(ordinal);
            let bytes = frame::encode(at.epoch, at.next_seq + done as u64, now, ordinal, rest.take(count))?;
            frames.push((first + done as u64, bytes));
            done += count;
        }
        let hole = (hole > 0).then_some(Hole { first: last + 1, last: first - 1 });
        #[cfg(test)]
        let refused = self.shared.refusal().map_err(ChunkError::from);
        #[cfg(not(test))]
        let refused = Ok(());
        if let Err(error) = refused.and_then(|()| chunk.append(&frames, hole, cursor)) {
            match &error {
                // What is in it is salvaged; what comes now goes into another one.
                ChunkError::Damaged(damage) => {
                    self.tail.closed = true;
                    self.shared.damaged(&chunk, damage);
                }
                // After a failed sync the system forgets what it could not write. It still reads, but after a power cut
                // nothing behind it would be found.
                ChunkError::Io(error) if is_eio(error) => self.tail.closed = true,
                _ => {}
            }
            return Err(error);
        }
        (self.beginning, self.ordinal) = (None, ordinal);
        let last = first + done as u64 - 1;
        self.tail.records += done as u64;
        let mut state = self.shared.state();
        state.last = last;
        state.kept = state.kept.max(cursor.unwrap_or(0));
        state.appended += done as u64;
        state.epoch = Some(EpochAt { epoch: at.epoch, next_seq: at.next_seq + done as u64 });
        drop(state);
        self.shared.marks.set_last(last);
        self.shared.changed.notify_all();
        Ok(at)
    }

    /// The chunk to write to: the last one, or a new one when that is full.
    pub(in crate::outbox) fn chunk(&mut self) -> Result<Arc<Chunk>, ChunkError> {
        let (last, position, damaged) = {
            let state = self.shared.state();
            let last = state.chunks.back().cloned();
            let damaged = last.as_ref().is_some_and(|last| state.damaged.contains(&last.first()));
            (last, state.last, damaged)
        };
        let Some(last) = last else { return self.roll(position + 1) };
        if last.first() != self.tail.first {
            // The chunk of an earlier run.
            let records = (position + 1).saturating_sub(last.first());
            self.tail = Tail { first: last.first(), records, closed: false };
        }
        let bounds = self.shared.bounds;
        let full = self.tail.records >= bounds.chunk_records || last.bytes_on_disk() >= bounds.chunk_bytes;
        if !full && !damaged && !self.tail.closed {
            return Ok(last);
        }
        let next = self.roll(position + 1)?;
        if !damaged {
            self.seal(last);
        }
        if bounds.when_full == WhenFull::DropOldest && !self.shared.has_room() {
            self.drop_oldest()?;
        }
        Ok(next)
    }

    /// Begins a chunk. Until that has worked, the one before it takes no more: its records would be looked for here.
    pub(in crate::outbox) fn roll(&mut self, first: u64) -> Result<Arc<Chunk>, ChunkError> {
        self.tail.closed = true;
        let segment_size = self.segment_size();
        let (head, empty, damaged) = {
            let mut state = self.shared.state();
            // Nothing was ever appended to a chunk that begins here too.
            let empty = state.chunks.back().is_some_and(|last| last.first() == first);
            let empty = if empty { state.chunks.pop_back() } else { None };
            self.tail.first = state.chunks.back().map_or(0, |last| last.first());
            (
                Head { first, epoch: state.epoch, ordinal: self.ordinal, segment_size },
                empty,
                state.damaged.remove(&first),
            )
        };
        empty.iter().for_each(|empty| empty.retire());
        if damaged {
            self.shared.root.set_aside(first)?;
        }
        let chunk = Arc::new(Chunk::create(&self.shared.root, head)?);
        self.shared.state().chunks.push_back(Arc::clone(&chunk));
        self.tail = Tail { first, records: 0, closed: false };
        Ok(chunk)
    }

    /// Of a new chunk.
    pub(in crate::outbox) fn segment_size(&self) -> usize {
        let [least, .., most] = SEGMENT_SIZES;
        ((self.shared.bounds.chunk_bytes / 8).next_power_of_two() as usize).clamp(least, most)
    }

    /// Seals a rolled chunk in the background: it takes two openings, and nothing but the stop waits for it.
    fn seal(&mut self, chunk: Arc<Chunk>) {
        self.sealing.retain(|sealing| !sealing.is_finished());
        let sealing = thread::Builder::new().name("outbox-seal".into()).spawn(move || {
            if let Err(error) = chunk.seal() {
                log::warn!(error:%, first = chunk.first(); "a rolled chunk of the outbox could not be sealed");
            }
        });
        match sealing {
            Ok(sealing) => self.sealing.push(sealing),
            Err(error) => log::warn!(error:%; "a rolled chunk of the outbox could not be sealed: no thread"),
        }
    }
}
