//! Stores what agents say should arrive, as they said it. The functions of the tables interpret it.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz};
use serde_json::{Value, json};
use wire::{AgentEvent, MonitorDue};

use crate::store::db::error::{Statement, StoreError};
use crate::store::db::time::pg_time;
use crate::store::ingest::batch_plan::{Report, number};

fn word(event: AgentEvent) -> Option<&'static str> {
    match event {
        AgentEvent::Start => Some("start"),
        AgentEvent::Reload => Some("reload"),
        AgentEvent::Periodic | AgentEvent::Stop => None,
    }
}

/// Stores the schedules of a batch, which are few. A schedule that is dated later than now, or by a clock that was
/// never set, holds from now on, because it would hide the schedules that come after it.
///
/// A list that an agent says again is the list that its run said last, and holds since then. It is not stored when it
/// is known already: when a row has the same monitors, and no other list of the run came after that row.
pub(crate) fn store(connection: &mut PgConnection, schedules: &[(i32, Report<'_>)]) -> Result<(), StoreError> {
    for (epoch_id, Report { seq, report, .. }) in schedules {
        let Some(event) = word(report.event) else { continue };
        sql_query(
            "insert into schedules (epoch_id, seq, at, event, revision, monitors, intervals_ms, tags)
             select $1, $2, case when $3 between now() - interval '2 years' and now() then $3 else now() end,
                    $4, $5, $6, $7, $8
             where not $9 or not exists (
                 select from schedules s
                 where s.epoch_id = $1 and (s.event, s.revision, s.monitors, s.intervals_ms) = ($4, $5, $6, $7)
                   and not exists (
                       select from schedules o
                       where o.epoch_id = $1 and o.seq between least(s.seq, $2) and greatest(s.seq, $2)
                         and (o.event, o.revision) <> ($4, $5)
                   )
             )
             on conflict do nothing",
        )
        .bind::<Integer, _>(epoch_id)
        .bind::<BigInt, _>(seq)
        .bind::<Timestamptz, _>(pg_time(report.due_since.unwrap_or(report.at)))
        .bind::<Text, _>(event)
        .bind::<Text, _>(&report.configuration.revision)
        .bind::<Array<Text>, _>(report.monitors.iter().map(|due| due.id.as_str()).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(report.monitors.iter().map(|due| number(due.interval_ms)).collect::<Vec<_>>())
        .bind::<Nullable<Array<Jsonb>>, _>(tags(&report.monitors))
        .bind::<Bool, _>(report.due_since.is_some())
        .execute(connection)
        .map_err(|error| StoreError::of(error, Statement::Records))?;
    }
    Ok(())
}

/// Returns null when no monitor has tags, because null takes no space and most monitors have none.
fn tags(monitors: &[MonitorDue]) -> Option<Vec<Value>> {
    monitors.iter().any(|due| !due.tags.is_empty()).then(|| monitors.iter().map(|due| json!(due.tags)).collect())
}
