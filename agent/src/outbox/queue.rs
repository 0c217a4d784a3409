//! What waits for the committer.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::committer::{AppendError, Number, Opening};

/// Most records of one commit.
const GROUP: usize = 4_096;
/// Most records that wait for a commit; whoever appends more waits for room.
const QUEUE: usize = 16_384;

pub(super) type Answer = Result<Number, AppendError>;
pub(super) type Opener = Box<dyn FnOnce(Opening) -> Vec<u8> + Send>;

pub(super) enum Request {
    Append(Vec<u8>, SyncSender<Answer>),
    BeginEpoch(Opener, SyncSender<Answer>),
}

/// Requests, in the order in which they came, and what the committer is told beside them.
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
    impatient: bool,
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

    pub(super) fn push(&self, request: Request) -> Result<(), AppendError> {
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

    /// From now on what the disk refuses is answered rather than tried again.
    pub(super) fn hurry(&self) {
        self.waiting().impatient = true;
    }

    pub(super) fn is_impatient(&self) -> bool {
        self.waiting().impatient
    }

    /// Ends the committer once nothing waits.
    pub(super) fn stop(&self) {
        let mut waiting = self.waiting();
        (waiting.impatient, waiting.stopping) = (true, true);
        self.changed.notify_one();
    }

    /// All that wait, up to a group, and whether the outbox was drained; none when it is time to end.
    pub(super) fn take(&self) -> Option<(Vec<Request>, bool)> {
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
