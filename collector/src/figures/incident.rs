//! The incidents of a monitor, over all agents that looked: outages that overlap are one incident.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Outage;

/// What was at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The site was at fault: at some time every agent that looked saw a failure.
    Target,
    /// The path of some agents to the site was at fault: at each time some agent that looked saw success.
    Path,
}

/// Failures that some agents saw at the same time, or that followed without a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// What was at fault.
    pub blame: Blame,
    /// The moment of the first failed check of any agent.
    pub began: Timestamp,
    /// The moment of the first success of the last agent that had failed; none while one still fails.
    pub ended: Option<Timestamp>,
    /// Whether it is known that the incident ended then. Otherwise that agent looked for the last time then, and never
    /// saw a success.
    pub is_end_known: bool,
    /// The names of the agents that saw failures, sorted.
    pub failing: Vec<String>,
    /// The names of the agents that looked in that time and saw only success, sorted.
    pub passing: Vec<String>,
    /// The number of failed checks of all agents.
    pub failures: i64,
    /// The outcome of the first failed check.
    pub outcome: String,
    /// The status code of the first failed check.
    pub status_code: Option<i16>,
    /// The reason of the first failed check, for people.
    pub error: Option<String>,
}

impl Incident {
    /// Returns how long the incident lasted, or has lasted up to now.
    pub fn lasted(&self, now: Timestamp) -> SignedDuration {
        self.ended.unwrap_or(now).duration_since(self.began)
    }
}

/// Outages of one monitor that overlap, oldest first, and the moment when the last of them ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    outages: Vec<Outage>,
    /// The end of the last outage; none while one has not ended.
    ended: Option<Timestamp>,
    is_end_known: bool,
}

/// Returns the groups of one monitor's outages, newest first.
pub fn groups(mut outages: Vec<Outage>) -> Vec<Group> {
    outages.sort_by_key(|outage| outage.began);
    let mut groups: Vec<Group> = Vec::new();
    for outage in outages {
        match groups.last_mut() {
            Some(group) if group.ended.is_none_or(|ended| outage.began < ended) => {
                let is_longer = group.ended.is_some_and(|ended| outage.ended.is_none_or(|other| other > ended));
                if is_longer {
                    (group.ended, group.is_end_known) = (outage.ended, outage.is_end_known);
                }
                group.outages.push(outage);
            }
            _ => groups.push(Group { ended: outage.ended, is_end_known: outage.is_end_known, outages: vec![outage] }),
        }
    }
    groups.reverse();
    groups
}

impl Group {
    /// Returns when the group began, and when it ended.
    pub fn span(&self) -> (Timestamp, Option<Timestamp>) {
        (self.outages[0].began, self.ended)
    }

    /// Returns the incident of this group. `saw_success` names the agents that saw a success in that time.
    pub fn incident(self, saw_success: &[String]) -> Incident {
        let mut failing: Vec<String> = self.outages.iter().map(|outage| outage.agent.clone()).collect();
        failing.sort();
        failing.dedup();
        let mut passing: Vec<String> = saw_success.iter().filter(|agent| !failing.contains(agent)).cloned().collect();
        passing.sort();
        let is_targets = passing.is_empty() && most_at_once(&self.outages) == failing.len();
        let first = &self.outages[0];
        Incident {
            blame: if is_targets { Blame::Target } else { Blame::Path },
            began: first.began,
            ended: self.ended,
            is_end_known: self.is_end_known,
            passing,
            failing,
            failures: self.outages.iter().map(|outage| outage.failures).sum(),
            outcome: first.outcome.clone(),
            status_code: first.status_code,
            error: first.error.clone(),
        }
    }
}

/// Returns how many agents at most saw failures at one time.
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
            is_end_known: true,
            failures: 2,
            outcome: format!("of {agent}"),
            status_code: None,
            error: None,
        }
    }

    fn all(outages: Vec<Outage>, saw_success: &[&str]) -> Vec<Incident> {
        let saw_success: Vec<String> = saw_success.iter().map(|agent| (*agent).into()).collect();
        groups(outages).into_iter().map(|group| group.incident(&saw_success)).collect()
    }

    #[test]
    fn what_all_see_is_the_targets_and_what_some_see_the_paths() {
        let found = all(vec![outage("c", 3, Some(13)), outage("a", 1, Some(11)), outage("b", 2, None)], &["a"]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].blame, found[0].began, found[0].ended), (Blame::Target, at(1), None));
        assert_eq!((found[0].failing.join(""), found[0].failures, &*found[0].outcome), ("abc".into(), 6, "of a"));
        let one = all(vec![outage("a", 1, Some(11))], &["b", "a"]);
        assert_eq!((one[0].blame, &one[0].passing[..]), (Blame::Path, &["b".to_owned()][..]));
    }

    #[test]
    fn agents_that_fail_one_after_the_other_are_no_failure_of_the_target() {
        let found = all(vec![outage("a", 1, Some(5)), outage("b", 4, Some(9)), outage("c", 8, Some(12))], &[]);
        assert_eq!((found.len(), found[0].blame), (1, Blame::Path));
    }

    #[test]
    fn outages_that_only_touch_are_two_incidents_the_newer_one_first() {
        let found = all(vec![outage("a", 1, Some(5)), outage("a", 5, Some(9))], &[]);
        assert_eq!(found.iter().map(|incident| incident.began).collect::<Vec<_>>(), [at(5), at(1)]);
    }

    #[test]
    fn an_outage_whose_agent_went_away_ends_when_it_looked_last_and_leaves_later_ones_alone() {
        let gone = Outage { is_end_known: false, ..outage("gone", 1, Some(10)) };
        let found = groups(vec![gone.clone(), outage("a", 50, Some(60))]);
        let ends: Vec<_> = found.iter().map(|group| (group.span(), group.is_end_known)).collect();
        assert_eq!(ends, [((at(50), Some(at(60))), true), ((at(1), Some(at(10))), false)]);
        let still = groups(vec![gone, outage("a", 5, None)]);
        assert_eq!((still.len(), still[0].span(), still[0].is_end_known), (1, (at(1), None), true));
    }
}
