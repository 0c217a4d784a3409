//! How a monitor is now, according to the latest result of each agent that looks at it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::look::{Latest, Look};
use super::observation::{Observation, of_the_present};

/// The verdict on a monitor, which also says who has to look into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every agent that has looked since the failures began sees the monitor fail. The target is at fault.
    Down,
    /// Some agents see the monitor fail and some do not. The path is at fault.
    Partial,
    /// No agent tells: each is silent, or is in trouble itself. The agents are at fault, and nothing is known about the
    /// site.
    Unknown,
    /// Every agent that looks sees the monitor succeed.
    Up,
}

/// How a monitor is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// The verdict in one word.
    pub verdict: Verdict,
    /// The latest look of each agent that is to look at the monitor, sorted by the agents' names.
    pub agents: Vec<Latest>,
}

/// How long a result may take to arrive, in addition to the intervals by which it may be late.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(30);
/// The number of intervals without a result after which an agent is silent.
const INTERVALS: i32 = 3;

/// Returns how long after a result the next one need not arrive, for a monitor with this interval.
pub fn patience(interval: SignedDuration) -> SignedDuration {
    interval * INTERVALS + ON_ITS_WAY
}

/// Returns how old results of these agents may be to count now. Each agent has an interval, and a clock that is behind
/// by the second duration. Returns none when no agent looks.
pub fn furthest(lookers: impl Iterator<Item = (SignedDuration, SignedDuration)>) -> Option<SignedDuration> {
    lookers.map(|(interval, behind)| patience(interval) + behind.max(SignedDuration::ZERO)).max()
}

/// Returns whether a result still tells how things are, for a monitor with this interval and an agent whose clock is
/// behind by this duration.
pub fn is_fresh(checked_at: Timestamp, behind: SignedDuration, interval: SignedDuration, now: Timestamp) -> bool {
    now.duration_since(checked_at).saturating_sub(behind) <= patience(interval)
}

impl State {
    /// Creates the state from what each agent that is to look sees.
    pub fn new(observations: Vec<Observation>) -> State {
        let mut agents: Vec<Latest> = of_the_present(observations).collect();
        agents.sort_by(|a, b| a.agent.cmp(&b.agent));
        let count = |look| agents.iter().filter(|latest| latest.look == look).count();
        let verdict = match (count(Look::Success), count(Look::Failure)) {
            (0, 0) => Verdict::Unknown,
            (0, _) => Verdict::Down,
            (_, 0) => Verdict::Up,
            _ => Verdict::Partial,
        };
        State { verdict, agents }
    }

    /// Returns the number of agents with this look.
    pub fn count(&self, look: Look) -> usize {
        self.agents.iter().filter(|latest| latest.look == look).count()
    }

    /// Returns the latest failure that an agent sees, or an agent's own trouble when no agent sees a failure.
    pub fn trouble(&self) -> Option<&Latest> {
        let of = |look| self.agents.iter().filter(move |it| it.look == look).max_by_key(|it| it.checked_at);
        of(Look::Failure).or_else(|| of(Look::AgentError))
    }

    /// Returns the earliest end of the certificates that were shown last.
    pub fn certificate_not_after(&self) -> Option<Timestamp> {
        self.agents.iter().filter_map(|latest| latest.certificate_not_after).min()
    }

    /// Returns the earliest end of all certificates that the latest checks relied on.
    pub fn certificate_first_end(&self) -> Option<Timestamp> {
        let first = |latest: &Latest| latest.certificate_first_end.or(latest.certificate_not_after);
        self.agents.iter().filter_map(first).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(looks: &[Look]) -> Verdict {
        let latest =
            |(n, look): (usize, &Look)| Observation::of(Latest { look: *look, ..Latest::silent(n.to_string()) });
        State::new(looks.iter().enumerate().map(latest).collect()).verdict
    }

    #[test]
    fn the_target_is_down_when_all_that_look_see_it_fail_and_the_path_is_broken_when_some_do() {
        use Look::{AgentError, Failure, Silent, Success};
        assert_eq!(verdict(&[Failure, Failure, Failure]), Verdict::Down);
        assert_eq!(verdict(&[Success, Failure, Success]), Verdict::Partial);
        assert_eq!(verdict(&[Success, Success, Success]), Verdict::Up);
        assert_eq!(verdict(&[Failure, Silent, AgentError]), Verdict::Down);
        assert_eq!(verdict(&[Success, Silent]), Verdict::Up);
    }

    #[test]
    fn by_a_clock_behind_a_result_is_younger_than_it_is_dated_and_by_one_ahead_it_is_older() {
        let now: Timestamp = "2026-11-27T13:10:00Z".parse().unwrap();
        let seconds = SignedDuration::from_secs;
        let fresh = |age, behind| is_fresh(now - seconds(age), seconds(behind), seconds(60), now);
        assert!(fresh(210, 0) && !fresh(211, 0));
        assert!(fresh(810, 600) && !fresh(811, 600), "who falls silent is so by true time");
        assert!(fresh(-90, -300) && !fresh(-89, -300));
        let furthest = |lookers: &[(i64, i64)]| {
            furthest(lookers.iter().map(|it| (seconds(it.0), seconds(it.1)))).map(|furthest| furthest.as_secs())
        };
        assert_eq!([furthest(&[]), furthest(&[(60, -300), (10, 600)])], [None, Some(660)]);
    }

    #[test]
    fn silence_and_an_agents_own_trouble_are_no_verdict_on_the_site() {
        assert_eq!(verdict(&[Look::Silent, Look::AgentError]), Verdict::Unknown);
        assert_eq!(verdict(&[]), Verdict::Unknown);
    }
}
