//! Defines the records that agents send to collectors over Kafka: record version 1.
//!
//! One record is one Kafka message: a JSON object that any Kafka tool can show. An agent's outbox keeps the
//! [payload](encode::payload) of a record, which holds everything but its number. When the record is sent, the outbox
//! [stamps](encode::stamp) the payload with epoch and sequence number. A collector [decodes](Record::decode) the
//! message, or gets a [`Rejection`] that says what is wrong. If the number of the message can be read, the rejection
//! has it, and the number is accounted for.
//!
//! ```text
//! {"epoch":"7b0c…","seq":42,"v":1,"kind":"result","agent":"edge-1","monitor":"shop",…}
//!  └──── stamp ───────────┘ └──────────────── payload ──────────────────────────────┘
//! ```
//!
//! These rules never change within version 1: fields are only added, unknown fields are accepted, and the files in
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
