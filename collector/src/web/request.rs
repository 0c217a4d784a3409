//! What a request asks for, and whether it is let in.
//!
//! The `guard` stands around every answer, and `access` decides who may see what. `parameters`, `filter` and `paging` read the
//! query of an address.

pub mod access;
pub(super) mod filter;
pub(super) mod guard;
pub(super) mod paging;
pub(super) mod parameters;
