//! The database can't be used, as all that needs it is told.

/// The database is not there, or not usable. It says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub(crate) String);
