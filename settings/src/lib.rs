//! What both daemons read, and set, in the same way: YAML files, variables, durations and sizes, secrets, the `kafka`, the
//! `http` and the `log` section; and how both print what strangers wrote ([`terminal`]).
//!
//! ```text
//! file ──read──▶ serde_yaml::Value ──Section──▶ the daemon's own checked types, and every Fault at once
//! ```
//!
//! A [`Section`] is asked for the options that a daemon knows; whatever is wrong becomes a [`Fault`] that names file,
//! entry, option and mend, and reading goes on. What to do about faults (skip an entry, refuse a file) is the
//! daemon's decision.

mod exit;
mod fault;
mod headers;
mod http;
mod kafka;
mod line;
mod log;
mod log_throttle;
mod memory;
mod nearest;
mod outage;
pub mod quantity;
mod read;
mod schema;
mod secret;
mod section;
pub mod terminal;
mod variables;

pub use exit::keep_openssl_at_exit;
pub use fault::{Fault, Wrong};
pub use headers::header_value;
pub use http::{Asked, Hosts, Limits, Tls, answer, for_hosts, healthz, listen, metrics, serve};
pub use kafka::{Kafka, Properties, Protocol, Sasl, Security};
pub use line::line;
pub use log::{Log, LogFormat};
pub use log_throttle::LogThrottle;
pub use memory::{give_back_pieces_from, keep_free, share_heaps};
pub use nearest::nearest;
pub use outage::{Failure, FailureKind, Outage, register_failure};
pub use quantity::{duration, shown, size};
pub use read::read;
pub use schema::Schema;
pub use section::Section;
pub use variables::host_name;
