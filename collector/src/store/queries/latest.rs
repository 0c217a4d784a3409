//! How monitors are now: the latest result of each agent that is to look, where it is not older than it may be.

use std::collections::BTreeMap;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz};
use jiff::{SignedDuration, Timestamp};

use super::observations;
use super::observations::Asked;
use super::{Definition, Names};
use crate::figures::due::Schedule;
use crate::figures::observation::Sight;
use crate::figures::state::{Latest, Look, State};
use crate::store::db::error::Trouble;
use crate::store::db::time::{pg_time, time};

/// A result, as the state of a monitor needs it.
#[derive(QueryableByName)]
pub(in crate::store) struct Row {
    #[diesel(sql_type = Integer)]
    pub(in crate::store) monitor_id: i32,
    #[diesel(sql_type = Integer)]
    pub(in crate::store) agent_id: i32,
    #[diesel(sql_type = Integer)]
    epoch_id: i32,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Timestamptz)]
    pub(in crate::store) checked_at: PgTimestamp,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Nullable<SmallInt>)]
    status_code: Option<i16>,
    #[diesel(sql_type = Nullable<BigInt>)]
    response_time_us: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    certificate_not_after: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    certificate_first_end: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    error: Option<String>,
}

/// Its columns, of results `r` and epochs `e`.
pub(in crate::store) const COLUMNS: &str =
    "r.monitor_id, e.agent_id, r.epoch_id, r.seq, r.checked_at, r.outcome, r.status_code,
                       r.response_time_us, r.certificate_not_after, r.certificate_first_end, r.error";

/// Of a monitor that nobody tells anything of now, so far back is looked for the last that was told.
const FAR_BACK: SignedDuration = SignedDuration::from_hours(24 * 7);

/// The states of monitors, by id.
pub(crate) fn read(
    connection: &mut PgConnection,
    names: &Names,
    schedules: &BTreeMap<String, Schedule>,
    now: Timestamp,
) -> Result<BTreeMap<String, State>, Trouble> {
    let definitions: Vec<&Definition> = names.monitors.iter().collect();
    let latest = observations::latest(connection, names, schedules, &definitions, Asked::Disputed, now)?;
    let of_each = observations::of_each(&latest, names, schedules, now);
    let mut states: BTreeMap<String, State> =
        of_each.into_iter().map(|(id, sights)| (id, State::new(sights))).collect();
    add_last_words(connection, names, &mut states, now)?;
    Ok(states)
}

/// Of these definitions of monitors, each from a time on, the latest result of each agent.
pub(in crate::store) fn rows(
    connection: &mut PgConnection,
    ids: &[i32],
    times: &[PgTimestamp],
) -> Result<Vec<Row>, Trouble> {
    let rows = sql_query(format!(
        "select l.* from unnest($1, $2) p(monitor_id, since)
         cross join lateral (
             select distinct on (e.agent_id) {COLUMNS}
             from results r join epochs e using (epoch_id)
             where r.monitor_id = p.monitor_id and r.checked_at >= p.since and r.checked_at >= $3
             order by e.agent_id, r.epoch_id desc, r.seq desc
         ) l"
    ))
    .bind::<Array<Integer>, _>(ids)
    .bind::<Array<Timestamptz>, _>(times)
    .bind::<Nullable<Timestamptz>, _>(earliest(times))
    .load(connection)?;
    Ok(rows)
}

/// What is said once more of all times, so that only the partitions that matter are planned for.
pub(in crate::store) fn earliest(times: &[PgTimestamp]) -> Option<PgTimestamp> {
    times.iter().min_by_key(|at| at.0).copied()
}

/// Of monitors that nobody tells anything of now: the last that was told, and by whom. One that is gone is not among the
/// silent, so its words don't count.
fn add_last_words(
    connection: &mut PgConnection,
    names: &Names,
    states: &mut BTreeMap<String, State>,
    now: Timestamp,
) -> Result<(), Trouble> {
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
        let all = others.chain([word.clone()]).map(Sight::of).collect();
        states.insert(it.id.clone(), State::new(all));
    }
    Ok(())
}

impl Row {
    /// Of an agent's results a later one is greater. A clock that jumps begins a run: of those the last one counts, also
    /// while the one before is dated later; and so is a check that went on meanwhile. Checks of one monitor don't overlap,
    /// so their numbers are in their order.
    pub(in crate::store) fn order(&self) -> (i32, i64) {
        (self.epoch_id, self.seq)
    }

    pub(in crate::store) fn look(&self) -> Look {
        Look::of(&self.outcome)
    }

    pub(in crate::store) fn latest(&self, agent: String) -> Latest {
        Latest {
            agent,
            look: self.look(),
            checked_at: Some(time(self.checked_at)),
            outcome: Some(self.outcome.clone()),
            status_code: self.status_code,
            response_time_us: self.response_time_us,
            error: self.error.clone(),
            certificate_not_after: self.certificate_not_after.map(time),
            certificate_first_end: self.certificate_first_end.map(time),
        }
    }
}
