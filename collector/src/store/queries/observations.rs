//! Reads what each agent sees of each monitor: its latest result, and for a monitor that fails what was before.
//!
//! Most monitors succeed, and for those the latest results are enough, which is half of the work.

use std::collections::{BTreeMap, BTreeSet};

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Timestamptz};
use jiff::{SignedDuration, Timestamp};

use super::latest::rows;
use super::{Definition, Names};
use crate::figures::due::Schedule;
use crate::figures::looks::look::Look;
use crate::figures::looks::observation::Observation;
use crate::figures::looks::state::{furthest, is_fresh};
use crate::store::db::error::StoreError;
use crate::store::db::time::{pg_time, time};

/// The latest result of a monitor by an agent, and what was before it.
#[derive(QueryableByName)]
pub(in crate::store) struct SightRow {
    #[diesel(embed)]
    latest: rows::Row,
    /// The time of the last success.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    up_at: Option<PgTimestamp>,
    /// The number of failures after the last success.
    #[diesel(sql_type = BigInt)]
    failures: i64,
    /// The time of the first of these failures.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    failing_since: Option<PgTimestamp>,
}

/// The choice of the failing monitors for which it is read how long they have failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Asked {
    /// All failing monitors, back over this number of their intervals.
    All(u32),
    /// Only failing monitors that another agent saw succeed last.
    Disputed,
}

/// Reads the latest result of each monitor by each agent, by the monitor's id and the agent's.
pub(in crate::store) fn latest<'a>(
    connection: &mut PgConnection,
    names: &Names,
    schedules: &BTreeMap<String, Schedule>,
    definitions: &[&'a Definition],
    asked: Asked,
    now: Timestamp,
) -> Result<BTreeMap<(&'a str, i32), SightRow>, StoreError> {
    let checks = match asked {
        Asked::All(checks) => i32::try_from(checks).unwrap_or(i32::MAX),
        Asked::Disputed => 0,
    };
    let since = |it: &Definition| {
        let lookers = || schedules.get(&it.id).into_iter().flat_map(Schedule::lookers);
        let longest = furthest(lookers().map(|(agent_id, interval)| (interval, names.clock_behind(agent_id))))?;
        let in_a_row = lookers().map(|(_, interval)| interval * checks).max()?;
        now.checked_sub(longest + in_a_row).ok()
    };
    let wanted = definitions.iter().filter_map(|it| Some((it.monitor_id, pg_time(since(it)?))));
    let (ids, times): (Vec<i32>, Vec<PgTimestamp>) = wanted.unzip();
    let latest = rows::rows(connection, &ids, &times)?;
    let by_id: BTreeMap<i32, &str> = definitions.iter().map(|it| (it.monitor_id, it.id.as_str())).collect();
    let having = |look| {
        let rows = latest.iter().filter(move |row| row.look() == look);
        rows.filter_map(|row| by_id.get(&row.monitor_id).copied()).collect::<BTreeSet<&str>>()
    };
    let succeeding = having(Look::Success);
    let is_asked = |id: &&str| asked != Asked::Disputed || succeeding.contains(id);
    let failing: BTreeSet<&str> = having(Look::Failure).into_iter().filter(is_asked).collect();
    let is_failing = |monitor_id: i32| by_id.get(&monitor_id).is_some_and(|id| failing.contains(id));
    let (ids, times): (Vec<i32>, Vec<PgTimestamp>) =
        ids.into_iter().zip(times).filter(|(id, _)| is_failing(*id)).unzip();
    let failures = with_failures(connection, &ids, &times)?;
    // All rows of a failing monitor come from one query, so they are of one moment.
    let others = latest.into_iter().filter(|row| !is_failing(row.monitor_id)).map(SightRow::of);
    let mut latest: BTreeMap<(&'a str, i32), SightRow> = BTreeMap::new();
    for row in others.chain(failures) {
        let Some(id) = by_id.get(&row.latest.monitor_id) else { continue };
        let key = (*id, row.latest.agent_id);
        if latest.get(&key).is_none_or(|known| known.latest.order() < row.latest.order()) {
            latest.insert(key, row);
        }
    }
    Ok(latest)
}

/// Reads the latest result of each agent for these definitions of monitors, each from its own time on, and what was
/// before it.
fn with_failures(
    connection: &mut PgConnection,
    ids: &[i32],
    times: &[PgTimestamp],
) -> Result<Vec<SightRow>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sql_query(format!(
        "select l.* from unnest($1, $2) p(monitor_id, since)
         cross join lateral (
             select distinct on (c.agent_id) c.*,
                    count(*) filter (where c.is_failure and c.later_successes = 0) over of_one as failures,
                    min(c.checked_at) filter (where c.is_failure and c.later_successes = 0) over of_one
                        as failing_since
             from (
                 select {}, r.outcome not in ('success', 'agent_error') as is_failure,
                        max(r.checked_at) filter (where r.outcome = 'success') over (partition by e.agent_id) as up_at,
                        count(*) filter (where r.outcome = 'success') over (
                            partition by e.agent_id order by r.epoch_id desc, r.seq desc
                        ) as later_successes
                 from results r join epochs e using (epoch_id)
                 where r.monitor_id = p.monitor_id and r.checked_at >= p.since and r.checked_at >= $3
             ) c
             window of_one as (partition by c.agent_id)
             order by c.agent_id, c.epoch_id desc, c.seq desc
         ) l",
        rows::COLUMNS
    ))
    .bind::<Array<Integer>, _>(ids)
    .bind::<Array<Timestamptz>, _>(times)
    .bind::<Nullable<Timestamptz>, _>(rows::earliest(times))
    .load(connection)?;
    Ok(rows)
}

/// Returns the time of the newest of these results for each definition of a monitor.
pub(in crate::store) fn newest(latest: &BTreeMap<(&str, i32), SightRow>) -> BTreeMap<i32, i64> {
    let mut newest = BTreeMap::new();
    for SightRow { latest, .. } in latest.values() {
        let at = newest.entry(latest.monitor_id).or_insert(latest.checked_at.0);
        *at = latest.checked_at.0.max(*at);
    }
    newest
}

/// Returns what each agent that is to look sees of each monitor, by the monitors' ids.
pub(in crate::store) fn of_each(
    latest: &BTreeMap<(&str, i32), SightRow>,
    names: &Names,
    schedules: &BTreeMap<String, Schedule>,
    now: Timestamp,
) -> BTreeMap<String, Vec<Observation>> {
    let observations = |(id, schedule): (&String, &Schedule)| {
        let observation = |(agent_id, interval)| {
            let row = latest.get(&(id.as_str(), agent_id));
            let behind = names.clock_behind(agent_id);
            let is_fresh = |row: &&SightRow| is_fresh(time(row.latest.checked_at), behind, interval, now);
            match row.filter(is_fresh) {
                Some(row) => row.observation(names.agent(agent_id), behind),
                None => Observation::silent(names.agent(agent_id)),
            }
        };
        (id.clone(), schedule.lookers().map(observation).collect())
    };
    schedules.iter().map(observations).collect()
}

impl SightRow {
    /// Returns the observation of a monitor that does not fail, or whose length of failure is not needed.
    fn of(latest: rows::Row) -> SightRow {
        SightRow { latest, up_at: None, failures: 0, failing_since: None }
    }

    /// Returns the observation of an agent whose clock is behind by `behind`. The times at which it looked and since
    /// when the monitor fails are corrected to those of a right clock.
    fn observation(&self, agent: String, behind: SignedDuration) -> Observation {
        let right = |at| time(at).checked_add(behind).unwrap_or(time(at));
        Observation {
            latest: self.latest.latest(agent),
            looked_at: Some(right(self.latest.checked_at)),
            failures: self.failures,
            since: self.failing_since.map(right),
            is_bounded: self.up_at.is_some(),
        }
    }
}
