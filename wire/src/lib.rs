//! What travels on Kafka from agents to collectors: record version 1.
//!
//! One record is one Kafka message, a JSON object that any Kafka tool can show. An agent's outbox keeps the
//! [payload](encode::payload) of a record, which says everything but its number, and [stamps](encode::stamp) it
//! with epoch and sequence number when it is sent. A collector [decodes](Record::decode) the message or gets a
//! [`Rejection`] that says what is wrong, and, where it can be read, which number is thereby accounted for.
//!
//! ```text
//! {"epoch":"7b0c…","seq":42,"v":1,"kind":"result","agent":"edge-1","monitor":"shop",…}
//!  └──── stamp ───────────┘ └──────────────── payload ──────────────────────────────┘
//! ```
//!
//! Rules that never change within version 1: fields are only added; unknown fields are accepted; the files in
//! `golden/` are never edited, only added to. There is no I/O in this crate.

mod decode;
mod encode;
pub mod limits;
mod record;
mod report;
mod time;

pub use decode::{Fault, Number, Rejection};
pub use encode::{declared, lists_monitors, payload, stamp};
pub use record::{Certificate, CheckResult, Content, DropReason, Dropped, Outcome, Phases, Range, Record};
pub use report::{AgentEvent, AgentReport, Clock, Configuration, List, MonitorDue, Pending, Previous};

/// The version that this crate writes, and the only one that it reads.
pub const VERSION: u32 = 1;
