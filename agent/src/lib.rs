//! The agent: checks websites, keeps each result in a local outbox, and delivers it to Kafka.

pub mod check;
pub mod command;
pub mod config;
pub mod schedule;
