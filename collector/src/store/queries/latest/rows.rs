//! Reads the latest results of monitors, as far as the states of monitors need them.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz};

use crate::figures::looks::look::{Latest, Look};
use crate::store::db::error::StoreError;
use crate::store::db::time::time;

/// The part of a result that the state of a monitor needs.
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

/// The columns of a row, of results `r` and epochs `e`.
pub(in crate::store) const COLUMNS: &str =
    "r.monitor_id, e.agent_id, r.epoch_id, r.seq, r.checked_at, r.outcome, r.status_code,
                       r.response_time_us, r.certificate_not_after, r.certificate_first_end, r.error";

/// Reads the latest result of each agent for these definitions of monitors, each from its own time on.
pub(in crate::store) fn rows(
    connection: &mut PgConnection,
    ids: &[i32],
    times: &[PgTimestamp],
) -> Result<Vec<Row>, StoreError> {
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

/// Returns the earliest of all times. The query repeats this bound, so that only the partitions that matter are planned
/// for.
pub(in crate::store) fn earliest(times: &[PgTimestamp]) -> Option<PgTimestamp> {
    times.iter().min_by_key(|at| at.0).copied()
}

impl Row {
    /// Returns the place of a result in the order of its agent's results: a later result is greater. A clock that jumps
    /// begins a new run. The last run counts, even while the results of the run before it, or of a check that went on
    /// during the jump, are dated later. Checks of one monitor do not overlap, so their sequence numbers are in their
    /// order.
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
