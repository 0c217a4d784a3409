//! Makes summaries by the day from the summaries by the hour, in the same way as those are made from results. The
//! tables mark the day of an hour in the transaction that writes the hour's rows.

use diesel::connection::SimpleConnection;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Integer, Multirange, Nullable, Timestamptz};

use super::{Bound, FIGURES, Rival, StoreError, excluded, lock};

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    day: Option<PgTimestamp>,
    #[diesel(sql_type = Multirange<Integer>)]
    monitors: Vec<(Bound<i32>, Bound<i32>)>,
}

/// Makes the summaries of the oldest day that is due and over. Returns whether there was such a day and this collector
/// made it. Hours that come late mark the day again.
pub(in crate::store) fn step(connection: &mut PgConnection, rival: Rival) -> Result<bool, StoreError> {
    connection.transaction(|connection| {
        if !lock(connection, rival)? {
            return Ok(false);
        }
        connection.batch_execute("set local jit = off")?;
        let due: Due = sql_query(
            "with gone as (
                 delete from daily_due
                 where day = (select min(day) from daily_due where day <= now() - interval '25 hours 1 minute')
                 returning day, monitors
             )
             select min(g.day) as day, coalesce(range_agg(m.monitors), '{}') as monitors
             from gone g left join lateral unnest(g.monitors) m(monitors) on true",
        )
        .get_result(connection)?;
        let Some(day) = due.day else { return Ok(false) };
        let figures = excluded(["success", "agent_error"].iter().chain(&FIGURES));
        let rows = sql_query(format!(
            "insert into daily
             select d.*
             from (
                 select array_agg(m.id) as monitors
                 from unnest($2) r(ids) cross join lateral generate_series(lower(r.ids), upper(r.ids) - 1) m(id)
             ) due
             cross join lateral days_of_hours($1, $1 + interval '1 day', due.monitors) d
             on conflict (monitor_id, day, agent_id) do update set {figures}
             where daily.checks <= excluded.checks"
        ))
        .bind::<Timestamptz, _>(day)
        .bind::<Multirange<Integer>, _>(due.monitors)
        .execute(connection)?;
        log::debug!(day = day.0, rows; "summed up a day");
        Ok(true)
    })
}
