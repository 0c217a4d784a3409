//! The one thread that writes: it takes all that wait, numbers them, makes them durable together, then answers all.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;
use wire::{Content, DropReason, Previous};

use super::chunk::{Chunk, ChunkError, EpochAt, Head};
use super::{Outbox, Shared, Status, WORTH_FREEING, declaration, frame};
use crate::config::WhenFull;

/// Most records of one commit.
const GROUP: usize = 4_096;
/// Most records that wait for a commit; whoever appends more waits for room.
const QUEUE: usize = 16_384;
/// Longest payload. A frame must stay below what sled would put into a file of its own, which no fsync of ours covers:
/// a quarter of the smallest segment.
const PAYLOAD: usize = 120 * 1024;
/// How long the committer waits between attempts while the disk refuses.
const RETRY: Duration = Duration::from_millis(500);

/// The number that a record was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The epoch.
    pub epoch: Uuid,
    /// The sequence number in it.
    pub seq: u64,
}

/// What the first record of an epoch can say.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Where the epoch before ended; none in a new outbox.
    pub previous: Option<Previous>,
    /// The outbox just before the epoch.
    pub status: Status,
}

/// Why a record was not appended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The agent stopped while the disk refused, or after the outbox was stopped.
    #[error("the outbox has stopped")]
    Stopped,
    /// The disk did not take it in time; it may still do so.
    #[error("the disk did not take the record in time")]
    TimedOut,
    /// No frame may be that large.
    #[error("a record of {0} bytes is more than the {PAYLOAD} that the outbox takes")]
    TooLarge(usize),
}

type Answer = Result<Number, AppendError>;
type Opener = Box<dyn FnOnce(Opening) -> Vec<u8> + Send>;

enum Request {
    Append(Vec<u8>, SyncSender<Answer>),
    BeginEpoch(Opener, SyncSender<Answer>),
}

/// What waits for the committer.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    room: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    drained: bool,
    stopping: bool,
    stopped: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.waiting().requests.len()).finish()
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, request: Request) -> Result<(), AppendError> {
        let mut waiting = self.waiting();
        while waiting.requests.len() >= QUEUE && !waiting.stopped {
            waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.stopped {
            return Err(AppendError::Stopped);
        }
        waiting.requests.push_back(request);
        self.changed.notify_one();
        Ok(())
    }

    /// Says that everything was acknowledged, so that the committer may roll and the space is given back.
    pub(super) fn drained(&self) {
        self.waiting().drained = true;
        self.changed.notify_one();
    }

    fn stop(&self) {
        self.waiting().stopping = true;
        self.changed.notify_one();
    }

    fn is_stopping(&self) -> bool {
        self.waiting().stopping
    }

    /// All that wait, up to a group, and whether the outbox was drained; none when it is time to end.
    fn take(&self) -> Option<(Vec<Request>, bool)> {
        let mut waiting = self.waiting();
        loop {
            if !waiting.requests.is_empty() || waiting.drained {
                let count = waiting.requests.len().min(GROUP);
                let taken = waiting.requests.drain(..count).collect();
                let drained = std::mem::take(&mut waiting.drained);
                self.room.notify_all();
                return Some((taken, drained));
            }
            if waiting.stopping {
                waiting.stopped = true;
                self.room.notify_all();
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The running committer. Stopping or dropping it commits what waits and ends the thread.
#[derive(Debug)]
pub struct Committer {
    outbox: Outbox,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Commits what waits, ends the thread, closes the chunks.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.outbox.shared.queue.stop();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the outbox's committer panicked");
        }
        for chunk in &self.outbox.shared.state().chunks {
            chunk.close();
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

impl Outbox {
    /// Starts the committer and begins an epoch, whose first record `first` makes; it is durable on return.
    ///
    /// # Errors
    /// When that record is too large.
    pub fn start(
        &self,
        agent: &str,
        first: impl FnOnce(Opening) -> Vec<u8> + Send + 'static,
    ) -> Result<Committer, AppendError> {
        let shared = Arc::clone(&self.shared);
        let writer = Writer { shared, agent: agent.to_owned(), tail: Tail::default(), refused: false };
        let thread = thread::Builder::new()
            .name("outbox".into())
            .spawn(move || writer.run())
            .expect("a thread can be made at the start");
        let committer = Committer { outbox: self.clone(), thread: Some(thread) };
        self.begin_epoch(first)?;
        Ok(committer)
    }

    /// Begins a new epoch, whose first record `first` makes; it is durable on return.
    ///
    /// # Errors
    /// When that record is too large, or the outbox has stopped.
    pub fn begin_epoch(&self, first: impl FnOnce(Opening) -> Vec<u8> + Send + 'static) -> Answer {
        let (answer, receiver) = sync_channel(1);
        self.shared.queue.push(Request::BeginEpoch(Box::new(first), answer))?;
        wait_for(&receiver)
    }

    /// Appends a record; it is durable on return.
    ///
    /// # Errors
    /// When the record is too large, or the outbox has stopped. While the disk refuses, this waits.
    pub fn append(&self, payload: Vec<u8>) -> Answer {
        wait_for(&self.enqueue(payload)?)
    }

    /// As [`Outbox::append`], but waits no longer than `patience`.
    ///
    /// # Errors
    /// Also when the disk did not take the record in time.
    pub fn append_within(&self, payload: Vec<u8>, patience: Duration) -> Answer {
        match self.enqueue(payload)?.recv_timeout(patience) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(AppendError::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(AppendError::Stopped),
        }
    }

    fn enqueue(&self, payload: Vec<u8>) -> Result<Receiver<Answer>, AppendError> {
        if payload.len() > PAYLOAD {
            return Err(AppendError::TooLarge(payload.len()));
        }
        let (answer, receiver) = sync_channel(1);
        self.shared.queue.push(Request::Append(payload, answer))?;
        Ok(receiver)
    }
}

fn wait_for(receiver: &Receiver<Answer>) -> Answer {
    receiver.recv().unwrap_or(Err(AppendError::Stopped))
}

/// What the last chunk holds.
#[derive(Clone, Copy, Debug, Default)]
struct Tail {
    first: u64,
    records: u64,
    bytes: u64,
}

struct Writer {
    shared: Arc<Shared>,
    agent: String,
    tail: Tail,
    /// The disk refused the last attempt.
    refused: bool,
}

impl Writer {
    fn run(mut self) {
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
        self.shared.state().epoch = Some(EpochAt { epoch: Uuid::new_v4(), next_seq: 1 });
        self.commit(vec![(payload, answer)]);
    }

    /// Makes a group durable, then answers each; tries for as long as the disk refuses and the agent runs.
    fn commit(&mut self, group: Vec<(Vec<u8>, SyncSender<Answer>)>) {
        if group.is_empty() {
            return;
        }
        let at = loop {
            match self.write(&group) {
                Ok(at) => break at,
                Err(error) => {
                    if !self.refused {
                        log::error!(error:%, waiting = group.len(); "the outbox's disk refuses; results wait in memory");
                        self.refused = true;
                    }
                    if self.shared.queue.is_stopping() {
                        for (_, answer) in &group {
                            self.answer(answer, Err(AppendError::Stopped));
                        }
                        return;
                    }
                    thread::sleep(RETRY);
                }
            }
        };
        if std::mem::take(&mut self.refused) {
            log::warn!("the outbox's disk takes records again");
        }
        for (seq, (_, answer)) in (at.next_seq..).zip(&group) {
            self.answer(answer, Ok(Number { epoch: at.epoch, seq }));
        }
    }

    /// Makes a group durable; answers the epoch and the number that its first record was given.
    fn write(&mut self, group: &[(Vec<u8>, SyncSender<Answer>)]) -> Result<EpochAt, ChunkError> {
        // First the chunk: making room for it may append a record of its own.
        let chunk = self.chunk()?;
        let (first, at) = {
            let state = self.shared.state();
            (state.last + 1, state.epoch.expect("an epoch begins before anything is appended"))
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
            if let ChunkError::Damaged(damage) = &error {
                self.shared.set_aside(&chunk, damage)?;
            }
            return Err(error);
        }
        self.tail.records += done as u64;
        self.tail.bytes += frames.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
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
            // The chunk of an earlier run: how full it is is not known, but how many records it holds is.
            self.tail = Tail { first: last.first(), records: position + 1 - last.first(), bytes: 0 };
        }
        let bounds = self.shared.bounds;
        if self.tail.records < bounds.chunk_records && self.tail.bytes < bounds.chunk_bytes {
            return Ok(last);
        }
        let next = self.roll(position + 1)?;
        seal(last);
        if bounds.when_full == WhenFull::DropOldest && !self.shared.has_room() {
            self.drop_oldest()?;
        }
        Ok(next)
    }

    fn roll(&mut self, first: u64) -> Result<Arc<Chunk>, ChunkError> {
        let bounds = self.shared.bounds;
        let segment_size = (bounds.chunk_bytes / 8).next_power_of_two().clamp(512 * 1024, 2 * 1024 * 1024) as usize;
        let head = Head { first, epoch: self.shared.state().epoch, segment_size };
        // What an earlier attempt left when the disk refused half way.
        match std::fs::remove_dir_all(self.shared.root.chunk_path(first)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let chunk = Arc::new(Chunk::create(&self.shared.root, head)?);
        self.shared.state().chunks.push_back(Arc::clone(&chunk));
        self.tail = Tail { first, records: 0, bytes: 0 };
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
            let entries = match front.read(acknowledged, usize::MAX, usize::MAX) {
                Ok(entries) => entries,
                Err(ChunkError::Damaged(damage)) => {
                    self.shared.set_aside(&front, &damage)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for dropped in declaration::of(&entries, DropReason::OutboxFull) {
                let (answer, _unheard) = sync_channel(1);
                self.write(&[(wire::payload(&self.agent, &Content::Dropped(dropped)), answer)])?;
            }
            let freed = {
                let mut state = self.shared.state();
                state.dropped += entries.len() as u64;
                state.acknowledged = state.acknowledged.max(next - 1);
                state.behind_cursor()
            };
            self.shared.free(freed, next - 1)?;
            log::warn!(dropped = entries.len(); "the outbox is at its bound: the oldest records are dropped");
        }
        Ok(())
    }

    /// Rolls a drained chunk, so that its space is given back.
    fn give_back(&mut self) {
        let position = {
            let state = self.shared.state();
            if state.acknowledged < state.last || self.tail.bytes < WORTH_FREEING {
                return;
            }
            state.last
        };
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
