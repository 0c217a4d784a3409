//! How records come to the one thread that writes them, and how that thread begins and ends.

use crate::outbox::disk::frame::PAYLOAD;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::writer::Writer;
use crate::outbox::Outbox;
use crate::outbox::intake::answer::{Answer, Pending};
use crate::outbox::intake::append::{AppendError, Opening};
use crate::outbox::intake::queue::Request;

/// The running committer. Stopping or dropping it commits what waits and ends the thread.
#[derive(Debug)]
pub struct Committer {
    outbox: Outbox,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Whether the thread still runs, as it does until it is stopped.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Commits what waits, ends the thread, closes the chunks.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.outbox.shared.intake.stop();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the outbox's committer panicked");
        }
        let chunks = self.outbox.shared.state().chunks.clone();
        chunks.iter().for_each(|chunk| chunk.close());
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
        let (committer, begun) = self.launch(agent, first)?;
        begun.wait()?;
        Ok(committer)
    }

    /// As [`Outbox::start`], but does not wait for the disk.
    ///
    /// # Errors
    /// When the outbox has stopped.
    pub fn launch(
        &self,
        agent: &str,
        first: impl FnOnce(Opening) -> Vec<u8> + Send + 'static,
    ) -> Result<(Committer, Pending), AppendError> {
        let writer = Writer::new(Arc::clone(&self.shared), agent);
        // Before the thread is there, and thus before any result that waits already.
        let begun = self.begin_epoch_soon(first)?;
        let thread = thread::Builder::new()
            .name("outbox".into())
            .spawn(move || writer.run())
            .expect("a thread can be made at the start");
        Ok((Committer { outbox: self.clone(), thread: Some(thread) }, begun))
    }

    /// Begins a new epoch, whose first record `first` makes; it is durable on return.
    ///
    /// # Errors
    /// When that record is too large, or the outbox has stopped.
    pub fn begin_epoch(&self, first: impl FnOnce(Opening) -> Vec<u8> + Send + 'static) -> Answer {
        self.begin_epoch_soon(first)?.wait()
    }

    /// As [`Outbox::begin_epoch`], but does not wait for the disk.
    ///
    /// # Errors
    /// When the outbox has stopped.
    pub fn begin_epoch_soon(
        &self,
        first: impl FnOnce(Opening) -> Vec<u8> + Send + 'static,
    ) -> Result<Pending, AppendError> {
        self.shared.intake.ask(|asker| Request::BeginEpoch(Box::new(first), asker))
    }

    /// Appends a record; it is durable on return.
    ///
    /// # Errors
    /// When the record is too large, or the outbox has stopped. While the disk refuses, this waits.
    pub fn append(&self, payload: Vec<u8>) -> Answer {
        self.append_soon(payload)?.wait()
    }

    /// As [`Outbox::append`], but waits no longer than `patience`.
    ///
    /// # Errors
    /// Also when the disk did not take the record in time.
    pub fn append_within(&self, payload: Vec<u8>, patience: Duration) -> Answer {
        self.append_soon(payload)?.wait_for(patience)
    }

    /// As [`Outbox::append`], but does not wait for the disk.
    ///
    /// # Errors
    /// When the record is too large, or the outbox has stopped.
    pub fn append_soon(&self, payload: Vec<u8>) -> Result<Pending, AppendError> {
        if payload.len() > PAYLOAD {
            return Err(AppendError::TooLarge(payload.len()));
        }
        self.shared.intake.ask(|asker| Request::Append(payload, asker))
    }

    /// Waits until all that was handed in is durable, or given up; whether that came in time.
    pub fn flush(&self, patience: Duration) -> bool {
        self.shared.intake.wait_until_empty(patience)
    }

    /// From now on a record that the disk refuses is refused, rather than kept waiting until the disk takes it.
    pub fn hurry(&self) {
        self.shared.intake.hurry();
    }
}
