//! A world is made from a seed. It has agents, Kafka, collectors and databases in one thread, without a clock, a disk or a
//! network, and all that can befall them. Its truth is held against what the tables say at its end.
//!
//! ```text
//! seed ──▶ schedule: a list of actions, each with its own chance                           action, schedule
//!              │
//!              ▼  one step at a time                                                       world, step
//!   agents ──▶ disk ──▶ publish ──▶ log ──▶ collectors ──▶ store ──▶ databases
//!      │                                                                 │
//!      └──▶ truth: what was really said                                  │                 truth
//!              │        faults end; all that can arrive arrives          │
//!              └──────────────────────▶ judge ◀──────────────────────────┘                 judge
//!                                         │
//!                                         ▼
//!                                       faults ──▶ shrink: the actions that one takes      fault, shrink
//! ```
//! The product's pure rules run here as they are: their files are compiled in unchanged, and stay private in their own
//! crates, where nothing else needs them. All that does I/O is a model, which is the disk, Kafka, and each statement of SQL.
//! A rule of the protocol can be undone (`rules`), and the judge has to see what is wrong then.
//!
//! Each world has one thread, so a seed has the same world however many threads a search has.

#[allow(dead_code, unreachable_pub, reason = "the product asks for more of it, from elsewhere")]
#[path = "../../../collector/src"]
mod product {
    pub(crate) mod batch;
    pub(crate) mod clock_skew;
    pub(crate) mod position;
    pub(crate) mod ranges;
    pub(crate) mod verify;
}

mod action;
mod agent;
mod chance;
mod collector;
mod common;
mod cover;
mod disk;
mod fault;
mod figures;
mod group;
mod judge;
mod log;
mod monitor;
mod publish;
mod rules;
mod schedule;
mod search;
mod shrink;
mod step;
mod store;
mod truth;
mod world;

// The product's files know each other under these names.
use product::{batch, clock_skew, position, ranges, verify};

pub use action::{Action, Kind};
pub use cover::{Cover, Rare};
pub use fault::{Fault, FaultKind};
pub use rules::{Rule, Rules};
pub use schedule::schedule;
pub use search::{Found, Sighting, search};
pub use shrink::shrink;
pub use world::{Outcome, run, tell};
