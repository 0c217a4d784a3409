//! The source of the figures that people read: the tables, or what a test makes up.

use jiff::Timestamp;

use super::agent::AgentRow;
use super::alerts::AlertCounts;
use super::detail::{Detail, ResultRow};
use super::overview::Overview;
use super::period::Period;
use crate::unavailable::Unavailable;

/// A source of what is shown: the tables, or what a test makes up.
pub trait Source: Send + Sync + 'static {
    /// Returns all monitors in short.
    ///
    /// # Errors
    /// Returns why the database can't be read.
    fn overview(&self, period: Period) -> Result<Overview, Unavailable>;

    /// Returns one monitor at length; none when there is no monitor with that id.
    ///
    /// # Errors
    /// Returns why the database can't be read.
    fn detail(&self, id: &str, period: Period) -> Result<Option<Detail>, Unavailable>;

    /// Returns at most this number of results of a monitor from before a moment, newest first; none when there is no
    /// monitor with that id.
    ///
    /// # Errors
    /// Returns why the database can't be read.
    fn results(&self, id: &str, before: Timestamp, most: usize) -> Result<Option<Vec<ResultRow>>, Unavailable>;

    /// Returns all agents, sorted by name.
    ///
    /// # Errors
    /// Returns why the database can't be read.
    fn agents(&self) -> Result<Vec<AgentRow>, Unavailable>;

    /// Returns how many alerts there are, and how many messages wait.
    ///
    /// # Errors
    /// Returns why the database can't be read.
    fn alerts(&self) -> Result<AlertCounts, Unavailable>;

    /// Finds out whether there is a database with tables that can be read. This costs next to nothing.
    ///
    /// # Errors
    /// Returns why the database can't be read.
    fn answers(&self) -> Result<(), Unavailable>;
}
