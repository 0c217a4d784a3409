//! What arrived of what was due, and what did not.

use std::collections::{BTreeMap, BTreeSet};

use super::{Arrived, Definition, Due};
use crate::figures::Figures;

/// What arrived of what was due. Agents know a monitor by its id; what it then checked may have changed.
pub(super) struct Coverage<'a> {
    monitors: &'a BTreeMap<i32, Definition>,
    /// The agents that checked a monitor.
    checked_by: BTreeMap<i32, BTreeSet<i32>>,
    arrived: BTreeMap<(i32, &'a str), i64>,
    due: BTreeMap<(Option<i32>, String), i64>,
}

impl<'a> Coverage<'a> {
    pub(super) fn new(monitors: &'a BTreeMap<i32, Definition>, rows: &[Arrived], due: Vec<Due>) -> Coverage<'a> {
        let mut checked_by: BTreeMap<i32, BTreeSet<i32>> = BTreeMap::new();
        let mut arrived = BTreeMap::new();
        for row in rows {
            checked_by.entry(row.monitor_id).or_default().insert(row.agent_id);
            if let Some(monitor) = monitors.get(&row.monitor_id) {
                *arrived.entry((row.agent_id, monitor.id.as_str())).or_default() += row.checks;
            }
        }
        let due = due.into_iter().map(|row| ((row.agent_id, row.monitor), row.due)).collect();
        Coverage { monitors, checked_by, arrived, due }
    }

    /// Arrived, due, and due but not arrived, of one agent or of all that checked the monitor.
    pub(super) fn of(&self, monitor_id: i32, agent_id: Option<i32>) -> (i64, i64, i64) {
        let Some(monitor) = self.monitors.get(&monitor_id) else { return (0, 0, 0) };
        let all = self.checked_by.get(&monitor_id);
        let agents = all.into_iter().flatten().filter(|id| agent_id.is_none_or(|wanted| wanted == **id));
        agents.fold((0, 0, 0), |(arrived, due, unseen), &agent| {
            let came = self.arrived.get(&(agent, monitor.id.as_str())).copied().unwrap_or(0);
            let owed = self.due.get(&(Some(agent), monitor.id.clone())).copied().unwrap_or(0);
            (arrived + came, due + owed, unseen + (owed - came).max(0))
        })
    }

    /// Adds what was due and of which an agent sent nothing: to the one row of that monitor, where there is one of all
    /// agents, else as a row of its own.
    pub(super) fn add_unseen(&self, figures: &mut Vec<Figures>, agents: &BTreeMap<i32, String>, by_agent: bool) {
        let arrived = &self.arrived;
        let is_unseen = |(agent, monitor): &(Option<i32>, String)| {
            agent.is_none_or(|agent| !arrived.contains_key(&(agent, monitor.as_str())))
        };
        for ((agent_id, monitor), &due) in self.due.iter().filter(|(key, due)| **due > 0 && is_unseen(key)) {
            let mut rows = figures.iter_mut().filter(|row| row.monitor == *monitor);
            match (by_agent, rows.next(), rows.next()) {
                (false, Some(only), None) => {
                    only.due += due;
                    only.unseen += due;
                }
                _ => figures.push(Figures {
                    monitor: monitor.clone(),
                    agent: agent_id.and_then(|id| agents.get(&id).cloned()),
                    due,
                    unseen: due,
                    ..Figures::default()
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Read, Uptime};
    use super::*;

    fn read(monitors: &[(i32, &str)], arrived: &[(i32, i32, i64)], due: &[(i32, &str, i64)]) -> Read {
        let agents = [(1, "edge-1".into()), (2, "edge-2".into())].into();
        let monitor = |&(monitor_id, id): &(i32, &str)| {
            (
                monitor_id,
                Definition { monitor_id, id: id.into(), name: id.into(), url: format!("http://{monitor_id}/") },
            )
        };
        let arrived = arrived.iter().map(|&(monitor_id, agent_id, checks)| Arrived { monitor_id, agent_id, checks });
        let due =
            due.iter().map(|&(agent_id, monitor, due)| Due { agent_id: Some(agent_id), monitor: monitor.into(), due });
        let (arrived, due) = (arrived.collect(), due.collect());
        let monitors = monitors.iter().map(monitor).collect();
        Read { agents, monitors, uptimes: Vec::new(), arrived, due, outages: Vec::new() }
    }

    fn with_uptimes(mut read: Read, rows: &[(i32, Option<i32>)]) -> Vec<Figures> {
        read.uptimes = rows
            .iter()
            .map(|&(monitor_id, agent_id)| Uptime {
                monitor_id,
                agent_id,
                checks: 1,
                success: 1,
                agent_error: 0,
                answered: 0,
                mean_us: None,
                p50_us: None,
                p95_us: None,
                p99_us: None,
                max_us: None,
            })
            .collect();
        let by_agent = rows.iter().any(|(_, agent_id)| agent_id.is_some());
        read.figures(by_agent)
    }

    fn coverage(figures: &[Figures]) -> Vec<(&str, Option<&str>, i64, i64)> {
        figures.iter().map(|of| (&*of.monitor, of.agent.as_deref(), of.arrived, of.due)).collect()
    }

    #[test]
    fn an_agent_of_which_nothing_arrived_lowers_the_coverage_of_all() {
        let read = || read(&[(7, "shop")], &[(7, 1, 9)], &[(1, "shop", 10), (2, "shop", 10)]);
        assert_eq!(coverage(&with_uptimes(read(), &[(7, None)])), [("shop", None, 9, 20)]);
        let apart = with_uptimes(read(), &[(7, Some(1))]);
        assert_eq!(coverage(&apart), [("shop", Some("edge-2"), 0, 10), ("shop", Some("edge-1"), 9, 10)]);
    }

    #[test]
    fn a_monitor_that_changed_is_covered_by_what_arrived_before_and_after() {
        let read = read(&[(7, "shop"), (8, "shop")], &[(7, 1, 4), (8, 1, 5)], &[(1, "shop", 10)]);
        let both = with_uptimes(read, &[(7, None), (8, None)]);
        assert_eq!(coverage(&both), [("shop", None, 9, 10), ("shop", None, 9, 10)]);
        assert_eq!(both.iter().map(|of| of.unseen).collect::<Vec<_>>(), [0, 1], "told once");
    }

    #[test]
    fn what_was_due_and_never_seen_has_a_row_of_its_own() {
        let read = read(&[(7, "shop")], &[(7, 1, 10)], &[(1, "shop", 10), (2, "mail", 6)]);
        assert_eq!(
            coverage(&with_uptimes(read, &[(7, None)])),
            [("mail", Some("edge-2"), 0, 6), ("shop", None, 10, 10)]
        );
    }
}
