//! The agent: checks websites, keeps each result in a local outbox, and delivers it to Kafka.
//!
//! ```text
//! config ──▶ schedule ──▶ check ──▶ outbox ──▶ publish ══▶ Kafka
//! ```
//! Data flows one way, and no part knows the next but one: a check knows no outbox, the outbox knows no Kafka.
//! [`run`] wires them in that order and takes them down in the same order, so that what an earlier part still has
//! under way finds the later ones running.

pub mod arguments;
pub mod check;
pub mod clock;
pub mod commands;
pub mod config;
mod durable_file;
pub mod export;
pub mod outbox;
pub mod publish;
mod report;
mod run;
pub mod schedule;

pub use run::{RunError, run};
