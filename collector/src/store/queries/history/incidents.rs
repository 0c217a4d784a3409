//! Reads the incidents of one monitor, each with the agents that saw a success during it.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Integer, Timestamptz};
use jiff::Timestamp;

use super::outages;
use crate::figures::Window;
use crate::figures::detail::{Detail, ResultRow, Side};
use crate::figures::due::Schedule;
use crate::figures::incident;
use crate::figures::incident::Incident;
use crate::figures::looks::look::Look;
use crate::store::db::error::StoreError;
use crate::store::db::time::pg_time;
use crate::store::queries::Names;

/// Returns whether there may be incidents, which cost more to find than all else. There are none when nothing failed in
/// the bars and, as far as the latest results tell, nothing failed since the bars end.
pub(crate) fn may_be(agents: &[Side], results: &[ResultRow], end_of_bars: Timestamp) -> bool {
    let mut since = results.iter().take_while(|result| result.checked_at >= end_of_bars);
    agents.iter().any(|side| side.counts.failed() > 0)
        || since.any(|result| Look::of(&result.outcome) == Look::Failure)
        || results.len() > Detail::MOST && results.iter().all(|result| result.checked_at >= end_of_bars)
}

/// Reads the latest incidents, the newest first.
pub(crate) fn read(
    connection: &mut PgConnection,
    names: &Names,
    schedules: &BTreeMap<String, Schedule>,
    window: Window,
) -> Result<Vec<Incident>, StoreError> {
    let ids = names.monitor_ids();
    let outages = outages::read(connection, names, schedules, window)?;
    let groups = incident::groups(outages.into_iter().map(|seen| seen.outage).collect());
    let incident = |group: incident::Group| {
        let (began, ended) = group.span();
        let saw = saw_success(connection, names, &ids, began, ended.unwrap_or(window.until))?;
        Ok(group.incident(&saw))
    };
    groups.into_iter().take(Detail::MOST).map(incident).collect()
}

/// Returns the agents that saw a success in a span of time.
fn saw_success(
    connection: &mut PgConnection,
    names: &Names,
    monitors: &[i32],
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<String>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        agent_id: i32,
    }
    let rows: Vec<Row> = sql_query(
        "select distinct e.agent_id from results r join epochs e using (epoch_id)
         where r.monitor_id = any($1) and r.checked_at >= $2 and r.checked_at < $3 and r.outcome = 'success'",
    )
    .bind::<Array<Integer>, _>(monitors)
    .bind::<Timestamptz, _>(pg_time(since))
    .bind::<Timestamptz, _>(pg_time(until))
    .load(connection)?;
    Ok(rows.into_iter().map(|row| names.agent(row.agent_id)).collect())
}
