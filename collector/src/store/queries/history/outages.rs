//! Reads the outages of monitors as each agent saw them, with what is known of their ends.
//!
//! An agent that saw failures and then looks no more sees no end. It is not known what it would have seen, so its
//! outage is shown as lasting until its last look.

use std::collections::BTreeMap;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz};
use jiff::Timestamp;

use crate::figures::due::Schedule;
use crate::figures::looks::state::is_fresh;
use crate::figures::{Outage, Window};
use crate::store::db::error::StoreError;
use crate::store::db::time::{pg_time, time};
use crate::store::queries::Names;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    monitor_id: i32,
    #[diesel(sql_type = Integer)]
    agent_id: i32,
    #[diesel(sql_type = Timestamptz)]
    began: PgTimestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended: Option<PgTimestamp>,
    #[diesel(sql_type = BigInt)]
    failures: i64,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Nullable<SmallInt>)]
    status_code: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    error: Option<String>,
}

/// An outage, with its monitor and its agent.
pub(in crate::store) struct Seen {
    /// The id by which people know the monitor.
    pub(in crate::store) monitor: String,
    pub(in crate::store) agent_id: i32,
    pub(in crate::store) outage: Outage,
}

/// Reads the outages of the named monitors in a window, the oldest first.
pub(in crate::store) fn read(
    connection: &mut PgConnection,
    names: &Names,
    schedules: &BTreeMap<String, Schedule>,
    window: Window,
) -> Result<Vec<Seen>, StoreError> {
    let rows: Vec<Row> = sql_query(
        "select monitor_id, agent_id, began, ended, failures, outcome, status_code, error
         from outages($1, $2, $3) order by began, agent_id",
    )
    .bind::<Timestamptz, _>(pg_time(window.since))
    .bind::<Timestamptz, _>(pg_time(window.until))
    .bind::<Array<Integer>, _>(names.monitor_ids())
    .load(connection)?;
    let ids: BTreeMap<i32, &str> = names.monitors.iter().map(|it| (it.monitor_id, it.id.as_str())).collect();
    let mut found = Vec::new();
    for row in rows {
        let Some(&monitor) = ids.get(&row.monitor_id) else { continue };
        let (mut ended, mut is_end_known) = (row.ended.map(time), true);
        if ended.is_none() {
            let last = last_look(connection, names, monitor, &row, window.until)?;
            let interval = schedules.get(monitor).and_then(|it| it.interval_of(row.agent_id, window.until));
            let behind = names.clock_behind(row.agent_id);
            if !interval.is_some_and(|interval| is_fresh(last, behind, interval, window.until)) {
                (ended, is_end_known) = (Some(last), false);
            }
        }
        let outage = Outage {
            agent: names.agent(row.agent_id),
            began: time(row.began),
            ended,
            is_end_known,
            failures: row.failures,
            outcome: row.outcome,
            status_code: row.status_code,
            error: row.error,
        };
        found.push(Seen { monitor: monitor.to_owned(), agent_id: row.agent_id, outage });
    }
    Ok(found)
}

/// Returns when the agent of an outage looked for the last time in the window.
fn last_look(
    connection: &mut PgConnection,
    names: &Names,
    monitor: &str,
    outage: &Row,
    until: Timestamp,
) -> Result<Timestamp, StoreError> {
    #[derive(QueryableByName)]
    struct Last {
        #[diesel(sql_type = Nullable<Timestamptz>)]
        at: Option<PgTimestamp>,
    }
    let definitions = names.monitors.iter().filter(|it| it.id == monitor).map(|it| it.monitor_id);
    let last: Last = sql_query(
        "select max(r.checked_at) as at from results r join epochs e using (epoch_id)
         where r.monitor_id = any($1) and e.agent_id = $2 and r.checked_at >= $3 and r.checked_at < $4
           and r.outcome <> 'agent_error'",
    )
    .bind::<Array<Integer>, _>(definitions.collect::<Vec<_>>())
    .bind::<Integer, _>(outage.agent_id)
    .bind::<Timestamptz, _>(outage.began)
    .bind::<Timestamptz, _>(pg_time(until))
    .get_result(connection)?;
    Ok(time(last.at.unwrap_or(outage.began)))
}
