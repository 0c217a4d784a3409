//! Which of an agent's runs is its last.
//!
//! ```text
//! run 1 ──▶ run 2 ──▶ run 3      each names the one before it and where that ended: what comes of an earlier one is late
//!      └──▶ run 4                of several ends of the chain, the last is the one that reported last
//! ```
//! No clock of an agent tells which one is later: one that was set back dates a later run earlier. Where Kafka keeps when
//! messages were sent, a report that waited in an outbox is known, since it is sent long after it was made, both by one
//! clock. Such a report makes its run the last one only where that follows the one that was, or where no clock speaks
//! against it.

use uuid::Uuid;

/// A run of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: i32,
    /// Its name.
    pub epoch: Uuid,
    /// The run before it, in its own words.
    pub previous: Option<Uuid>,
    /// Whether another run follows it, which knew of all its reports.
    pub is_followed: bool,
}

/// A report that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The run that made it.
    pub run: Run,
    /// Whether it had waited in an outbox; none: that is not known.
    pub waited: Option<bool>,
    /// Whether it is dated later than the agent's last report, each by its own clock.
    pub is_later: bool,
}

impl Arrival {
    /// Whether its run is its agent's last one, given the one that was: id and name.
    pub fn is_of_last(&self, last: Option<(i32, Uuid)>) -> bool {
        let Some((id, epoch)) = last else { return true };
        let Arrival { run, waited, is_later } = self;
        run.id == id || !run.is_followed && (*waited != Some(true) || run.previous == Some(epoch) || *is_later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(id: i32) -> Uuid {
        Uuid::from_u128(id.unsigned_abs().into())
    }

    fn run(id: i32, previous: Option<i32>) -> Run {
        Run { id, epoch: name(id), previous: previous.map(name), is_followed: false }
    }

    /// Whether run 1 is no longer the last one once this came.
    fn is_taken_over(run: Run, waited: Option<bool>, is_later: bool) -> bool {
        Arrival { run, waited, is_later }.is_of_last(Some((1, name(1))))
    }

    #[test]
    fn the_run_that_reports_is_the_last_one_whatever_its_clock_says() {
        for waited in [Some(false), None] {
            assert!(is_taken_over(run(2, Some(1)), waited, false), "after a clean start by a clock that was set back");
            assert!(is_taken_over(run(2, None), waited, false), "after an outbox was lost");
            assert!(is_taken_over(run(2, Some(7)), waited, false), "after an outbox came back from a backup");
        }
    }

    #[test]
    fn what_comes_late_makes_no_run_the_last_one_but_for_one_that_follows_it() {
        assert!(!is_taken_over(run(2, None), Some(true), false));
        assert!(is_taken_over(run(2, Some(1)), Some(true), false), "it began while Kafka was away");
        assert!(is_taken_over(run(2, None), Some(true), true), "nothing speaks against it");
        let earlier = Run { is_followed: true, ..run(2, None) };
        for waited in [Some(false), Some(true), None] {
            assert!(!is_taken_over(earlier, waited, true), "its chain goes on");
        }
    }

    #[test]
    fn the_last_run_stays_so_and_the_first_that_is_heard_of_is_it() {
        let again = Run { is_followed: true, ..run(1, None) };
        assert!(is_taken_over(again, Some(true), false));
        assert!(Arrival { run: run(9, None), waited: Some(true), is_later: false }.is_of_last(None));
    }
}
