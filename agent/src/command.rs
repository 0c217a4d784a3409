//! The commands beside `run`.

pub mod once;
