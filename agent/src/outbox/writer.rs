//! The one thread that writes: it takes all that wait, numbers them, makes them durable together, then answers all.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;
use wire::{Content, DropReason, Previous};

use super::chunk::{Chunk, ChunkError, EpochAt, Head};
use super::committer::{AppendError, Number, Opening, PAYLOAD};
use super::declaration::Undelivered;
use super::queue::{Answer, Opener, Request};
use super::{Outbox, Shared, WORTH_FREEING, frame};
use crate::config::WhenFull;

/// How long the committer waits between attempts while the disk refuses.
const RETRY: Duration = Duration::from_millis(500);

/// What the last chunk holds.
#[derive(Clone, Copy, Debug, Default)]
struct Tail {
    first: u64,
    records: u64,
    /// It takes no more.
    closed: bool,
}

/// The state of the one thread that writes.
pub(super) struct Writer {
    shared: Arc<Shared>,
    agent: String,
    tail: Tail,
    /// An epoch whose first record is not durable yet.
    beginning: Option<Uuid>,
    /// The disk refused the last attempt.
    refused: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, agent: &str) -> Writer {
        Writer { shared, agent: agent.to_owned(), tail: Tail::default(), beginning: None, refused: false }
    }

    /// Writes what comes until the queue is stopped.
    pub(super) fn run(mut self) {
        while let Some((requests, drained)) = self.shared.queue.take() {
            if drained {
                self.give_back();
            }
            let mut group = Vec::with_capacity(requests.len());
            for request in requests {
                match request {
                    Request::Append(payload, answer) => group.push((payload, answer)),
                    Request::BeginEpoch(first, answer) => {
                        self.commit(std::mem::take(&mut group));
                        self.begin_epoch(first, answer);
                    }
                }
            }
            self.commit(group);
        }
    }

    fn begin_epoch(&mut self, first: Opener, answer: SyncSender<Answer>) {
        // First the chunk: making one may append a record to the epoch before, whose end is told here.
        if self.patiently(1, |writer| writer.chunk().map(drop)).is_none() {
            self.answer(&answer, Err(AppendError::Stopped));
            return;
        }
        let status = Outbox { shared: Arc::clone(&self.shared) }.status();
        let previous = self.shared.state().epoch;
        let payload = first(Opening {
            previous: previous.map(|at| Previous { epoch: at.epoch, highest_seq: at.next_seq - 1 }),
            status,
        });
        if payload.len() > PAYLOAD {
            self.answer(&answer, Err(AppendError::TooLarge(payload.len())));
            return;
        }
        self.beginning = Some(Uuid::new_v4());
        self.commit(vec![(payload, answer)]);
    }

    /// Makes a group durable, then answers each.
    fn commit(&mut self, group: Vec<(Vec<u8>, SyncSender<Answer>)>) {
        if group.is_empty() {
            return;
        }
        let written = self.patiently(group.len(), |writer| writer.write(&group));
        for (n, (_, answer)) in (0..).zip(&group) {
            let number = written.map(|at| Number { epoch: at.epoch, seq: at.next_seq + n });
            self.answer(answer, number.ok_or(AppendError::Stopped));
        }
    }

    /// Tries for as long as the disk refuses; gives up only when the agent stops.
    fn patiently<T>(&mut self, waiting: usize, work: impl Fn(&mut Writer) -> Result<T, ChunkError>) -> Option<T> {
        loop {
            match work(self) {
                Ok(done) => {
                    if std::mem::take(&mut self.refused) {
                        log::warn!("the outbox's disk takes records again");
                    }
                    return Some(done);
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.refused, true) {
                        log::error!(error:%, waiting; "the outbox's disk refuses; results wait in memory");
                    }
                    if self.shared.queue.is_impatient() {
                        // What this attempt may have left in the chunk must not mix with what comes next.
                        self.tail.closed = true;
                        return None;
                    }
                    thread::sleep(RETRY);
                }
            }
        }
    }

    /// Makes a group durable; answers the epoch and the number that its first record was given.
    fn write(&mut self, group: &[(Vec<u8>, SyncSender<Answer>)]) -> Result<EpochAt, ChunkError> {
        // First the chunk: making room for it may append a record of its own.
        let chunk = self.chunk()?;
        let (first, at) = {
            let state = self.shared.state();
            let beginning = self.beginning.map(|epoch| EpochAt { epoch, next_seq: 1 });
            (state.last + 1, beginning.or(state.epoch).expect("an epoch begins before anything is appended"))
        };
        let now = Timestamp::now();
        let mut frames = Vec::new();
        let mut done = 0;
        while done < group.len() {
            let rest = group[done..].iter().map(|(payload, _)| payload.as_slice());
            let count = frame::fitting(rest.clone());
            let bytes = frame::encode(at.epoch, at.next_seq + done as u64, now, rest.take(count))?;
            frames.push((first + done as u64, bytes));
            done += count;
        }
        if let Err(error) = chunk.append(&frames) {
            if let ChunkError::Damaged(_) = &error {
                // Whoever reads it will see what is left of it. What comes now goes into another one.
                chunk.close();
                self.tail.closed = true;
            }
            return Err(error);
        }
        self.beginning = None;
        self.tail.records += done as u64;
        let mut state = self.shared.state();
        state.last += done as u64;
        state.appended += done as u64;
        state.epoch = Some(EpochAt { epoch: at.epoch, next_seq: at.next_seq + done as u64 });
        drop(state);
        self.shared.changed.notify_all();
        Ok(at)
    }

    /// The chunk to write to: the last one, or a new one when that is full.
    fn chunk(&mut self) -> Result<Arc<Chunk>, ChunkError> {
        let (last, position) = {
            let state = self.shared.state();
            (state.chunks.back().cloned(), state.last)
        };
        let Some(last) = last else { return self.roll(position + 1) };
        if last.first() != self.tail.first {
            // The chunk of an earlier run.
            let records = (position + 1).saturating_sub(last.first());
            self.tail = Tail { first: last.first(), records, closed: false };
        }
        let bounds = self.shared.bounds;
        let full = self.tail.records >= bounds.chunk_records || last.bytes_on_disk() >= bounds.chunk_bytes;
        if !full && !self.tail.closed {
            return Ok(last);
        }
        let next = self.roll(position + 1)?;
        seal(last);
        if bounds.when_full == WhenFull::DropOldest && !self.shared.has_room() {
            self.drop_oldest()?;
        }
        Ok(next)
    }

    /// Begins a chunk. Until that has worked, the one before it takes no more: its records would be looked for here.
    fn roll(&mut self, first: u64) -> Result<Arc<Chunk>, ChunkError> {
        self.tail.closed = true;
        let bounds = self.shared.bounds;
        let segment_size = (bounds.chunk_bytes / 8).next_power_of_two().clamp(512 * 1024, 2 * 1024 * 1024) as usize;
        let (head, empty) = {
            let mut state = self.shared.state();
            // Nothing was ever appended to a chunk that begins here too.
            let empty = state.chunks.back().is_some_and(|last| last.first() == first);
            let empty = if empty { state.chunks.pop_back() } else { None };
            (Head { first, epoch: state.epoch, segment_size }, empty)
        };
        empty.iter().for_each(|empty| empty.retire());
        let chunk = Arc::new(Chunk::create(&self.shared.root, head)?);
        self.shared.state().chunks.push_back(Arc::clone(&chunk));
        self.tail = Tail { first, records: 0, closed: false };
        Ok(chunk)
    }

    /// Makes room at the bound: declares what the oldest chunk still holds, then removes it. In this order, since what
    /// was declared and arrives all the same counts as stored, while what is gone undeclared is missing.
    fn drop_oldest(&mut self) -> Result<(), ChunkError> {
        while !self.shared.has_room() {
            let (front, next, acknowledged) = {
                let state = self.shared.state();
                let Some(next) = state.chunks.get(1) else { return Ok(()) };
                (Arc::clone(&state.chunks[0]), next.first(), state.acknowledged)
            };
            let dropped = match read_to_declare(&front, acknowledged, next) {
                Ok(dropped) => dropped,
                Err(ChunkError::Damaged(damage)) => {
                    self.shared.set_aside(&front, &damage)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let count = dropped.count();
            for dropped in dropped.declare(DropReason::OutboxFull) {
                let (answer, _unheard) = sync_channel(1);
                self.write(&[(wire::payload(&self.agent, &Content::Dropped(dropped)), answer)])?;
            }
            let freed = {
                let mut state = self.shared.state();
                state.dropped += count;
                state.acknowledged = state.acknowledged.max(next - 1);
                state.behind_cursor()
            };
            self.shared.free(freed, next - 1)?;
            log::warn!(dropped = count; "the outbox is at its bound: the oldest records are dropped");
        }
        Ok(())
    }

    /// Rolls a drained chunk, so that its space is given back.
    fn give_back(&mut self) {
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
        let freed = freed.and_then(|chunks| Ok(self.shared.free(chunks, position)?));
        if let Err(error) = freed {
            log::warn!(error:%; "the space of a drained chunk could not be given back yet");
        }
    }

    fn answer(&self, answer: &SyncSender<Answer>, result: Answer) {
        // Whoever asked may be gone, at a stop: then nobody needs the answer.
        if answer.send(result).is_err() {
            log::debug!("nobody waits for this record");
        }
    }
}

/// What a chunk holds from a position on, a part at a time, since a chunk may be large once it is decompressed.
fn read_to_declare(chunk: &Chunk, after: u64, next: u64) -> Result<Undelivered, ChunkError> {
    let mut dropped = Undelivered::default();
    let mut after = after;
    loop {
        let entries = chunk.read(after, 1_000, 4 * 1024 * 1024)?;
        let Some(last) = entries.last() else { return Ok(dropped) };
        after = last.position;
        entries.iter().filter(|entry| entry.position < next).for_each(|entry| dropped.add(entry));
    }
}

/// Seals a rolled chunk in the background: it takes two openings, and nothing waits for it.
fn seal(chunk: Arc<Chunk>) {
    let sealing = thread::Builder::new().name("outbox-seal".into()).spawn(move || {
        if let Err(error) = chunk.seal() {
            log::warn!(error:%, first = chunk.first(); "a rolled chunk of the outbox could not be sealed");
        }
    });
    if let Err(error) = sealing {
        log::warn!(error:%; "a rolled chunk of the outbox could not be sealed: no thread");
    }
}
