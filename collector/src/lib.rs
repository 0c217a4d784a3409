//! The collector stores messages from Kafka in PostgreSQL, each result once, and proves it.
//!
//! ```text
//! Kafka ──▶ consume ── batch ──▶ store ──▶ PostgreSQL ──▶ verify
//!                                               └──────▶ alerting ──▶ receivers
//! ```
//! `consume` uses no SQL, and `store` does not use Kafka. [`run`] connects them.

pub mod address;
pub mod alerting;
pub mod alerts;
pub mod arguments;
pub mod batch;
pub mod clock_skew;
pub mod commands;
pub mod config;
pub mod consume;
pub mod figures;
pub mod health;
pub mod notify;
mod periodic;
pub mod position;
pub mod ranges;
pub mod report;
mod run;
pub mod store;
mod text;
pub mod unavailable;
pub mod verify;
pub mod web;
pub mod words;

pub use run::run;
