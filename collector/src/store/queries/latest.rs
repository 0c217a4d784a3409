//! Reads how monitors are now: the latest result of each agent that is to look, if it is not too old.

pub(super) mod rows;

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Integer, Timestamptz};
use jiff::{SignedDuration, Timestamp};

use super::observations;
use super::observations::Asked;
use super::{Definition, Names};
use crate::figures::due::Schedule;
use crate::figures::looks::look::{Latest, Look};
use crate::figures::looks::observation::Observation;
use crate::figures::looks::state::State;
use crate::store::db::error::StoreError;
use crate::store::db::time::pg_time;
use rows::{COLUMNS, Row};

/// How far back the last result is searched for a monitor about which no agent tells anything now.
const FAR_BACK: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Reads the states of monitors, by id.
pub(crate) fn read(
    connection: &mut PgConnection,
    names: &Names,
    schedules: &BTreeMap<String, Schedule>,
    now: Timestamp,
) -> Result<BTreeMap<String, State>, StoreError> {
    let definitions: Vec<&Definition> = names.monitors.iter().collect();
    let latest = observations::latest(connection, names, schedules, &definitions, Asked::Disputed, now)?;
    let of_each = observations::of_each(&latest, names, schedules, now);
    let mut states: BTreeMap<String, State> =
        of_each.into_iter().map(|(id, observations)| (id, State::new(observations))).collect();
    add_last_words(connection, names, &mut states, now)?;
    Ok(states)
}

/// Adds the last result, and its agent, to the state of each monitor about which no agent tells anything now. The
/// results of a retired agent do not count, because it is not one of the silent agents.
fn add_last_words(
    connection: &mut PgConnection,
    names: &Names,
    states: &mut BTreeMap<String, State>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let is_silent = |state: &State| state.agents.iter().all(|latest| latest.look == Look::Silent);
    let silent = names.monitors.iter().filter(|it| states.get(&it.id).is_none_or(is_silent));
    let silent: Vec<i32> = silent.map(|it| it.monitor_id).collect();
    if silent.is_empty() {
        return Ok(());
    }
    let rows: Vec<Row> = sql_query(format!(
        "select l.* from unnest($1) p(monitor_id)
         cross join lateral (
             select {COLUMNS} from results r join epochs e using (epoch_id)
             where r.monitor_id = p.monitor_id and r.checked_at >= $2
               and e.agent_id not in (select g.agent_id from retired_agents() g)
             order by r.checked_at desc limit 1
         ) l
         order by l.checked_at"
    ))
    .bind::<Array<Integer>, _>(&silent)
    .bind::<Timestamptz, _>(pg_time(now.checked_sub(FAR_BACK).unwrap_or(now)))
    .load(connection)?;
    for row in rows {
        let Some(it) = names.monitors.iter().find(|it| it.monitor_id == row.monitor_id) else { continue };
        let word = Latest { look: Look::Silent, ..row.latest(names.agent(row.agent_id)) };
        let known = states.remove(&it.id).map(|state| state.agents).unwrap_or_default();
        let others = known.into_iter().filter(|latest| latest.agent != word.agent);
        let all = others.chain([word.clone()]).map(Observation::of).collect();
        states.insert(it.id.clone(), State::new(all));
    }
    Ok(())
}
