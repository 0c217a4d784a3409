//! Stores what the latest reports of a batch say about their agents. What is shown of an agent comes from its last run.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;
use wire::AgentReport;

use crate::clock_skew::Moment;
use crate::figures::looks::runs::{Arrival, BESIDE, Delivery, Last, Run};
use crate::store::db::error::{Statement, StoreError};
use crate::store::db::time::{pg_time, time};
use crate::store::ingest::batch_plan::Report;

/// A report that is sent within this time after it was made did not wait in an outbox.
const AT_ONCE_MS: RangeInclusive<i64> = 0..=60_000;

/// A run that reported, and what is known of its agent.
#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Integer)]
    agent_id: i32,
    #[diesel(sql_type = Integer)]
    epoch_id: i32,
    #[diesel(sql_type = SqlUuid)]
    epoch: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    previous: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    report_seq: Option<i64>,
    #[diesel(sql_type = Bool)]
    is_followed: bool,
    #[diesel(sql_type = Nullable<Integer>)]
    last_run: Option<i32>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    last_epoch: Option<Uuid>,
    #[diesel(sql_type = Bool)]
    last_is_heard: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_began: Option<PgTimestamp>,
    #[diesel(sql_type = Bool)]
    has_led: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_report: Option<PgTimestamp>,
    #[diesel(sql_type = BigInt)]
    clock_behind_us: i64,
    #[diesel(sql_type = Timestamptz)]
    now: PgTimestamp,
}

/// What is written about an agent.
struct Said<'a> {
    last: Last,
    last_report: Timestamp,
    report: Report<'a>,
    clock_behind_us: i64,
    has_waited: bool,
}

/// What is written about a run that is its agent's last one.
struct Lead {
    epoch_id: i32,
    /// Whether another run was the last one before, and this report is no sign that both runs go on.
    is_new: bool,
    is_return: bool,
    has_waited: bool,
}

/// Stores these reports, which are already in the rows of their epochs. Returns the names under which two hosts report,
/// as one of these reports shows.
pub(crate) fn report(
    connection: &mut PgConnection,
    reports: &BTreeMap<i32, Report<'_>>,
) -> Result<Vec<String>, StoreError> {
    let known = known(connection, reports)?;
    let asked = Moment::now();
    // A report counts as made now at the latest, whatever its agent's clock says.
    let now = Timestamp::now();
    let (mut said, mut leads) = (BTreeMap::<i32, Said<'_>>::new(), Vec::new());
    for it in &known {
        // When a later report of the run is known already, an earlier report says nothing.
        let Some(report) = reports.get(&it.epoch_id).filter(|report| it.report_seq == Some(report.seq)) else {
            continue;
        };
        let before = said.get(&it.agent_id);
        let last = before.map(|said| said.last).or_else(|| it.last());
        let last_report = before.map(|said| said.last_report).or(it.last_report.map(time));
        let at = report.report.at.min(now);
        let way = way(report);
        let is_later = last_report.is_none_or(|last_report| last_report <= at);
        let arrival = Arrival { run: it.run(), way, at: report.report.at, is_later };
        if !arrival.is_of_last(last) {
            continue;
        }
        let is_return = arrival.is_return(last);
        // When Kafka keeps the times of sending, a run that goes on beside another run keeps its place before that run
        // in the order of runs.
        let is_new = last.is_none_or(|last| last.id != it.epoch_id) && !(is_return && way == Delivery::AtOnce);
        let has_waited = way == Delivery::Waited;
        leads.push(Lead { epoch_id: it.epoch_id, is_new, is_return, has_waited });
        let clock_behind_us = clock_behind_us(report, it, asked);
        let last = Last { id: it.epoch_id, epoch: it.epoch, is_heard: !has_waited, began: None };
        said.insert(it.agent_id, Said { last, last_report: at, report: *report, clock_behind_us, has_waited });
    }
    let doubled = write_runs(connection, &leads)?;
    write_agents(connection, &said)?;
    Ok(doubled)
}

/// Reads the runs of these reports, in the order in which they were first heard of. Locks their agents.
fn known(connection: &mut PgConnection, reports: &BTreeMap<i32, Report<'_>>) -> Result<Vec<Known>, StoreError> {
    let epoch_ids: Vec<i32> = reports.keys().copied().collect();
    sql_query(
        "select from agents where agent_id in (select e.agent_id from epochs e where e.epoch_id = any($1))
         order by agent_id for no key update",
    )
    .bind::<Array<Integer>, _>(&epoch_ids)
    .execute(connection)
    .map_err(|error| StoreError::of(error, Statement::Lock))?;
    let known = sql_query(
        "select e.agent_id, e.epoch_id, e.epoch, e.previous, e.report_seq, a.run as last_run, l.epoch as last_epoch, a.last_report,
                l.prompt_report_at is not null as last_is_heard, e.took_over_at is not null as has_led,
                a.clock_behind_us, clock_timestamp() as now,
                -- The next two are looked for only where another run was the last one, which is rare.
                case when a.run is distinct from e.epoch_id then (
                    select min(s.at) from schedules s where s.epoch_id = a.run
                ) end as last_began,
                case when a.run is distinct from e.epoch_id then exists (
                    select from epochs n
                    where n.agent_id = e.agent_id and n.previous = e.epoch and n.previous_highest >= e.report_seq
                ) else false end as is_followed
         from epochs e join agents a using (agent_id) left join epochs l on l.epoch_id = a.run
         where e.epoch_id = any($1) order by e.epoch_id",
    )
    .bind::<Array<Integer>, _>(&epoch_ids)
    .load(connection)?;
    Ok(known)
}

/// Notes since when each run is the last one of its agent, when it was last heard, and whether it returned. Returns the
/// names of agents with a run that goes on beside another one.
fn write_runs(connection: &mut PgConnection, leads: &[Lead]) -> Result<Vec<String>, StoreError> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let names: Vec<Name> = sql_query(
        "update epochs e
         set took_over_at = case when d.is_new then now() else e.took_over_at end,
             prompt_report_at = case when d.has_waited then e.prompt_report_at else now() end,
             returns = case when not d.is_return then e.returns
                            when e.returned_at > now() - $5 * interval '1 second' then e.returns + 1 else 1 end,
             returned_at = case when d.is_return then now() else e.returned_at end
         from unnest($1, $2, $3, $4) d(epoch_id, is_new, is_return, has_waited), agents a
         where e.epoch_id = d.epoch_id and a.agent_id = e.agent_id
         returning case when d.is_return and e.returns >= 2 then a.name else '' end as name",
    )
    .bind::<Array<Integer>, _>(leads.iter().map(|lead| lead.epoch_id).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(leads.iter().map(|lead| lead.is_new).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(leads.iter().map(|lead| lead.is_return).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(leads.iter().map(|lead| lead.has_waited).collect::<Vec<_>>())
    .bind::<BigInt, _>(BESIDE.as_secs())
    .load(connection)
    .map_err(|error| StoreError::of(error, Statement::Records))?;
    Ok(names.into_iter().map(|row| row.name).filter(|name| !name.is_empty()).collect())
}

fn write_agents(connection: &mut PgConnection, said: &BTreeMap<i32, Said<'_>>) -> Result<(), StoreError> {
    let all = || said.values();
    let labels: Vec<_> = all().map(|it| json!(it.report.report.labels)).collect();
    sql_query(
        "update agents a
         set run = d.run, version = d.version, labels = d.labels, last_seen = now(), last_report = d.at,
             report = d.report, clock_behind_us = d.clock_behind_us,
             heard_at = case when d.has_waited then a.heard_at else now() end
         from unnest($1, $2, $3, $4, $5, $6, $7, $8)
              d(agent_id, run, version, labels, at, report, clock_behind_us, has_waited)
         where a.agent_id = d.agent_id",
    )
    .bind::<Array<Integer>, _>(said.keys().copied().collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(all().map(|it| it.last.id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(all().map(|it| it.report.report.version.as_str()).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(labels)
    .bind::<Array<Timestamptz>, _>(all().map(|it| pg_time(it.last_report)).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(all().map(|it| in_short(it.report.report)).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(all().map(|it| it.clock_behind_us).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(all().map(|it| it.has_waited).collect::<Vec<_>>())
    .execute(connection)
    .map_err(|error| StoreError::of(error, Statement::Records))?;
    Ok(())
}

/// Returns how far the agent's clock is behind the database's clock, in microseconds. `asked` is when the database's
/// clock was read.
fn clock_behind_us(report: &Report<'_>, known: &Known, asked: Moment) -> i64 {
    // Without the times of sending that Kafka keeps, the earlier value may be wrong by now.
    let Some(passage) = report.passage else { return 0 };
    let before = SignedDuration::from_micros(known.clock_behind_us);
    let behind = passage.clock_behind(before, time(known.now), asked);
    i64::try_from(behind.as_micros()).unwrap_or_default()
}

/// Returns how the report came here. One clock, which may be wrong, tells both when the report was made and when it was
/// sent.
fn way(report: &Report<'_>) -> Delivery {
    let Some(passage) = report.passage else { return Delivery::Unknown };
    // Kafka keeps times in milliseconds.
    let took = passage.sent.as_millisecond() - report.report.at.as_millisecond();
    match (AT_ONCE_MS.contains(&took), passage.is_prompt()) {
        (false, _) => Delivery::Waited,
        (true, false) => Delivery::Sent,
        (true, true) => Delivery::AtOnce,
    }
}

impl Known {
    fn run(&self) -> Run {
        let Known { epoch, previous, is_followed, has_led, .. } = *self;
        Run { id: self.epoch_id, epoch, previous, is_followed, has_led }
    }

    fn last(&self) -> Option<Last> {
        let (id, epoch) = self.last_run.zip(self.last_epoch)?;
        Some(Last { id, epoch, is_heard: self.last_is_heard, began: self.last_began.map(time) })
    }
}

/// Returns what people want to know of an agent's latest report, beside what has columns of its own.
fn in_short(report: &AgentReport) -> Value {
    json!({
        "outbox_bytes": report.outbox_bytes,
        "missed": report.missed,
        "clock": report.clock,
        "faults": report.configuration.faults,
    })
}
