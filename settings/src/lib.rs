//! Reads and sets what both daemons have in common: YAML files, variables, durations and sizes, secrets, and the
//! sections `kafka`, `http` and `log`. It also prints texts from outside in a safe way ([`terminal`]).
//!
//! ```text
//! file ──read──▶ serde_yaml::Value ──Section──▶ the daemon's own checked types, and every Fault at once
//! ```
//!
//! A daemon asks a [`Section`] for the options that it knows. Everything that is wrong becomes a [`Fault`] that names
//! the file, the entry, the option and the fix, and reading goes on. The daemon decides what to do about faults: skip
//! an entry, or refuse a file.

mod exit;
mod http;
mod kafka;
mod line;
mod log;
mod log_throttle;
mod memory;
mod options;
mod outage;
pub mod terminal;

pub use exit::keep_openssl_at_exit;
pub use http::{Asked, Hosts, Limits, Tls, answer, for_hosts, healthz, listen, metrics, serve};
pub use kafka::{Kafka, Properties, Protocol, Sasl, Security};
pub use line::line;
pub use log::{Log, LogFormat};
pub use log_throttle::LogThrottle;
pub use memory::{give_back_pieces_from, keep_free, share_heaps};
pub use options::fault::{Fault, Wrong};
pub use options::headers::header_value;
pub use options::nearest::nearest;
pub use options::quantity::{self, duration, shown, size};
pub use options::read::read;
pub use options::schema::Schema;
pub use options::section::Section;
pub use options::variables::host_name;
pub use outage::{Failure, FailureKind, Outage, register_failure};
