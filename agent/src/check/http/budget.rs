//! One budget for all that checks hold of bodies at the same time.
//!
//! A worker holds little for itself; what is more than that is taken from the budget and given back when the check ends.
//! Where too many want more at the same time, they wait for each other, each until its own deadline.

use parking_lot::{Condvar, Mutex, MutexGuard};
use wire::Outcome;

use crate::check::net::deadline::Deadline;
use crate::check::outcome::Fault;

/// Bytes of all bodies that are held: a quarter of what the unit allows the agent.
const ALL: usize = 128 * 1024 * 1024;
/// Bytes that each check may hold without asking.
const OWN: usize = 128 * 1024;
/// The least that is taken at once.
const STEP: usize = 256 * 1024;

/// What is left for all checks.
pub(super) struct Budget {
    left: Mutex<usize>,
    given_back: Condvar,
}

/// What one check took.
pub(super) struct Share<'a> {
    budget: &'a Budget,
    deadline: Deadline,
    taken: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { left: Mutex::new(ALL), given_back: Condvar::new() }
    }
}

impl Budget {
    /// A share of a check, with nothing in it yet.
    pub(super) fn share(&self, deadline: Deadline) -> Share<'_> {
        Share { budget: self, deadline, taken: 0 }
    }

    fn left(&self) -> MutexGuard<'_, usize> {
        self.left.lock()
    }
}

impl Share<'_> {
    /// Sees to it that the check may hold this many bytes.
    ///
    /// # Errors
    /// When others held too much until the check's deadline.
    pub(super) fn cover(&mut self, bytes: usize) -> Result<(), Fault> {
        let more = bytes.saturating_sub(OWN + self.taken);
        if more == 0 {
            return Ok(());
        }
        let more = more.max(STEP);
        let mut left = self.budget.left();
        while *left < more {
            let Some(time) = self.deadline.left() else {
                let text = "this agent's checks hold too much of other bodies at the same time to search this one";
                return Err(Fault::new(Outcome::AgentError, text));
            };
            self.budget.given_back.wait_for(&mut left, time);
        }
        *left -= more;
        self.taken += more;
        Ok(())
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.taken > 0 {
            *self.budget.left() += self.taken;
            self.budget.given_back.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn deadline(timeout: Duration) -> Deadline {
        Deadline::after(Instant::now(), timeout)
    }

    #[test]
    fn who_finds_nothing_left_waits_for_what_is_given_back_until_its_deadline() {
        let budget = Budget::default();
        let mut first = budget.share(deadline(Duration::from_secs(60)));
        first.cover(OWN).unwrap();
        assert_eq!(*budget.left(), ALL, "the own part is not taken from the budget");
        first.cover(OWN + ALL - STEP / 2).unwrap();
        let late = budget.share(deadline(Duration::from_millis(10))).cover(OWN + STEP).unwrap_err();
        assert_eq!(late.outcome(), Outcome::AgentError);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| budget.share(deadline(Duration::from_secs(60))).cover(OWN + STEP));
            drop(first);
            waits.join().unwrap().unwrap();
        });
        assert_eq!(*budget.left(), ALL);
    }
}
