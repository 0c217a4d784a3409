//! The incidents of one monitor, each with the agents that saw otherwise meanwhile.

use std::collections::BTreeMap;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Integer, Nullable, Text, Timestamptz};
use jiff::Timestamp;

use super::super::figures::OutageRow;
use super::super::tables::{pg_time, time};
use super::super::trouble::Trouble;
use super::Names;
use crate::figures::detail::{Detail, ResultRow, Side};
use crate::figures::incident::{self, Incident};
use crate::figures::state::{Look, State};
use crate::figures::{Outage, Window};

/// Whether there may be incidents, which cost more to find than all else: not where nothing failed in the bars, nor, as far
/// as the latest results tell, since they end.
pub(super) fn may_be(agents: &[Side], results: &[ResultRow], end_of_bars: Timestamp) -> bool {
    let mut since = results.iter().take_while(|result| result.checked_at >= end_of_bars);
    agents.iter().any(|side| side.counts.failed() > 0)
        || since.any(|result| Look::of(&result.outcome) == Look::Failure)
        || results.len() > Detail::MOST && results.iter().all(|result| result.checked_at >= end_of_bars)
}

/// The latest incidents, newest first.
pub(super) fn read(
    connection: &mut PgConnection,
    names: &Names,
    window: Window,
    state: &State,
) -> Result<Vec<Incident>, Trouble> {
    let ids = names.monitor_ids();
    let rows: Vec<OutageRow> = sql_query(
        "select monitor_id, agent_id, began, ended, failures, outcome, status_code, error from outages($1, $2, $3)",
    )
    .bind::<Timestamptz, _>(pg_time(window.since))
    .bind::<Timestamptz, _>(pg_time(window.until))
    .bind::<Array<Integer>, _>(&ids)
    .load(connection)?;
    let outages: Vec<Outage> = rows.into_iter().map(|row| (names.agent(row.agent_id), row).into()).collect();
    let still_fails = |name: &str| state.agents.iter().any(|it| it.agent == name && it.look == Look::Failure);
    let mut last_looks = BTreeMap::new();
    for open in outages.iter().filter(|it| it.ended.is_none() && !still_fails(&it.agent)) {
        last_looks.insert(open.agent.clone(), last_look(connection, &ids, open)?);
    }
    let groups = incident::groups(outages, |outage| last_looks.get(&outage.agent).copied());
    let incident = |group: incident::Group| {
        let (began, ended) = group.span();
        let saw = saw_success(connection, names, &ids, began, ended.unwrap_or(window.until))?;
        Ok(group.incident(&saw))
    };
    groups.into_iter().take(Detail::MOST).map(incident).collect()
}

/// When the agent of an outage that has not ended looked for the last time.
fn last_look(connection: &mut PgConnection, monitors: &[i32], outage: &Outage) -> Result<Timestamp, Trouble> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Timestamptz>)]
        at: Option<PgTimestamp>,
    }
    let row: Row = sql_query(
        "select max(r.checked_at) as at
         from results r join epochs e using (epoch_id) join agents a using (agent_id)
         where r.monitor_id = any($1) and a.name = $2 and r.checked_at >= $3 and r.outcome <> 'agent_error'",
    )
    .bind::<Array<Integer>, _>(monitors)
    .bind::<Text, _>(&outage.agent)
    .bind::<Timestamptz, _>(pg_time(outage.began))
    .get_result(connection)?;
    Ok(row.at.map_or(outage.began, time))
}

/// Which agents saw a success in a time.
fn saw_success(
    connection: &mut PgConnection,
    names: &Names,
    monitors: &[i32],
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<String>, Trouble> {
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
