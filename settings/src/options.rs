//! Options out of a YAML file, with every fault at once.
//!
//! `read` makes a YAML value of a file. A `section` is asked for each option, expands `variables`, and reads a `quantity`, a
//! `secret` or `headers` where one is expected. A `fault` names what is wrong and what to write instead; `nearest` finds the
//! name that was meant. A `schema` learns the options that are asked for.

pub(super) mod fault;
pub(super) mod headers;
pub(super) mod nearest;
pub mod quantity;
pub(super) mod read;
pub(super) mod schema;
mod secret;
pub(super) mod section;
pub(super) mod variables;
