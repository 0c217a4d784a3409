//! What an agent sees of a monitor, and whether that contradicts what other agents see.
//!
//! ```text
//! agent a, every 5 s   ✓ ✓ ✗ ✗ ✗ ✗ ✗ ✗        since here it fails
//! agent b, every hour  ✓                      it looked before: it says nothing of the present
//! ```
//! A success contradicts failures only when it was seen after they began. A single failure may come and go within the
//! interval of the agents that looked before. Therefore failures count as confirmed only once there are two in a row.

use jiff::Timestamp;

use super::look::{Latest, Look};

/// The number of failures in a row that outweighs successes that were seen before them. Rules of alerts use the same
/// number unless they are configured otherwise.
pub const CONFIRMED: u32 = 2;

/// What an agent sees of a monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The latest result of the agent.
    pub latest: Latest,
    /// The moment when that check began, by a right clock.
    pub looked_at: Option<Timestamp>,
    /// The number of checks that failed since the last success that was looked at.
    pub failures: i64,
    /// The moment when the first of the failed checks began, by a right clock.
    pub since: Option<Timestamp>,
    /// Whether a success was seen before the failures. Otherwise the monitor may have failed for longer.
    pub is_bounded: bool,
}

impl Observation {
    /// Creates the observation that an agent's latest result alone gives.
    pub fn of(latest: Latest) -> Observation {
        Observation { latest, looked_at: None, failures: 0, since: None, is_bounded: false }
    }

    /// Creates the observation of an agent without any result.
    pub fn silent(agent: String) -> Observation {
        Observation::of(Latest::silent(agent))
    }

    fn is_confirmed(&self) -> bool {
        self.latest.look == Look::Failure && self.failures >= CONFIRMED.into()
    }
}

/// Returns what each agent sees now. A success that was seen before the first of the confirmed failures does not count
/// as present.
pub(in crate::figures) fn of_the_present(observations: Vec<Observation>) -> impl Iterator<Item = Latest> {
    let began = observations
        .iter()
        .filter(|observation| observation.is_confirmed())
        .filter_map(|observation| observation.since)
        .min();
    observations.into_iter().map(move |Observation { mut latest, looked_at, .. }| {
        let is_earlier = began.is_some_and(|began| looked_at.is_some_and(|looked_at| looked_at < began));
        if latest.look == Look::Success && is_earlier {
            latest.look = Look::Earlier;
        }
        latest
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::looks::state::{State, Verdict};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(10_000 + second).unwrap()
    }

    /// Returns the observation of an agent that looked at this second and had this look.
    fn observation(agent: &str, look: Look, looked_at: i64) -> Observation {
        let latest = Latest { look, ..Latest::silent(agent.into()) };
        Observation { looked_at: Some(at(looked_at)), ..Observation::of(latest) }
    }

    fn failing(agent: &str, failures: i64, since: i64, looked_at: i64) -> Observation {
        Observation {
            failures,
            since: Some(at(since)),
            is_bounded: true,
            ..observation(agent, Look::Failure, looked_at)
        }
    }

    fn seen(observations: &[Observation]) -> (Verdict, Vec<Look>) {
        let state = State::new(observations.to_vec());
        (state.verdict, state.agents.iter().map(|latest| latest.look).collect())
    }

    #[test]
    fn a_success_from_before_the_failures_began_contradicts_nothing() {
        use Look::{Earlier, Failure, Success};
        let hourly = |looked_at| observation("hourly", Success, looked_at);
        let fails = failing("often", 300, 300, 1_795);
        assert_eq!(seen(&[hourly(0), fails.clone()]), (Verdict::Down, vec![Earlier, Failure]));
        assert_eq!(seen(&[hourly(301), fails.clone()]), (Verdict::Partial, vec![Success, Failure]));
        let third = |looked_at| observation("third", Success, looked_at);
        assert_eq!(
            seen(&[hourly(0), fails.clone(), third(400)]).0,
            Verdict::Partial,
            "who looked since saw it succeed"
        );
        assert_eq!(seen(&[hourly(0), fails, third(299)]).0, Verdict::Down);
    }

    #[test]
    fn one_failure_is_not_believed_against_those_who_looked_just_before() {
        let before = observation("b", Look::Success, 0);
        assert_eq!(seen(&[failing("a", 1, 5, 5), before.clone()]).0, Verdict::Partial);
        assert_eq!(seen(&[failing("a", 2, 5, 35), before]).0, Verdict::Down);
        assert_eq!(seen(&[failing("a", 1, 5, 5)]).0, Verdict::Down, "who is alone is believed");
    }

    #[test]
    fn the_first_of_the_failures_is_what_a_success_has_to_come_after() {
        let observations = [failing("a", 60, 0, 300), failing("b", 2, 290, 300), observation("c", Look::Success, 280)];
        assert_eq!(seen(&observations).0, Verdict::Partial, "it saw a success while the first one failed");
    }
}
