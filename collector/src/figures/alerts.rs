//! What programs are shown about alerts, and about the messages that tell them.

use jiff::SignedDuration;

/// The numbers of alerts and messages at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// Alerts that are in trouble, but not yet for long enough.
    pub pending: i64,
    /// Alerts that fire, and are told to receivers.
    pub firing: i64,
    /// Alerts that fire during a maintenance.
    pub suppressed: i64,
    /// Messages that are due, or were tried, and were not accepted yet.
    pub waiting: i64,
    /// The age of the oldest of these messages; zero when there is none.
    pub oldest: SignedDuration,
}
