//! What people and programs are shown over HTTP.
//!
//! ```text
//! PostgreSQL ──▶ Source ──▶ pages · API · badges · metrics ──▶ whoever asks, if access lets them
//! ```

pub mod access;
mod api;
mod badge;
mod called;
pub mod failure;
mod filter;
#[cfg(test)]
pub(crate) mod fixture;
mod guard;
mod metrics;
pub mod pages;
mod paging;
mod parameters;
pub mod routes;
pub mod snapshot;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Public;
use crate::figures::agent::AgentRow;
use crate::figures::alerts::AlertCounts;
use crate::figures::detail::{Detail, ResultRow};
use crate::figures::overview::Overview;
use crate::figures::period::Period;
use crate::store::Unavailable;
use snapshot::Snapshots;

/// Where what is shown comes from: the tables, or what a test makes up.
pub trait Source: Send + Sync + 'static {
    /// All monitors in short.
    ///
    /// # Errors
    /// Why the database can't be read.
    fn overview(&self, period: Period) -> Result<Overview, Unavailable>;

    /// One monitor at length; none when there is none with that id.
    ///
    /// # Errors
    /// Why the database can't be read.
    fn detail(&self, id: &str, period: Period) -> Result<Option<Detail>, Unavailable>;

    /// So many results of a monitor from before a moment, newest first; none when there is none with that id.
    ///
    /// # Errors
    /// Why the database can't be read.
    fn results(&self, id: &str, before: Timestamp, most: usize) -> Result<Option<Vec<ResultRow>>, Unavailable>;

    /// All agents, by name.
    ///
    /// # Errors
    /// Why the database can't be read.
    fn agents(&self) -> Result<Vec<AgentRow>, Unavailable>;

    /// How many alerts there are, and messages that wait.
    ///
    /// # Errors
    /// Why the database can't be read.
    fn alerts(&self) -> Result<AlertCounts, Unavailable>;

    /// Whether there is a database with tables that can be read. It costs next to nothing.
    ///
    /// # Errors
    /// Why the database can't be read.
    fn answers(&self) -> Result<(), Unavailable>;
}

/// What all handlers share.
#[derive(Clone)]
pub struct Site {
    /// What there is to show.
    pub snapshots: Arc<Snapshots>,
    /// What of it anybody may see, under `/public`; none: nothing.
    pub public: Option<Arc<Public>>,
}
