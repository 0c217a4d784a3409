//! Results summed up as they are read: of hours of which there is no summary yet.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Timestamptz};

use super::blocks::{Arrival, Times};
use super::tables::ANSWERED;
use super::trouble::Trouble;

/// What arrived of a monitor from one run of an agent: the answers of one bucket, or all that is no answer.
#[derive(QueryableByName)]
pub(super) struct Live {
    #[diesel(embed)]
    pub(super) arrival: Arrival,
    /// From 1.
    #[diesel(sql_type = Nullable<Integer>)]
    bucket: Option<i32>,
    #[diesel(sql_type = Nullable<Double>)]
    sum_us: Option<f64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    max_us: Option<i64>,
}

/// The results of these monitors, each from its own time on, up to a time in the same hour or its end; so many parts at
/// most.
pub(super) fn read(
    connection: &mut PgConnection,
    monitors: &[(i32, PgTimestamp)],
    until: PgTimestamp,
    most: Option<usize>,
) -> Result<Vec<Live>, Trouble> {
    let (ids, since): (Vec<i32>, Vec<PgTimestamp>) = monitors.iter().copied().unzip();
    let earliest = since.iter().map(|since| since.0).min().unwrap_or(until.0);
    let query = format!(
        "select g.monitor_id, e.agent_id, g.checks, g.success, g.agent_error, g.bucket, g.sum_us, g.max_us
         from (
             select p.monitor_id, r.*
             from unnest($1, $2) p(monitor_id, since)
             cross join lateral (
                 select a.epoch_id, response_time_bucket(a.us) as bucket, count(*)::integer as checks,
                        (count(*) filter (where a.outcome = 'success'))::integer as success,
                        (count(*) filter (where a.outcome = 'agent_error'))::integer as agent_error,
                        sum(a.us::double precision) as sum_us, max(a.us) as max_us
                 from (
                     select s.epoch_id, s.outcome,
                            case when s.outcome in {ANSWERED} then s.response_time_us end as us
                     from results s
                     where s.monitor_id = p.monitor_id and s.checked_at >= p.since and s.checked_at < $4
                       -- Said once more of all, so that only the partitions that matter are planned for.
                       and s.checked_at >= $3
                 ) a
                 group by 1, 2
             ) r
             limit $5
         ) g
         -- After the aggregate: inside of it, every monitor would look through all epochs.
         join epochs e using (epoch_id)"
    );
    Ok(sql_query(query)
        .bind::<Array<Integer>, _>(ids)
        .bind::<Array<Timestamptz>, _>(since)
        .bind::<Timestamptz, _>(PgTimestamp(earliest))
        .bind::<Timestamptz, _>(until)
        .bind::<Nullable<BigInt>, _>(most.map(|most| i64::try_from(most).unwrap_or(i64::MAX)))
        .load(connection)?)
}

impl Live {
    /// None where it is no answers.
    #[allow(clippy::cast_possible_truncation)] // microseconds
    pub(super) fn times(&self) -> Option<Times> {
        Some(Times {
            monitor_id: self.arrival.monitor_id,
            sum_us: self.sum_us? as i64,
            max_us: self.max_us?,
            buckets: vec![(u8::try_from(self.bucket? - 1).ok()?, self.arrival.checks.into())],
        })
    }
}
