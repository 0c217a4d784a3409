//! The real daemons on real servers, seen from outside. One module per question.

mod delivery;
mod stack;
mod store;
