//! Agents check monitors.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wire::{CheckResult, MonitorDue, Outcome, Phases};

/// Each monitor is checked at this interval, in milliseconds.
pub(crate) const INTERVAL: i64 = 10_000;

/// A monitor is known by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Monitor(pub(crate) usize);

impl Monitor {
    pub(crate) fn id(self) -> String {
        format!("m{}", self.0)
    }

    pub(crate) fn url(self) -> String {
        format!("https://m{}.example/", self.0)
    }

    /// Counts the slots of its grid after one time and up to another.
    pub(crate) const fn slots(self, after: i64, until: i64) -> i64 {
        let phase = self.0 as i64 * 1_777 % INTERVAL;
        (until - phase).div_euclid(INTERVAL) - (after - phase).div_euclid(INTERVAL)
    }

    /// Makes what an agent says of it when it says what is due.
    pub(crate) fn due(self) -> MonitorDue {
        MonitorDue { id: self.id(), interval_ms: INTERVAL as u64, tags: BTreeMap::new() }
    }

    /// Makes the result of a check.
    pub(crate) fn result(self, at: Timestamp) -> CheckResult {
        CheckResult {
            monitor: self.id(),
            name: self.id(),
            url: self.url(),
            pattern: None,
            scheduled_at: at,
            checked_at: at,
            outcome: Outcome::Success,
            status_code: Some(200),
            reason: None,
            response_time_us: Some(1),
            phases: Phases::default(),
            peer: None,
            redirects: None,
            pattern_matched: None,
            certificate: None,
            body_bytes: None,
            truncated: None,
            attempts: 1,
            tags: BTreeMap::new(),
            error: None,
        }
    }
}
