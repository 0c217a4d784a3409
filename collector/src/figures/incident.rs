//! What befell a monitor, over all agents that looked: outages that overlap are one incident.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Outage;

/// Who was at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// At some time every agent that looked saw a failure: the site's own.
    Target,
    /// At each time some agent that looked saw success: the way of the others to the site.
    Path,
}

/// Failures that some agents saw at one time, or that followed without a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// Who was at fault.
    pub blame: Blame,
    /// The first failed check of any agent.
    pub began: Timestamp,
    /// The first success of the last agent that had failed; none while one still fails.
    pub ended: Option<Timestamp>,
    /// Agents that saw failures, by name.
    pub failing: Vec<String>,
    /// Agents that looked in that time and saw only success, by name.
    pub passing: Vec<String>,
    /// Failed checks of all agents.
    pub failures: i64,
    /// The outcome of the first failed check.
    pub outcome: String,
    /// Its status code.
    pub status_code: Option<i16>,
    /// Why it failed, for people.
    pub error: Option<String>,
}

impl Incident {
    /// How long it took, or has taken up to now.
    pub fn lasted(&self, now: Timestamp) -> SignedDuration {
        self.ended.unwrap_or(now).duration_since(self.began)
    }
}

/// The incidents of one monitor's outages, oldest first. `passed` tells who of the agents that saw none in a span saw a
/// success in it.
pub fn incidents(
    mut outages: Vec<Outage>,
    until: Timestamp,
    mut passed: impl FnMut(Timestamp, Timestamp, &[String]) -> Vec<String>,
) -> Vec<Incident> {
    outages.sort_by_key(|outage| outage.began);
    let mut groups: Vec<(Timestamp, Vec<Outage>)> = Vec::new();
    for outage in outages {
        let end = outage.ended.unwrap_or(Timestamp::MAX);
        match groups.last_mut() {
            Some((latest, group)) if outage.began < *latest => {
                *latest = end.max(*latest);
                group.push(outage);
            }
            _ => groups.push((end, vec![outage])),
        }
    }
    let incident = |(latest, group): (Timestamp, Vec<Outage>)| {
        let mut failing: Vec<String> = group.iter().map(|outage| outage.agent.clone()).collect();
        failing.sort();
        failing.dedup();
        let (began, ended) = (group[0].began, (latest < Timestamp::MAX).then_some(latest));
        let passing = passed(began, ended.unwrap_or(until), &failing);
        let is_targets = passing.is_empty() && most_at_once(&group) == failing.len();
        Incident {
            blame: if is_targets { Blame::Target } else { Blame::Path },
            began,
            ended,
            passing,
            failing,
            failures: group.iter().map(|outage| outage.failures).sum(),
            outcome: group[0].outcome.clone(),
            status_code: group[0].status_code,
            error: group[0].error.clone(),
        }
    };
    groups.into_iter().map(incident).collect()
}

/// How many agents saw failures at one time.
fn most_at_once(outages: &[Outage]) -> usize {
    let is_open = |outage: &Outage, at| outage.began <= at && outage.ended.is_none_or(|ended| ended > at);
    outages.iter().map(|it| outages.iter().filter(|other| is_open(other, it.began)).count()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn outage(agent: &str, began: i64, ended: Option<i64>) -> Outage {
        Outage {
            agent: agent.into(),
            began: at(began),
            ended: ended.map(at),
            failures: 2,
            outcome: format!("of {agent}"),
            status_code: None,
            error: None,
        }
    }

    #[test]
    fn what_all_see_is_the_targets_and_what_some_see_the_paths() {
        let all = vec![outage("c", 3, Some(13)), outage("a", 1, Some(11)), outage("b", 2, None)];
        let found = incidents(all, at(99), |_, _, _| vec![]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].blame, found[0].began, found[0].ended), (Blame::Target, at(1), None));
        assert_eq!((found[0].failing.join(""), found[0].failures, &*found[0].outcome), ("abc".into(), 6, "of a"));
        let one = incidents(vec![outage("a", 1, Some(11))], at(99), |from, to, failing| {
            assert_eq!((from, to, failing), (at(1), at(11), &["a".to_owned()][..]));
            vec!["b".into()]
        });
        assert_eq!((one[0].blame, &one[0].passing[..]), (Blame::Path, &["b".to_owned()][..]));
    }

    #[test]
    fn agents_that_fail_one_after_the_other_are_no_failure_of_the_target() {
        let found = incidents(
            vec![outage("a", 1, Some(5)), outage("b", 4, Some(9)), outage("c", 8, Some(12))],
            at(99),
            |_, _, _| vec![],
        );
        assert_eq!((found.len(), found[0].blame), (1, Blame::Path));
    }

    #[test]
    fn outages_that_only_touch_are_two_incidents() {
        let found = incidents(vec![outage("a", 1, Some(5)), outage("a", 5, Some(9))], at(99), |_, _, _| vec![]);
        assert_eq!(found.len(), 2);
    }
}
