//! What the rules say of the facts: which alerts move on, and what receivers are told. No part of it does I/O.
//!
//! ```text
//! facts ──▶ judge ──▶ advance ──▶ alerts
//!  rules ─────┘          └──────▶ messages
//! ```
//! `evaluate` puts the parts together.

mod advance;
mod blind;
pub(crate) mod evaluate;
mod facts;
mod judge;
mod merge;
mod message;
mod silence;

pub use advance::{Alert, Details, Phase};
pub use blind::Away;
pub(crate) use blind::away_details;
pub use evaluate::{Changes, Known};
pub use facts::{Facts, Monitor};
pub(crate) use judge::signed;
pub(crate) use merge::merge;
pub(crate) use message::whom;
pub use message::{Item, Kind, Message, Size};
