//! Runs the transaction of a batch. The order of its steps makes it correct:
//!
//! 0. *Lock* the positions of the partitions, and compare them: a database that is not where it was left gets nothing.
//! 1. *Lock* the epochs, in the order of their ids. A rival waits here, before it has written anything, and two rivals
//!    never wait for each other. *Prove* that the ids of the epochs and of the monitors mean in this database what the
//!    cache says. If they do not, the database is not the one that was cached: roll back, and read again.
//! 2. *Account*: each epoch takes the new numbers only when it has none of them. If one of them has some already, the
//!    cache was stale: roll back, read, filter, repeat. The ledger comes before the rows, so a conflict shows before
//!    anything is written.
//! 3. *Store* the rows, sorted by their index, by binary COPY.
//! 4. *Mark* the hours that have new rows, and count those that came late.
//! 5. *Advance* the positions.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{
    Array, BigInt, Binary, Bool, Integer, Multirange, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use jiff::Timestamp;
use uuid::Uuid;

use super::batch_plan::{BatchPlan, Report, number};
use super::dirty_hours;
use super::positions::HeldPositions;
use super::rows::results::{ResultRow, Row, results};
use super::rows::{agents, copy, late, schedules};
use crate::position::Positions;
use crate::ranges::Ranges;
use crate::store::db::error::{Statement, StoreError};
use crate::store::db::multirange::{SqlRanges, to_sql};
use crate::store::db::time::pg_time;

/// How the rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteMode {
    /// The rows are written by COPY, which fails where a row is there already.
    Copy,
    /// The rows are inserted, and those that are there already are left. This is for a ledger that was restored from an
    /// older backup.
    Upsert,
}

/// The number of rows of one `insert` in the slower mode. PostgreSQL takes at most 65,535 parameters.
const UPSERT_ROWS: usize = 2_000;

/// What a transaction writes.
pub(crate) struct Content<'a> {
    pub(crate) plan: &'a BatchPlan<'a>,
    /// The rows, sorted by their index.
    pub(crate) rows: &'a [Row<'a>],
    /// The hashes of the monitors that the rows name.
    pub(crate) monitors: BTreeMap<i32, Uuid>,
    /// The positions at which the database has to be, and those at which it will be.
    pub(crate) positions: (&'a HeldPositions, &'a Positions),
}

/// Writes all of the content or nothing. Returns the names of agents under which two hosts report, as one of the
/// reports shows.
pub(crate) fn run(
    connection: &mut PgConnection,
    content: &Content<'_>,
    mode: WriteMode,
) -> Result<Vec<String>, StoreError> {
    let Content { plan, rows, monitors, positions: (held, next) } = content;
    let now = Timestamp::now();
    let (due, late) = (dirty_hours::of(rows, now), late::late(rows, now));
    connection.transaction(|connection| {
        held.lock(connection)?;
        if lock(connection, &plan.epochs.keys().copied().collect::<Vec<_>>())? != plan.epochs {
            return Err(StoreError::Stale);
        }
        prove(connection, monitors)?;
        account(connection, plan)?;
        declare(connection, &plan.dropped)?;
        claim(connection, &plan.claims)?;
        let doubled = report(connection, plan)?;
        schedules::store(connection, &plan.schedules)?;
        match mode {
            WriteMode::Copy => copy::copy(connection, rows)?,
            WriteMode::Upsert => upsert(connection, rows)?,
        }
        set_aside(connection, plan)?;
        late::store(connection, &late)?;
        dirty_hours::store(connection, &due)?;
        held.advance(connection, next)?;
        Ok(doubled)
    })
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Integer)]
    epoch_id: i32,
    #[diesel(sql_type = SqlUuid)]
    epoch: Uuid,
}

/// Locks epochs against other writers, in an order that all writers keep. Returns the epochs that were locked.
pub(crate) fn lock(connection: &mut PgConnection, epoch_ids: &[i32]) -> Result<BTreeMap<i32, Uuid>, StoreError> {
    let locked: Vec<Locked> =
        sql_query("select epoch_id, epoch from epochs where epoch_id = any($1) order by epoch_id for no key update")
            .bind::<Array<Integer>, _>(epoch_ids)
            .load(connection)
            .map_err(|error| StoreError::of(error, Statement::Lock))?;
    Ok(locked.into_iter().map(|row| (row.epoch_id, row.epoch)).collect())
}

/// Proves that monitors have these ids, by the hashes of their definitions.
fn prove(connection: &mut PgConnection, monitors: &BTreeMap<i32, Uuid>) -> Result<(), StoreError> {
    let proven = sql_query(
        "select from unnest($1, $2) d(monitor_id, hash) join monitors m on (m.monitor_id, m.hash) = (d.monitor_id, d.hash)",
    )
    .bind::<Array<Integer>, _>(monitors.keys().copied().collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(monitors.values().copied().collect::<Vec<_>>())
    .execute(connection)?;
    if proven == monitors.len() { Ok(()) } else { Err(StoreError::Stale) }
}

fn account(connection: &mut PgConnection, plan: &BatchPlan<'_>) -> Result<(), StoreError> {
    if plan.deltas.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&super::ledger_cache::LedgerDelta) -> &Ranges| -> Vec<SqlRanges> {
        plan.deltas.values().map(|delta| to_sql(of(delta))).collect()
    };
    let answered = sql_query(
        "update epochs e
         set accounted = e.accounted + d.accounted, rejected = e.rejected + d.rejected, notices = e.notices + d.notices
         from unnest($1, $2, $3, $4) d(epoch_id, accounted, rejected, notices)
         where e.epoch_id = d.epoch_id and not e.accounted && d.accounted",
    )
    .bind::<Array<Integer>, _>(plan.deltas.keys().copied().collect::<Vec<_>>())
    .bind::<Array<Multirange<BigInt>>, _>(column(|delta| &delta.accounted))
    .bind::<Array<Multirange<BigInt>>, _>(column(|delta| &delta.rejected))
    .bind::<Array<Multirange<BigInt>>, _>(column(|delta| &delta.notices))
    .execute(connection)?;
    if answered == plan.deltas.len() { Ok(()) } else { Err(StoreError::Stale) }
}

fn declare(connection: &mut PgConnection, dropped: &BTreeMap<i32, Ranges>) -> Result<(), StoreError> {
    if dropped.is_empty() {
        return Ok(());
    }
    sql_query(
        "update epochs e set dropped = e.dropped + d.dropped
         from unnest($1, $2) d(epoch_id, dropped) where e.epoch_id = d.epoch_id",
    )
    .bind::<Array<Integer>, _>(dropped.keys().copied().collect::<Vec<_>>())
    .bind::<Array<Multirange<BigInt>>, _>(dropped.values().map(to_sql).collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}

fn claim(connection: &mut PgConnection, claims: &BTreeMap<i32, i64>) -> Result<(), StoreError> {
    if claims.is_empty() {
        return Ok(());
    }
    sql_query(
        "update epochs e set claimed = d.claimed
         from unnest($1, $2) d(epoch_id, claimed) where e.epoch_id = d.epoch_id and e.claimed < d.claimed",
    )
    .bind::<Array<Integer>, _>(claims.keys().copied().collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(claims.values().copied().collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}

fn report(connection: &mut PgConnection, plan: &BatchPlan<'_>) -> Result<Vec<String>, StoreError> {
    let BatchPlan { reports, first_places, .. } = plan;
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    let of_records = |error| StoreError::of(error, Statement::Records);
    let all = || reports.values();
    let previous = || all().map(|report| report.report.previous.as_ref());
    let oldest = || all().map(|report| report.report.oldest_pending.as_ref());
    sql_query(
        "update epochs e
         set report_seq = d.seq, reported_at = least(d.at, now()), pending = d.pending,
             oldest_epoch = d.oldest_epoch, oldest_seq = d.oldest_seq,
             previous = coalesce(d.previous, e.previous),
             previous_highest = coalesce(d.previous_highest, e.previous_highest),
             ended_at = case when d.is_stop then least(d.at, now()) end,
             first_heard_at = coalesce(e.first_heard_at, now() + d.first_place * interval '1 microsecond'),
             heard_at = now() + d.place * interval '1 microsecond'
         from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
              d(epoch_id, seq, at, pending, oldest_epoch, oldest_seq, previous, previous_highest, is_stop, first_place, place)
         where e.epoch_id = d.epoch_id and (e.report_seq is null or e.report_seq < d.seq)",
    )
    .bind::<Array<Integer>, _>(reports.keys().copied().collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(all().map(|report| report.seq).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(all().map(|report| pg_time(report.report.at)).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(all().map(|report| number(report.report.pending)).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(oldest().map(|oldest| oldest.map(|oldest| oldest.epoch)).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(oldest().map(|oldest| oldest.map(|it| number(it.seq))).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(previous().map(|previous| previous.map(|it| it.epoch)).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(
        previous().map(|previous| previous.map(|it| number(it.highest_seq))).collect::<Vec<_>>(),
    )
    .bind::<Array<Bool>, _>(all().map(Report::is_stop).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(first_places.values().copied().collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(all().map(|report| report.place).collect::<Vec<_>>())
    .execute(connection)
    .map_err(of_records)?;
    agents::report(connection, reports)
}

fn upsert(connection: &mut PgConnection, rows: &[Row<'_>]) -> Result<(), StoreError> {
    for rows in rows.chunks(UPSERT_ROWS) {
        diesel::insert_into(results::table)
            .values(rows.iter().map(ResultRow::new).collect::<Vec<_>>())
            .on_conflict_do_nothing()
            .execute(connection)
            .map_err(|error| StoreError::of(error, Statement::Rows))?;
    }
    Ok(())
}

fn set_aside(connection: &mut PgConnection, plan: &BatchPlan<'_>) -> Result<(), StoreError> {
    if plan.rejects.is_empty() {
        return Ok(());
    }
    let rejects = &plan.rejects;
    sql_query(
        r#"insert into rejected (topic, partition, "offset", reason, detail, key, value)
           select * from unnest($1, $2, $3, $4, $5, $6, $7) d order by 1, 2, 3 on conflict do nothing"#,
    )
    .bind::<Array<Text>, _>(rejects.iter().map(|reject| reject.message.topic).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(rejects.iter().map(|reject| reject.message.partition).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rejects.iter().map(|reject| reject.message.offset).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rejects.iter().map(|reject| reject.reason).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rejects.iter().map(|reject| reject.detail.replace('\0', "\u{fffd}")).collect::<Vec<_>>())
    .bind::<Array<Nullable<Binary>>, _>(rejects.iter().map(|reject| reject.message.key).collect::<Vec<_>>())
    .bind::<Array<Nullable<Binary>>, _>(rejects.iter().map(|reject| reject.message.value).collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}
