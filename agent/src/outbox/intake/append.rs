//! What is appended to the outbox, and what its caller learns of that.

use crate::outbox::disk::frame::PAYLOAD;
use uuid::Uuid;
use wire::Previous;

use crate::outbox::Status;

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
