//! All monitors in short, or one: sums of the database beside what was due.

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::Timestamp;

use super::super::tables::time;
use super::super::trouble::Trouble;
use super::bars::{Agents, Asked, InAll, InBar};
use super::{Definition, Names, latest, schedules};
use crate::figures::ResponseTimes;
use crate::figures::Window;
use crate::figures::counts::Counts;
use crate::figures::due::{Schedule, unseen};
use crate::figures::overview::{Bar, Overview, Period, Summary};
use crate::figures::state::State;

/// What is known of one monitor, over all its definitions.
#[derive(Default)]
struct Known<'a> {
    /// The definition with the latest result.
    definition: Option<&'a Definition>,
    bars: Vec<Counts>,
    /// By agent.
    arrived: BTreeMap<i32, i64>,
    all: Option<InAll>,
}

/// All monitors.
pub(super) fn read(connection: &mut PgConnection, period: Period, now: Timestamp) -> Result<Overview, Trouble> {
    let edges = period.edges(now);
    let names = Names::of(connection, None)?;
    let monitors = summaries(connection, &names, period, &edges, now, None)?;
    Ok(Overview { as_of: now, period, window: window(&edges), monitors })
}

pub(super) fn window(edges: &[Timestamp]) -> Window {
    Window { since: edges[0], until: edges[edges.len() - 1] }
}

/// Monitors in short by name, of all that there are or of one with its id, of which `names` has the definitions.
pub(super) fn summaries(
    connection: &mut PgConnection,
    names: &Names,
    period: Period,
    edges: &[Timestamp],
    now: Timestamp,
    id: Option<&str>,
) -> Result<Vec<Summary>, Trouble> {
    let ids = names.monitor_ids();
    let asked = Asked { period, edges, monitors: id.map(|_| &*ids), agents: Agents::Together };
    let schedules = schedules::read(connection, edges[0], now, id)?;
    let bars = asked.bars(connection)?;
    let all = asked.all(connection)?;
    let by_agent = asked.arrived(connection)?;
    let mut states = latest::read(connection, names, &schedules, now)?;

    let by_id: BTreeMap<i32, &Definition> = names.monitors.iter().map(|it| (it.monitor_id, it)).collect();
    let mut known: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &bars {
        let Some(&definition) = by_id.get(&row.monitor_id) else { continue };
        let known = known.entry(&definition.id).or_default();
        known.bars.resize(edges.len() - 1, Counts::default());
        known.bars[bar_of(row, edges)] += row.counts();
        let latest = newest.entry(&definition.id).or_insert(i64::MIN);
        if (row.since.0, row.monitor_id) >= (*latest, known.definition.map_or(0, |it| it.monitor_id)) {
            (*latest, known.definition) = (row.since.0, Some(definition));
        }
    }
    for row in &by_agent {
        let Some(&definition) = by_id.get(&row.monitor_id) else { continue };
        *known.entry(&definition.id).or_default().arrived.entry(row.agent_id).or_default() += row.checks;
    }
    for row in all {
        let Some(&definition) = by_id.get(&row.monitor_id) else { continue };
        match &mut known.entry(&definition.id).or_default().all {
            Some(all) => all.add(&row),
            none => *none = Some(row),
        }
    }
    // What never told anything is known by its schedule alone, and what is due no more by its results.
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
    Ok(summaries)
}

/// Which bar a row is of.
pub(super) fn bar_of(row: &InBar, edges: &[Timestamp]) -> usize {
    let since = time(row.since);
    edges.partition_point(|edge| *edge <= since).saturating_sub(1).min(edges.len() - 2)
}

impl InBar {
    pub(super) fn counts(&self) -> Counts {
        Counts { checks: self.checks, success: self.success, agent_errors: self.agent_errors, unseen: 0 }
    }
}

/// Bars with what arrived in each, and what was due.
pub(super) fn bars(arrived: &[Counts], due: &[f64], edges: &[Timestamp]) -> Vec<Bar> {
    let bar = |(n, due): (usize, &f64)| {
        let counts = arrived.get(n).copied().unwrap_or_default();
        Bar { since: edges[n], counts: Counts { unseen: unseen(*due, counts.checks), ..counts } }
    };
    due.iter().enumerate().map(bar).collect()
}

impl Known<'_> {
    fn summary(self, id: &str, schedule: &Schedule, state: State, edges: &[Timestamp]) -> Summary {
        let Window { since, until } = window(edges);
        let mut counts = self.bars.iter().fold(Counts::default(), |mut sum, bar| {
            sum += *bar;
            sum
        });
        // Of each agent on its own, so that what one sent beside its schedule hides no gap of another.
        let missing = |(agent_id, due): (i32, i64)| (due - self.arrived.get(&agent_id).unwrap_or(&0)).max(0);
        counts.unseen =
            schedule.due(since, until).into_iter().map(missing).sum::<i64>() + schedule.nobodys(since, until);
        Summary {
            id: id.into(),
            name: self.definition.map_or(id, |it| &it.name).into(),
            url: self.definition.map(|it| it.url.clone()).unwrap_or_default(),
            tags: schedule.tags(),
            is_retired: schedule.is_retired(),
            state,
            counts,
            times: self.all.as_ref().map_or_else(ResponseTimes::default, InAll::times),
            bars: bars(&self.bars, &schedule.of_all(edges), edges),
        }
    }
}
