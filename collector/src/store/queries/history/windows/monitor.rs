//! What is known of one monitor in a window, over all its definitions: agents know it by its id, and what they then check
//! may have changed.

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

/// One monitor.
#[derive(Default)]
pub(crate) struct Monitor<'a> {
    /// The definition with the latest result: its name and its url.
    definition: Option<(&'a str, &'a str)>,
    /// When that result was made, and which definition it is.
    latest: (i64, i32),
    schedule: Option<&'a Schedule>,
    sides: BTreeMap<i32, Side>,
    /// Each with the agent that saw it.
    pub(crate) outages: Vec<(i32, Outage)>,
}

/// What arrived from one agent.
#[derive(Default)]
struct Side {
    bars: Vec<Counts>,
    answers: Answers,
}

/// What some agents saw, and owe.
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
    /// All monitors by their ids: of what arrived in bars with these edges, and of what was due.
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

    /// The agents that checked it, were to, or saw an outage.
    pub(crate) fn agents(&self) -> BTreeSet<i32> {
        let scheduled = self.schedule.map(Schedule::agents).unwrap_or_default();
        let outages = self.outages.iter().map(|(agent_id, _)| *agent_id);
        self.sides.keys().copied().chain(scheduled).chain(outages).collect()
    }

    /// What no agent was to look at, though one had before.
    pub(crate) fn unowned(&self, edges: &[Timestamp]) -> Sum {
        let due = self.schedule.map(|schedule| schedule.of_no_agent(edges)).unwrap_or_default();
        Sum { counts: due::counts(&[], &due).into_iter().sum(), due: due.iter().sum(), answers: Answers::default() }
    }

    /// What some agents saw of it and owe, each on its own, and more.
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
