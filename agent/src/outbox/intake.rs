//! The way in: results are handed in without waiting, and the thread that writes answers once they are durable.
//!
//! An `append` is what one hands in. The `queue` holds it for the thread that writes, bounded in memory. The `answer` wakes
//! the one who waits for it.

pub(super) mod answer;
pub(super) mod append;
pub(super) mod queue;
