//! The rows of a batch, each file for one table: names first, then results, and then what they mean for other tables.

pub(super) mod agents;
mod column;
pub(super) mod copy;
pub(super) mod doubled;
pub(crate) mod late;
pub(crate) mod names;
pub(crate) mod results;
pub(super) mod schedules;
