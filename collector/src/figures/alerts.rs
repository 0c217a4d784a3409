//! What programs are shown of alerts, and of the messages about them.

use jiff::SignedDuration;

/// How many alerts and messages there are at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// Alerts that are in trouble, but not yet for long enough.
    pub pending: i64,
    /// The alerts that fire and that receivers are told of.
    pub firing: i64,
    /// Those that fire in a maintenance.
    pub suppressed: i64,
    /// Messages that are due, or were tried, and are not taken.
    pub waiting: i64,
    /// The age of the oldest of them; zero when there is none.
    pub oldest: SignedDuration,
}
