//! Tells people what fails, once.
//!
//! ```text
//!                      one collector at a time                          any collector
//! results, reports ──▶ facts ──▶ judge ──▶ advance ──▶ alerts       ┌─▶ claim ──▶ webhook · email · command
//!                        rules ──┘           │                      │
//!                                            └──▶ notifications ────┘
//!                       └────────── one transaction ───────┘
//! ```
//!
//! Every ten seconds one of the collectors, under a lock of the database, looks at what the agents see now and moves
//! each alert on: pending, firing, resolved. What is to be told of that is written as messages in the very transaction
//! that moves the alert, so neither exists without the other, whichever
//! process is killed at whatever time.
//!
//! A message is claimed, sent, and marked as sent; to a receiver with addresses it is one for each of them. Who dies
//! between the last two may have sent it: the next one sends it again once the claim has run out. There is no way around
//! that with receivers that keep no books; so both carry the same id (`Message-ID`, `Idempotency-Key`, `id`), by which the
//! receiver can tell.
//!
//! That the database itself is away is told by none of this, but directly: see `database_watch`.
//!
//! Nothing is said of a site that no one sees: when agents are silent, alerts of sites stay as they are.

pub mod database_watch;
pub mod evaluator;
pub mod notifier;
pub mod shutdown;
