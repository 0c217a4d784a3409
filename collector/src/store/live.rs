//! Results summed up as they are read: of hours of which there is no summary yet.

use std::collections::BTreeMap;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Timestamptz};

use super::blocks::{Arrival, Times};
use super::buckets::bucket;
use super::tables::ANSWERED;
use super::trouble::Trouble;

/// What arrived of a monitor from one run of an agent.
#[derive(QueryableByName)]
pub(super) struct Live {
    #[diesel(embed)]
    pub(super) arrival: Arrival,
    #[diesel(sql_type = Array<BigInt>)]
    answers_us: Vec<i64>,
}

/// The results of these monitors, each from its own time on, up to a time in the same hour or its end. By monitor and
/// agent.
pub(super) fn read(
    connection: &mut PgConnection,
    monitors: &[(i32, PgTimestamp)],
    until: PgTimestamp,
) -> Result<Vec<Live>, Trouble> {
    let (ids, since): (Vec<i32>, Vec<PgTimestamp>) = monitors.iter().copied().unzip();
    let earliest = since.iter().map(|since| since.0).min().unwrap_or(until.0);
    let query = format!(
        "select g.monitor_id, e.agent_id, g.checks, g.success, g.agent_error, g.answers_us
         from (
             select p.monitor_id, r.*
             from unnest($1, $2) p(monitor_id, since)
             cross join lateral (
                 select s.epoch_id, count(*)::integer as checks,
                        (count(*) filter (where s.outcome = 'success'))::integer as success,
                        (count(*) filter (where s.outcome = 'agent_error'))::integer as agent_error,
                        coalesce(array_agg(s.response_time_us) filter (
                            where s.response_time_us is not null and s.outcome in {ANSWERED}
                        ), '{{}}') as answers_us
                 from results s
                 where s.monitor_id = p.monitor_id and s.checked_at >= p.since and s.checked_at < $4
                   -- Said once more of all, so that only the partitions that matter are planned for.
                   and s.checked_at >= $3
                 group by 1
             ) r
         ) g
         -- After the aggregate: inside of it, every monitor would look through all epochs.
         join epochs e using (epoch_id)
         order by g.monitor_id, e.agent_id"
    );
    Ok(sql_query(query)
        .bind::<Array<Integer>, _>(ids)
        .bind::<Array<Timestamptz>, _>(since)
        .bind::<Timestamptz, _>(PgTimestamp(earliest))
        .bind::<Timestamptz, _>(until)
        .load(connection)?)
}

impl Live {
    /// None without an answer.
    pub(super) fn times(&self) -> Option<Times> {
        let mut buckets = BTreeMap::new();
        for us in &self.answers_us {
            *buckets.entry(bucket(*us)).or_default() += 1;
        }
        Some(Times {
            monitor_id: self.arrival.monitor_id,
            sum_us: self.answers_us.iter().sum(),
            max_us: *self.answers_us.iter().max()?,
            buckets: buckets.into_iter().collect(),
        })
    }
}
