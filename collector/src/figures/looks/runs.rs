//! Decides which of an agent's runs is its last.
//!
//! ```text
//! run 1 ──▶ run 2 ──▶ run 3      each names the one before it and where that ended: what comes of an earlier one is late
//!      └──▶ run 4                of several ends of the chain, the last is the one that reported last
//! ```
//! No clock of an agent tells which run is later, because an agent with a clock that was set back dates a later run
//! earlier. When Kafka keeps the times at which messages were sent, a report that waited in an outbox can be
//! recognised: it is sent long after it was made, both by one clock. Such a report makes its run the last one only when
//! its run follows the run that was the last one, or when no clock speaks against it.
//!
//! ```text
//! host a   run 1 ── report ───────── report ───────── report ──      1 is heard again after 2, and again
//! host b            run 2 ── report ───────── report ─────────       two hosts report under one name
//! ```
//! After a restart the earlier run is never heard again. When a run is heard again although another one has taken over,
//! and this happens again, both runs go on at the same time. Then the name is *doubled*: it stands for two hosts.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// The time without another return of a run after which it no longer counts as running beside another one. Agents
/// report every minute.
pub const BESIDE: SignedDuration = SignedDuration::from_mins(5);

/// A run of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The id of the run.
    pub id: i32,
    /// The name of the run.
    pub epoch: Uuid,
    /// The run before it, as this run reports it.
    pub previous: Option<Uuid>,
    /// Whether another run follows it, which knew about all its reports.
    pub is_followed: bool,
    /// Whether it was its agent's last run at some earlier time.
    pub has_led: bool,
}

/// The run that was an agent's last one until a report arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The id of the run.
    pub id: i32,
    /// The name of the run.
    pub epoch: Uuid,
    /// Whether a report of this run arrived that had not waited.
    pub is_heard: bool,
    /// The moment when it began, by its own clock, if that is known.
    pub began: Option<Timestamp>,
}

/// How a report arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The report was made, sent and read at about the same time.
    AtOnce,
    /// The report was sent at once, and waited in Kafka.
    Sent,
    /// The report had waited in an outbox.
    Waited,
    /// The way is not known, because Kafka does not keep the times at which messages were sent.
    Unknown,
}

/// A report that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The run that made the report.
    pub run: Run,
    /// How the report arrived.
    pub way: Delivery,
    /// The moment when the report was made, by the clock of its run.
    pub at: Timestamp,
    /// Whether the report is dated later than the agent's last report, each by its own clock.
    pub is_later: bool,
}

impl Arrival {
    /// Returns whether its run becomes the agent's last one. `last` is the run that was the last one before.
    pub fn is_of_last(&self, last: Option<Last>) -> bool {
        let Some(last) = last else { return true };
        let Arrival { run, way, is_later, .. } = self;
        run.id == last.id
            || !run.is_followed && (*way != Delivery::Waited || run.previous == Some(last.epoch) || *is_later)
    }

    /// Returns whether the report shows that its run goes on although another run has taken over: the report was made
    /// after that other run began.
    pub fn is_return(&self, last: Option<Last>) -> bool {
        let is_made_since = |last: Last| match self.way {
            Delivery::AtOnce => true,
            Delivery::Sent | Delivery::Waited => false,
            Delivery::Unknown => last.began.is_none_or(|began| self.at >= began),
        };
        let is_of_another = last.filter(|last| last.id != self.run.id && last.is_heard);
        self.run.has_led && self.is_of_last(last) && is_of_another.is_some_and(is_made_since)
    }
}

/// Returns whether an agent's name is doubled: `runs` is the number of its runs that returned lately, and `returns` is
/// the number of their returns together.
pub fn is_doubled(runs: i64, returns: i64) -> bool {
    runs >= 2 && returns >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(id: i32) -> Uuid {
        Uuid::from_u128(id.unsigned_abs().into())
    }

    fn run(id: i32, previous: Option<i32>) -> Run {
        Run { id, epoch: name(id), previous: previous.map(name), is_followed: false, has_led: false }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    /// Returns the run of that id as the last one, which began at second 0.
    fn last(id: i32) -> Option<Last> {
        Some(Last { id, epoch: name(id), is_heard: true, began: Some(at(0)) })
    }

    /// Returns whether run 1 is no longer the last one after this report arrived.
    fn is_taken_over(run: Run, way: Delivery, is_later: bool) -> bool {
        Arrival { run, way, at: at(60), is_later }.is_of_last(last(1))
    }

    #[test]
    fn the_run_that_reports_is_the_last_one_whatever_its_clock_says() {
        for way in [Delivery::AtOnce, Delivery::Sent, Delivery::Unknown] {
            assert!(is_taken_over(run(2, Some(1)), way, false), "after a clean start by a clock that was set back");
            assert!(is_taken_over(run(2, None), way, false), "after an outbox was lost");
            assert!(is_taken_over(run(2, Some(7)), way, false), "after an outbox came back from a backup");
        }
    }

    #[test]
    fn what_comes_late_makes_no_run_the_last_one_but_for_one_that_follows_it() {
        assert!(!is_taken_over(run(2, None), Delivery::Waited, false));
        assert!(is_taken_over(run(2, Some(1)), Delivery::Waited, false), "it began while Kafka was away");
        assert!(is_taken_over(run(2, None), Delivery::Waited, true), "nothing speaks against it");
        let earlier = Run { is_followed: true, ..run(2, None) };
        for way in [Delivery::AtOnce, Delivery::Sent, Delivery::Waited, Delivery::Unknown] {
            assert!(!is_taken_over(earlier, way, true), "its chain goes on");
        }
    }

    #[test]
    fn the_last_run_stays_so_and_the_first_that_is_heard_of_is_it() {
        let again = Run { is_followed: true, ..run(1, None) };
        assert!(is_taken_over(again, Delivery::Waited, false));
        assert!(Arrival { run: run(9, None), way: Delivery::Waited, at: at(0), is_later: false }.is_of_last(None));
    }

    /// Says for each of these reports, with its run and its way, whether it is a return. A run has led once it was
    /// heard.
    fn returns(reports: &[(i32, Delivery)]) -> Vec<bool> {
        let (mut heard, mut before) = (Vec::new(), None);
        let arrive = |&(id, way): &(i32, Delivery)| {
            let run = Run { has_led: heard.contains(&id), ..run(id, None) };
            let arrival = Arrival { run, way, at: at(60), is_later: true };
            let is_return = arrival.is_return(before);
            heard.push(id);
            before = last(id);
            is_return
        };
        reports.iter().map(arrive).collect()
    }

    #[test]
    fn two_hosts_with_one_name_return_again_and_again_and_a_restart_never_does() {
        use Delivery::{AtOnce, Sent, Unknown, Waited};
        let times = |way| [1, 1, 2, 1, 2, 2].map(|id| (id, way));
        let is_return = [false, false, false, true, true, false];
        assert_eq!(returns(&times(AtOnce)), is_return);
        assert_eq!(returns(&times(Unknown)), is_return);
        for way in [Sent, Waited] {
            assert_eq!(returns(&times(way)), [false; 6], "what comes late is no sign");
        }
        assert_eq!(returns(&[1, 1, 2, 2, 3, 4].map(|id| (id, AtOnce))), [false; 6], "one that starts again and again");
        assert_eq!([is_doubled(2, 2), is_doubled(1, 9), is_doubled(2, 3)], [false, false, true]);
    }

    #[test]
    fn what_was_made_before_the_other_run_began_is_no_return_where_times_of_sending_are_not_kept() {
        let earlier =
            Arrival { run: Run { has_led: true, ..run(1, None) }, way: Delivery::Unknown, at: at(-1), is_later: false };
        assert!(!earlier.is_return(last(2)));
        assert!((Arrival { at: at(0), ..earlier }).is_return(last(2)));
        let unheard = last(2).map(|last| Last { is_heard: false, ..last });
        assert!(!(Arrival { at: at(0), ..earlier }).is_return(unheard), "it came late itself");
    }
}
