//! How anyone who asked something of the committer learns what came of it.
//!
//! What is asked at about the same time shares a round: one allocation, and one wake for all when the committer is done
//! with it, instead of one for each record, which would keep the committer from its next group for longer than the disk.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::append::{AppendError, Number};

/// Most that share a round. Some stay behind when the committer takes less than all, and the others then wait for them.
const ROUND: usize = 256;

pub(in crate::outbox) type Answer = Result<Number, AppendError>;

/// The round that is open, and how many are in it.
#[derive(Default)]
pub(in crate::outbox) struct Rounds {
    open: Option<Arc<Round>>,
    asked: usize,
}

/// The committer's side of a round: once nothing of it is left, everybody in it is woken.
pub(in crate::outbox) struct Round(Arc<Answers>);

#[derive(Debug, Default)]
struct Answers {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    /// Short of those that got none.
    given: Vec<Option<Answer>>,
    /// No more answers will come.
    over: bool,
}

/// Where an answer goes.
pub(in crate::outbox) struct Asker {
    round: Arc<Round>,
    at: usize,
}

/// The answer to come to something that was asked of the committer.
#[derive(Debug)]
pub struct Pending {
    answers: Arc<Answers>,
    at: usize,
}

impl Rounds {
    /// A place in the open round.
    pub(in crate::outbox) fn ask(&mut self) -> (Asker, Pending) {
        if self.asked == ROUND {
            self.close();
        }
        let round = self.open.get_or_insert_with(|| Arc::new(Round(Arc::default())));
        let at = self.asked;
        self.asked += 1;
        (Asker { round: Arc::clone(round), at }, Pending { answers: Arc::clone(&round.0), at })
    }

    /// What is asked from now on is in another round.
    pub(in crate::outbox) fn close(&mut self) {
        (self.open, self.asked) = (None, 0);
    }
}

impl Asker {
    pub(in crate::outbox) fn answer(self, answer: Answer) {
        let given = &mut self.round.0.inner().given;
        if given.len() <= self.at {
            given.resize_with(self.at + 1, || None);
        }
        given[self.at] = Some(answer);
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.0.inner().over = true;
        self.0.changed.notify_all();
    }
}

impl Inner {
    fn take(&mut self, at: usize) -> Answer {
        self.given.get_mut(at).and_then(Option::take).unwrap_or(Err(AppendError::Stopped))
    }
}

impl Answers {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

impl Pending {
    /// Waits for it.
    ///
    /// # Errors
    /// When the record is too large, or the outbox has stopped.
    pub fn wait(self) -> Answer {
        let mut inner = self.answers.inner();
        self.answers.changed.wait_while(&mut inner, |inner| !inner.over);
        inner.take(self.at)
    }

    /// Waits for it no longer than `patience`.
    ///
    /// # Errors
    /// Also when the disk did not take the record in time.
    pub fn wait_for(&self, patience: Duration) -> Answer {
        let mut inner = self.answers.inner();
        self.answers.changed.wait_while_for(&mut inner, |inner| !inner.over, patience);
        if inner.over { inner.take(self.at) } else { Err(AppendError::TimedOut) }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn number(seq: u64) -> Number {
        Number { epoch: Uuid::nil(), seq }
    }

    #[test]
    fn each_gets_its_own_answer_once_the_round_is_over() {
        let mut rounds = Rounds::default();
        let (askers, pending): (Vec<_>, Vec<_>) = (0..ROUND + 3).map(|_| rounds.ask()).unzip();
        rounds.close();
        let answered = askers.into_iter().zip(0..);
        answered.for_each(|(asker, seq)| asker.answer(Ok(number(seq))));
        let answers: Vec<_> = pending.into_iter().map(|pending| pending.wait().unwrap().seq).collect();
        assert_eq!(answers, (0..ROUND as u64 + 3).collect::<Vec<_>>());
    }

    #[test]
    fn anyone_who_is_not_answered_learns_that_the_outbox_has_stopped() {
        let mut rounds = Rounds::default();
        let (asker, pending) = rounds.ask();
        assert_eq!(pending.wait_for(Duration::from_millis(1)), Err(AppendError::TimedOut));
        rounds.close();
        drop(asker);
        assert_eq!(pending.wait(), Err(AppendError::Stopped));
    }
}
