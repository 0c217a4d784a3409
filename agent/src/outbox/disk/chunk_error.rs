//! What can go wrong in a chunk, sorted by what is to be done about it.

use std::io;

/// Why a chunk could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(in crate::outbox) enum ChunkError {
    /// The disk refused: what is there stays, and may be read later.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The files are not what was written.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The chunk left the outbox, or another one took its place.
    #[error("no longer in use")]
    Retired,
}
