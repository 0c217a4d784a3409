//! Tells people once what fails.
//!
//! ```text
//!                      one collector at a time                          any collector
//! results, reports ──▶ facts ──▶ judge ──▶ advance ──▶ alerts       ┌─▶ claim ──▶ webhook · email · command
//!                        rules ──┘           │                      │
//!                                            └──▶ notifications ────┘
//!                       └────────── one transaction ───────┘
//! ```
//!
//! Every ten seconds one of the collectors takes a lock of the database, looks at what the agents see now, and moves
//! each alert on: pending, firing, resolved. The messages about it are written in the same transaction that moves the
//! alert. So the alert and its messages are always stored together, even when a collector is killed.
//!
//! A message is claimed, sent, and marked as sent. A receiver with addresses gets one message for each address. A
//! collector that dies after sending and before marking may have sent the message. The next collector sends it again
//! once the claim has run out. This cannot be avoided with receivers that do not remember what they got. Therefore both
//! messages carry the same id (`Message-ID`, `Idempotency-Key`, `id`), by which the receiver can recognise the second
//! one.
//!
//! An outage of the database itself is told directly instead: see `database_watch`.
//!
//! Nothing is told about a site that no agent sees: when agents are silent, alerts about sites stay as they are.

pub mod database_watch;
pub mod evaluator;
pub mod notifier;
pub mod shutdown;
