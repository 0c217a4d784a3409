//! Where the figures that people read come from: the tables, or what a test makes up.

use jiff::Timestamp;

use super::agent::AgentRow;
use super::alerts::AlertCounts;
use super::detail::{Detail, ResultRow};
use super::overview::Overview;
use super::period::Period;
use crate::unavailable::Unavailable;

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

    /// This many results of a monitor from before a moment, newest first; none when there is none with that id.
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
