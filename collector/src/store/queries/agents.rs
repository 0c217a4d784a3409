//! Reads agents, as their latest reports and their ledgers tell.

use std::collections::BTreeMap;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Jsonb, Nullable, Text, Timestamptz};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use wire::Clock;

use crate::figures::agent::{AgentRow, Presence};
use crate::figures::looks::clock;
use crate::figures::looks::runs::{BESIDE, is_doubled};
use crate::store::db::error::StoreError;
use crate::store::db::time::{pg_time, time};

/// The time without a report after which an agent counts as silent. Agents report every minute.
const SILENT: SignedDuration = SignedDuration::from_mins(3);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Text>)]
    version: Option<String>,
    #[diesel(sql_type = Jsonb)]
    labels: serde_json::Value,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    first_seen: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_seen: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_report: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    retired_since: Option<PgTimestamp>,
    #[diesel(sql_type = Jsonb)]
    report: serde_json::Value,
    #[diesel(sql_type = BigInt)]
    clock_behind_us: i64,
    /// Whether the last run has stopped, and no other run goes on beside it.
    #[diesel(sql_type = Bool)]
    is_stopped: bool,
    /// How many runs returned lately. `returns` is how often they returned.
    #[diesel(sql_type = BigInt)]
    runs_beside: i64,
    #[diesel(sql_type = BigInt)]
    returns: i64,
    #[diesel(sql_type = BigInt)]
    monitors: i64,
    #[diesel(sql_type = BigInt)]
    pending: i64,
    #[diesel(sql_type = BigInt)]
    dropped: i64,
    #[diesel(sql_type = BigInt)]
    rejected: i64,
}

/// The content of `agents.report`. An older collector left it out.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    outbox_bytes: Option<i64>,
    missed: BTreeMap<String, i64>,
    clock: Clock,
    faults: i64,
}

/// Reads all agents, in the order of their names.
pub(crate) fn read(connection: &mut PgConnection, now: Timestamp) -> Result<Vec<AgentRow>, StoreError> {
    rows(connection, now, true)
}

/// Reads all agents as `read` does, but without the number of monitors that each is to check, which is 0 here. To count
/// them costs more than all else.
pub(in crate::store) fn as_reported(
    connection: &mut PgConnection,
    now: Timestamp,
) -> Result<Vec<AgentRow>, StoreError> {
    rows(connection, now, false)
}

fn rows(connection: &mut PgConnection, now: Timestamp, with_monitors: bool) -> Result<Vec<AgentRow>, StoreError> {
    let rows: Vec<Row> = sql_query(
        "with counted as (
             select e.agent_id, min(e.first_seen) as first_seen, max(e.epoch_id) as newest,
                    count(*) filter (where e.returned_at > $3) as runs_beside,
                    sum(e.returns) filter (where e.returned_at > $3) as returns,
                    bool_or(e.returned_at > $3 and e.ended_at is null) as goes_on,
                    sum((select coalesce(sum(upper(r) - lower(r)), 0) from unnest(e.dropped - e.accounted) r)) as dropped,
                    sum((select coalesce(sum(upper(r) - lower(r)), 0) from unnest(e.rejected) r)) as rejected
             from epochs e group by 1
         ),
         due as (select s.agent_id, count(*) as monitors from schedule_spans($1, $1) s where $2 and s.ends is null group by 1)
         select a.name, a.version, a.labels, c.first_seen, a.last_seen, a.last_report, r.since as retired_since,
                a.report, a.clock_behind_us, l.ended_at is not null and c.goes_on is not true as is_stopped,
                coalesce(c.runs_beside, 0) as runs_beside, coalesce(c.returns, 0)::bigint as returns,
                coalesce(d.monitors, 0) as monitors, coalesce(l.pending, 0) as pending,
                coalesce(c.dropped, 0)::bigint as dropped, coalesce(c.rejected, 0)::bigint as rejected
         from agents a
         left join counted c using (agent_id) left join due d using (agent_id)
         left join retired_agents() r using (agent_id)
         left join epochs l on l.epoch_id = coalesce(a.run, c.newest)
         order by a.name",
    )
    .bind::<Timestamptz, _>(pg_time(now))
    .bind::<Bool, _>(with_monitors)
    .bind::<Timestamptz, _>(pg_time(now.checked_sub(BESIDE).unwrap_or(now)))
    .load(connection)?;
    Ok(rows.into_iter().map(|row| row.agent(now)).collect())
}

impl Row {
    fn agent(self, now: Timestamp) -> AgentRow {
        let report: Report = serde_json::from_value(self.report).unwrap_or_default();
        let last_seen = self.last_seen.map(time);
        let behind = clock::told(SignedDuration::from_micros(self.clock_behind_us));
        let is_heard = last_seen.is_some_and(|seen| now.duration_since(seen) <= SILENT);
        AgentRow {
            name: self.name,
            version: self.version,
            labels: serde_json::from_value(self.labels).unwrap_or_default(),
            first_seen: self.first_seen.map(time),
            last_seen,
            last_report: self.last_report.map(time),
            presence: match (self.retired_since, self.is_stopped, is_heard) {
                (Some(_), _, _) => Presence::Retired,
                (None, true, _) => Presence::Stopped,
                (None, false, true) => Presence::Running,
                (None, false, false) => Presence::Silent,
            },
            retired_since: self.retired_since.map(time),
            doubled: is_doubled(self.runs_beside, self.returns),
            monitors: self.monitors,
            pending: self.pending,
            dropped: self.dropped,
            rejected: self.rejected,
            outbox_bytes: report.outbox_bytes,
            clock_behind_us: i64::try_from(behind.as_micros()).unwrap_or_default(),
            clock_jumps: i64::try_from(report.clock.jumps).unwrap_or(i64::MAX),
            last_jump_us: report.clock.last_jump_us,
            configuration_faults: report.faults,
            missed: report.missed,
        }
    }
}
