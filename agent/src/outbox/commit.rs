//! The one thread that changes the chunks: it numbers, writes, rolls, evicts, declares and repairs.
//!
//! The `committer` is the handle to the thread, and the `writer` is what the thread does for each group of requests.
//! `eviction` gives up the oldest chunk when the directory is at its bound, `repair` puts a salvaged chunk in the place of a
//! damaged one, and `declaring` writes the `declaration` of every record that was given up.

pub(super) mod committer;
mod declaration;
mod declaring;
mod eviction;
pub(super) mod repair;
mod writer;
