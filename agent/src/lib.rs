//! The agent: checks websites, keeps each result in a local outbox, and delivers it to Kafka.

pub mod config;
pub mod outbox;
