//! What the latest reports of a batch say of their agents.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Text, Timestamptz};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wire::AgentReport;

use super::plan::Report;
use super::tables::{pg_time, time};
use super::trouble::{Statement, Trouble};
use crate::passage::Moment;

/// A report that is sent within this time is one of now, not one that waited in an outbox.
const AT_ONCE_MS: RangeInclusive<i64> = 0..=60_000;

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    clock_behind_us: i64,
    #[diesel(sql_type = Timestamptz)]
    now: PgTimestamp,
}

/// Stores them.
pub(super) fn report(connection: &mut PgConnection, reports: &BTreeMap<i32, Report<'_>>) -> Result<(), Trouble> {
    // No report is of later than now, whatever its agent's clock says: those that come after it count, too.
    let now = Timestamp::now();
    let at = |report: &Report<'_>| report.report.at.min(now);
    // Of each agent that of its last run, whose id is the highest.
    let latest: BTreeMap<&str, &Report<'_>> = reports.values().map(|report| (report.agent, report)).collect();
    let names: Vec<&str> = latest.keys().copied().collect();
    let labels: Vec<_> = latest.values().map(|report| json!(report.report.labels)).collect();
    let known: Vec<Known> = sql_query(
        "select name, clock_behind_us, clock_timestamp() as now from agents where name = any($1)
         order by agent_id for no key update",
    )
    .bind::<Array<Text>, _>(&names)
    .load(connection)
    .map_err(|error| Trouble::of(error, Statement::Lock))?;
    let known: BTreeMap<&str, &Known> = known.iter().map(|known| (known.name.as_str(), known)).collect();
    let asked = Moment::now();
    let behind = |(name, report): (&&str, &&Report<'_>)| {
        let Some(known) = known.get(name) else { return 0 };
        // Where Kafka does not keep when messages are sent, what was known before may be right no more.
        let Some(passage) = report.passage else { return 0 };
        let before = SignedDuration::from_micros(known.clock_behind_us);
        let behind = passage.clock_behind(before, time(known.now), asked);
        i64::try_from(behind.as_micros()).unwrap_or_default()
    };
    // One that was made just now counts after a clock was set back, too.
    sql_query(
        "update agents a
         set version = d.version, labels = d.labels, last_seen = now(), last_report = d.at, report = d.report,
             clock_behind_us = d.clock_behind_us
         from unnest($1, $2, $3, $4, $5, $6, $7) d(name, version, labels, at, report, clock_behind_us, is_of_now)
         where a.name = d.name
           and (d.is_of_now or a.last_report is null or a.last_report <= d.at or a.last_report > now())",
    )
    .bind::<Array<Text>, _>(&names)
    .bind::<Array<Text>, _>(latest.values().map(|report| report.report.version.as_str()).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(labels)
    .bind::<Array<Timestamptz>, _>(latest.values().map(|report| pg_time(at(report))).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(latest.values().map(|report| in_short(report.report)).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(latest.iter().map(behind).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(latest.values().map(|report| is_of_now(report)).collect::<Vec<_>>())
    .execute(connection)
    .map_err(|error| Trouble::of(error, Statement::Records))?;
    Ok(())
}

/// Whether it was made, sent and read at about the same time, whatever the time is by its agent's clock.
fn is_of_now(report: &Report<'_>) -> bool {
    // Kafka keeps milliseconds.
    let is_sent_at_once =
        |sent: Timestamp| AT_ONCE_MS.contains(&(sent.as_millisecond() - report.report.at.as_millisecond()));
    report.passage.is_some_and(|passage| passage.is_prompt() && is_sent_at_once(passage.sent))
}

/// What people want to know of an agent's latest report, beside what has columns of its own.
fn in_short(report: &AgentReport) -> Value {
    json!({
        "outbox_bytes": report.outbox_bytes,
        "missed": report.missed,
        "clock": report.clock,
        "faults": report.configuration.faults,
    })
}
