//! Reads what arrived from each agent in each hour or day, with the response times.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Integer, Timestamptz};
use jiff::Timestamp;

use super::response_times::Answers;
use super::summaries::{Arrived, place};
use crate::figures::Window;
use crate::figures::period::Grain;
use crate::store::db::error::StoreError;
use crate::store::db::time::pg_time;
use crate::store::summary_blocks::Arrival;

/// What arrived of a definition of a monitor from an agent in an hour or a day.
#[derive(Clone, Debug, QueryableByName)]
pub(in crate::store) struct Row {
    #[diesel(embed)]
    pub(in crate::store) arrival: Arrival,
    #[diesel(sql_type = Timestamptz)]
    pub(in crate::store) begins: PgTimestamp,
    #[diesel(embed)]
    pub(in crate::store) answers: Answers,
}

/// Reads what arrived of these monitors in the bars with these edges.
pub(in crate::store) fn read(
    connection: &mut PgConnection,
    grain: Grain,
    edges: &[Timestamp],
    monitors: &[i32],
) -> Result<Vec<Row>, StoreError> {
    let (source, begin) = match grain {
        Grain::Hour => ("checks_by_hour", "hour"),
        Grain::Day => ("checks_by_day", "day"),
    };
    let Window { since, until } = Window::between(edges);
    let query = format!(
        "select s.monitor_id, s.agent_id, s.{begin} as begins, s.checks, s.success, s.agent_error,
                s.answered::bigint as answered, s.response_time_sum_us::double precision as sum_us,
                s.response_time_max_us as max_us, s.response_times::bigint[] as response_times
         from {source}($1, $2, $3) s"
    );
    Ok(sql_query(query)
        .bind::<Timestamptz, _>(pg_time(since))
        .bind::<Timestamptz, _>(pg_time(until))
        .bind::<Array<Integer>, _>(monitors)
        .load(connection)?)
}

/// Adds up these rows.
pub(crate) fn sum(rows: &[Row], edges: &[Timestamp]) -> Arrived {
    let mut arrived = Arrived::new(edges);
    for row in rows {
        arrived.add(&row.arrival, place(row.begins, edges));
        *arrived.answers(row.arrival.monitor_id) += &row.answers;
    }
    arrived
}
