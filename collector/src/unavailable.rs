//! The error that every part gets that needs the database while it cannot be used.

/// The database is not there, or not usable. The text says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub(crate) String);
