//! Reads the overview of all monitors: sums from the database, and what was due. The summary of one monitor is made
//! here, too.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use jiff::Timestamp;

use super::history::response_times::Answers;
use super::history::summaries;
use super::history::summaries::Arrived;
use super::{Definition, Names, latest, schedules};
use crate::figures::Window;
use crate::figures::counts::Counts;
use crate::figures::due;
use crate::figures::due::Schedule;
use crate::figures::looks::state::State;
use crate::figures::overview::{Bar, Overview, Summary};
use crate::figures::period::Period;
use crate::store::db::error::StoreError;

/// What is known of one monitor, over all its definitions.
#[derive(Default)]
struct Known<'a> {
    /// The definition with the latest result.
    definition: Option<&'a Definition>,
    /// What arrived in each bar, by agent.
    arrived: BTreeMap<i32, Vec<Counts>>,
    answers: Answers,
}

/// Reads the overview of all monitors.
pub(crate) fn read(connection: &mut PgConnection, period: Period, now: Timestamp) -> Result<Overview, StoreError> {
    let edges = period.edges(now);
    let names = Names::of(connection, None)?;
    let schedules = schedules::read(connection, edges[0], now, None)?;
    let arrived = summaries::read(connection, period, &edges, &names.monitor_ids())?;
    let states = latest::read(connection, &names, &schedules, now)?;
    let monitors = summaries(&names, &schedules, &edges, arrived, states);
    Ok(Overview { as_of: now, period, window: Window::between(&edges), monitors })
}

/// Returns the summaries of monitors in the order of their names, from what arrived and what was due.
pub(crate) fn summaries(
    names: &Names,
    schedules: &BTreeMap<String, Schedule>,
    edges: &[Timestamp],
    arrived: Arrived,
    mut states: BTreeMap<String, State>,
) -> Vec<Summary> {
    let by_id: BTreeMap<i32, &Definition> = names.monitors.iter().map(|it| (it.monitor_id, it)).collect();
    let mut known: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    // The latest bar that has results, and the definition of these results.
    let mut newest: BTreeMap<&str, (usize, i32)> = BTreeMap::new();
    for ((monitor_id, agent_id), bars) in arrived.by_agent {
        let Some(&definition) = by_id.get(&monitor_id) else { continue };
        let known = known.entry(&definition.id).or_default();
        let latest = (bars.iter().rposition(|bar| bar.checks > 0).unwrap_or(0), monitor_id);
        let newest = newest.entry(&definition.id).or_insert((0, 0));
        if *newest <= latest {
            (*newest, known.definition) = (latest, Some(definition));
        }
        match known.arrived.entry(agent_id) {
            Entry::Vacant(free) => drop(free.insert(bars)),
            Entry::Occupied(mut there) => there.get_mut().iter_mut().zip(bars).for_each(|(sum, bar)| *sum += bar),
        }
    }
    for (monitor_id, answers) in arrived.answers {
        let Some(definition) = by_id.get(&monitor_id) else { continue };
        known.entry(&definition.id).or_default().answers += &answers;
    }
    // A monitor without results is known by its schedule alone, and a monitor that is no longer due by its results.
    for monitor in &names.monitors {
        known.entry(&monitor.id).or_default().definition.get_or_insert(monitor);
    }
    for id in schedules.keys() {
        known.entry(id).or_default();
    }
    let never = Schedule::default();
    let summary = |(id, known): (&str, Known<'_>)| {
        let schedule = schedules.get(id).unwrap_or(&never);
        let state = states.remove(id).unwrap_or_else(|| State::new(Vec::new()));
        known.summary(id, schedule, state, edges)
    };
    let mut summaries: Vec<Summary> = known.into_iter().map(summary).collect();
    summaries.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    summaries
}

/// Returns bars with what arrived from an agent in each, and what it owes.
pub(crate) fn shown(arrived: &[Counts], due: &[i64], edges: &[Timestamp]) -> Vec<Bar> {
    edges.iter().zip(due::counts(arrived, due)).map(|(since, counts)| Bar { since: *since, counts }).collect()
}

impl Known<'_> {
    /// Returns the summary. Each agent is counted by itself, so that results which one agent sent beside its schedule
    /// hide no gap of another agent.
    fn summary(self, id: &str, schedule: &Schedule, state: State, edges: &[Timestamp]) -> Summary {
        let mut all = shown(&[], &schedule.of_no_agent(edges), edges);
        for agent_id in schedule.agents().into_iter().chain(self.arrived.keys().copied()).collect::<BTreeSet<_>>() {
            let arrived = self.arrived.get(&agent_id).map(Vec::as_slice).unwrap_or_default();
            let its = shown(arrived, &schedule.of_agent(agent_id, edges), edges);
            all.iter_mut().zip(its).for_each(|(bar, its)| bar.counts += its.counts);
        }
        Summary {
            id: id.into(),
            name: self.definition.map_or(id, |it| &it.name).into(),
            url: self.definition.map(|it| it.url.clone()).unwrap_or_default(),
            tags: schedule.tags(),
            is_retired: schedule.is_retired(),
            state,
            counts: all.iter().map(|bar| bar.counts).sum(),
            times: self.answers.times(),
            bars: all,
        }
    }
}
