//! The agent: checks websites, keeps each result in a local outbox, and delivers it to Kafka.

pub mod command;
pub mod config;
pub mod outbox;
pub mod publish;
