//! The collector: Kafka's messages into PostgreSQL, each result once, and the proof of it.

pub mod batch;
pub mod config;
pub mod ranges;
pub mod rarely;
pub mod store;
pub mod verify;
