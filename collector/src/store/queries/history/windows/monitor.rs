//! Has what is known of one monitor in a window, over all its definitions. Agents know a monitor by its id, and what
//! they check under this id may change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use jiff::Timestamp;

use crate::figures::counts::Counts;
use crate::figures::due;
use crate::figures::due::Schedule;
use crate::figures::{Figures, Outage};
use crate::store::queries::Names;
use crate::store::queries::history::bars::Row;
use crate::store::queries::history::response_times::Answers;
use crate::store::queries::history::summaries::place;

/// What is known of one monitor.
#[derive(Default)]
pub(crate) struct Monitor<'a> {
    /// The name and the url of the definition with the latest result.
    definition: Option<(&'a str, &'a str)>,
    /// When the bar of that result begins, and the id of its definition.
    latest: (i64, i32),
    schedule: Option<&'a Schedule>,
    sides: BTreeMap<i32, Side>,
    /// The outages, each with the id of the agent that saw it.
    pub(crate) outages: Vec<(i32, Outage)>,
}

/// What arrived from one agent.
#[derive(Default)]
struct Side {
    bars: Vec<Counts>,
    answers: Answers,
}

/// What some agents saw and owe.
#[derive(Default)]
pub(crate) struct Sum {
    counts: Counts,
    due: i64,
    answers: Answers,
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        self.counts += other.counts;
        self.due += other.due;
        self.answers += &other.answers;
    }
}

impl<'a> Monitor<'a> {
    /// Returns all monitors by their ids, from what arrived in bars with these edges and from what was due.
    pub(crate) fn all(
        names: &'a Names,
        schedules: &'a BTreeMap<String, Schedule>,
        arrived: &[Row],
        edges: &[Timestamp],
    ) -> BTreeMap<String, Monitor<'a>> {
        let definitions: BTreeMap<i32, _> = names.monitors.iter().map(|it| (it.monitor_id, it)).collect();
        let mut all: BTreeMap<String, Monitor<'a>> = BTreeMap::new();
        for (id, schedule) in schedules {
            all.entry(id.clone()).or_default().schedule = Some(schedule);
        }
        for row in arrived {
            let Some(definition) = definitions.get(&row.arrival.monitor_id) else { continue };
            let monitor = all.entry(definition.id.clone()).or_default();
            let latest = (row.begins.0, definition.monitor_id);
            if monitor.definition.is_none() || monitor.latest <= latest {
                (monitor.latest, monitor.definition) =
                    (latest, Some((definition.name.as_str(), definition.url.as_str())));
            }
            let side = monitor.sides.entry(row.arrival.agent_id).or_default();
            side.bars.resize(edges.len() - 1, Counts::default());
            side.bars[place(row.begins, edges)] += (&row.arrival).into();
            side.answers += &row.answers;
        }
        all
    }

    /// Returns the agents that checked the monitor, were to check it, or saw an outage.
    pub(crate) fn agents(&self) -> BTreeSet<i32> {
        let scheduled = self.schedule.map(Schedule::agents).unwrap_or_default();
        let outages = self.outages.iter().map(|(agent_id, _)| *agent_id);
        self.sides.keys().copied().chain(scheduled).chain(outages).collect()
    }

    /// Returns what no agent was to look at, although an agent had looked before.
    pub(crate) fn unowned(&self, edges: &[Timestamp]) -> Sum {
        let due = self.schedule.map(|schedule| schedule.of_no_agent(edges)).unwrap_or_default();
        Sum { counts: due::counts(&[], &due).into_iter().sum(), due: due.iter().sum(), answers: Answers::default() }
    }

    /// Returns the figures of the monitor: what these agents saw and owe, each counted by itself, together with `more`.
    pub(crate) fn figures(&self, id: &str, agents: &[i32], more: Sum, edges: &[Timestamp]) -> Figures {
        let mut sum = more;
        for agent_id in agents {
            sum += self.of_agent(*agent_id, edges);
        }
        let Counts { checks, success, agent_errors, unseen } = sum.counts;
        let outages = self.outages.iter().filter(|(agent_id, _)| agents.contains(agent_id));
        Figures {
            monitor: id.to_owned(),
            name: self.definition.map(|(name, _)| name.to_owned()),
            url: self.definition.map(|(_, url)| url.to_owned()),
            agent: None,
            checks,
            success,
            agent_errors,
            due: sum.due,
            unseen,
            response_times: sum.answers.times(),
            outages: outages.map(|(_, outage)| outage.clone()).collect(),
        }
    }

    fn of_agent(&self, agent_id: i32, edges: &[Timestamp]) -> Sum {
        let none = vec![0; edges.len() - 1];
        let due = self.schedule.map_or(none, |schedule| schedule.of_agent(agent_id, edges));
        let (bars, answers) =
            self.sides.get(&agent_id).map(|side| (&side.bars[..], side.answers.clone())).unwrap_or_default();
        Sum { counts: due::counts(bars, &due).into_iter().sum(), due: due.iter().sum(), answers }
    }
}
