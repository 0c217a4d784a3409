//! Applies the rules to the facts: finds which alerts move on, and what receivers are told. No part of this module does
//! I/O.
//!
//! ```text
//! facts ──▶ judge ──▶ advance ──▶ alerts
//!  rules ─────┘          └──────▶ messages
//! ```
//! `evaluate` puts the parts together.

mod advance;
mod alert;
mod blind;
pub(crate) mod evaluate;
mod facts;
mod judge;
mod judgement;
mod merge;
mod silence;

pub use alert::{Alert, Phase};
pub(crate) use blind::away_details;
pub use evaluate::{Changes, Known};
pub use facts::{Away, Facts, Monitor};
pub(crate) use judgement::signed;
pub(crate) use merge::merge;
