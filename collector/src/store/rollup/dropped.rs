//! Makes summaries of days whose results were dropped with their partition, past the retention.
//!
//! Results may still come for such a day, for example from an agent that was offline for a long time. They are not the
//! results that were dropped, so a summary of that day is the sum of two parts: the summary as it was when the
//! partition was dropped, and what is aggregated from the results that came since. The first part is copied to
//! `dropped_hourly` when the day gets a new result. It is replaced when the new partition is dropped, too.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text, Timestamptz};

use super::{Outcome, StoreError};
use crate::store::db::buckets::BUCKETS;

#[derive(QueryableByName)]
struct Dropped {
    #[diesel(sql_type = Bool)]
    has_base: bool,
}

/// Notes that the results of a day (`2026-11-24`) are dropped, and that all of them were summed up.
pub(in crate::store) fn note(connection: &mut PgConnection, day: &str) -> Result<(), StoreError> {
    sql_query(
        "with noted as (
             insert into dropped_days (day) values ($1::date)
             on conflict (day) do update set has_base = false
         )
         delete from dropped_hourly where (hour at time zone 'UTC')::date = $1::date",
    )
    .bind::<Text, _>(day)
    .execute(connection)?;
    Ok(())
}

/// Returns whether results of an hour's day were dropped. In this case `dropped_hourly` has the earlier summaries of
/// the day afterwards, so that new results can be added to them.
pub(crate) fn is_noted(connection: &mut PgConnection, hour: PgTimestamp) -> Result<bool, StoreError> {
    let dropped: Option<Dropped> =
        sql_query("select has_base from dropped_days where day = ($1 at time zone 'UTC')::date")
            .bind::<Timestamptz, _>(hour)
            .get_result(connection)
            .optional()?;
    if dropped.as_ref().is_some_and(|dropped| !dropped.has_base) {
        sql_query(
            "with noted as (
                 update dropped_days set has_base = true where day = ($1 at time zone 'UTC')::date returning day
             )
             insert into dropped_hourly
             select h.* from noted, hourly h
             where h.hour >= noted.day::timestamp at time zone 'UTC'
               and h.hour < (noted.day + 1)::timestamp at time zone 'UTC'",
        )
        .bind::<Timestamptz, _>(hour)
        .execute(connection)?;
    }
    Ok(dropped.is_some())
}

/// Returns a query for summaries (`hourly`) of the hour `$1` and of `due.monitors`. It adds up the summaries as they
/// were when results of their day were dropped, and those of the query `fresh`.
pub(crate) fn together_with(fresh: &str) -> String {
    let counts = ["checks"].into_iter().chain(Outcome::ALL.map(Outcome::as_str)).chain(["answered"]);
    let counts: Vec<String> = counts.map(|count| format!("sum(p.{count})::integer as {count}")).collect();
    let buckets: Vec<String> = (1..=BUCKETS).map(|bucket| format!("sum(p.response_times[{bucket}])")).collect();
    format!(
        "select p.monitor_id, p.hour, p.agent_id, {}, sum(p.response_time_sum_us)::bigint as response_time_sum_us,
                max(p.response_time_max_us) as response_time_max_us, array[{}]::integer[] as response_times
         from (
             {fresh}
             union all
             select g.* from due join dropped_hourly g on g.hour = $1 and g.monitor_id = any (due.monitors)
         ) p
         group by p.monitor_id, p.hour, p.agent_id",
        counts.join(", "),
        buckets.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rollup::FIGURES;

    #[test]
    fn each_column_of_a_summary_is_added_up() {
        let query = together_with("fresh");
        for column in FIGURES.into_iter().chain(Outcome::ALL.map(Outcome::as_str)) {
            assert!(query.contains(&format!(" as {column}")), "{column} is not in {query}");
        }
    }
}
