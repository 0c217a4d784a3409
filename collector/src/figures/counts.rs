//! Counts what was seen of a site in some time, and what that leaves open.
//!
//! ```text
//!  expected ───────────────────────────────────────────────┐
//!  │ success │ failed │ spoiled by the agent │ not arrived │
//!            lower bound: all that is open had failed
//!            upper bound: all that is open had succeeded
//! ```

use std::iter::Sum;
use std::ops::AddAssign;

use serde::Serialize;

/// Counts of checks. They can be added up over monitors, agents and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The results that arrived.
    pub checks: i64,
    /// The results with a success.
    pub success: i64,
    /// The results that an agent's own trouble spoiled. They say nothing about the site.
    pub agent_errors: i64,
    /// The checks that were due, as far as is known, and that have no result. They include those of the time in which
    /// no agent looked although one had before.
    pub unseen: i64,
}

/// The bounds between which the true uptime lies, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounds {
    /// The uptime if all that was not seen had failed.
    pub lower: f64,
    /// The uptime if all that was not seen had succeeded.
    pub upper: f64,
}

#[allow(clippy::cast_precision_loss)] // counts of checks
impl Counts {
    /// Returns the number of checks that failed because of the site.
    pub fn failed(&self) -> i64 {
        self.checks - self.success - self.agent_errors
    }

    /// Returns the number of results that should have arrived: those that arrived, and those that did not.
    pub fn expected(&self) -> i64 {
        self.checks + self.unseen
    }

    /// Returns the share of successes among what was seen of the site; none when nothing was seen.
    pub fn uptime(&self) -> Option<f64> {
        let telling = self.checks - self.agent_errors;
        (telling > 0).then(|| self.success as f64 / telling as f64)
    }

    /// Returns the bounds of the uptime, whatever happened unseen; none when nothing was expected.
    pub fn bounds(&self) -> Option<Bounds> {
        let expected = self.expected();
        (expected > 0).then(|| Bounds {
            lower: self.success as f64 / expected as f64,
            upper: (self.success + self.unseen + self.agent_errors) as f64 / expected as f64,
        })
    }

    /// Returns the share of the expected results that arrived, from 0 to 1; none when nothing was expected.
    pub fn coverage(&self) -> Option<f64> {
        let expected = self.expected();
        (expected > 0).then(|| self.checks as f64 / expected as f64)
    }

    /// Returns whether there is neither a result nor anything that was expected.
    pub fn is_empty(&self) -> bool {
        self.expected() == 0
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.checks += other.checks;
        self.success += other.success;
        self.agent_errors += other.agent_errors;
        self.unseen += other.unseen;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Counts>>(all: I) -> Counts {
        let mut sum = Counts::default();
        all.for_each(|counts| sum += counts);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_whatever_happened_unseen() {
        let counts = Counts { checks: 80, success: 60, agent_errors: 10, unseen: 20 };
        assert_eq!((counts.failed(), counts.uptime()), (10, Some(60.0 / 70.0)));
        assert_eq!(counts.bounds(), Some(Bounds { lower: 0.6, upper: 0.9 }));
        assert_eq!(counts.coverage(), Some(0.8));
    }

    #[test]
    fn time_in_which_no_one_looked_is_never_a_hundred_percent() {
        let counts = Counts { unseen: 120, ..Counts::default() };
        assert_eq!((counts.uptime(), counts.coverage()), (None, Some(0.0)));
        assert_eq!(counts.bounds(), Some(Bounds { lower: 0.0, upper: 1.0 }));
        assert_eq!(Counts::default().bounds(), None);
    }
}
