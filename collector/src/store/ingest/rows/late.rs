//! Counts results that arrive long after their checks, by the hour of the checks. A reader of the history sees which
//! hours were corrected, and when.

use std::collections::BTreeMap;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Timestamptz};
use jiff::{SignedDuration, Timestamp};

use super::results::Row;
use crate::store::db::error::StoreError;
use crate::store::db::time::{hour, pg_time};

/// A result that is stored this long after its check counts as late.
const LATE: SignedDuration = SignedDuration::from_mins(10);

/// The numbers of late results by hour and epoch.
pub(crate) type Late = BTreeMap<(i64, i32), i64>;

/// Returns the counts of those rows that come late now.
pub(crate) fn late(rows: &[Row<'_>], now: Timestamp) -> Late {
    let punctual = pg_time(now.saturating_sub(LATE).unwrap_or(now));
    let mut late = Late::new();
    for row in rows.iter().filter(|row| row.checked_at.0 < punctual.0) {
        *late.entry((hour(row.checked_at).0, row.epoch_id)).or_default() += 1;
    }
    late
}

/// The counts of an hour are merged when it has more than this number beyond one count of each agent. An agent that
/// drains a backlog makes a count in each batch.
const MANY_COUNTS: i64 = 100;

/// Merges the counts of an hour, so that each agent has one. When two collectors do this at once, the second one finds
/// nothing to do.
pub(crate) fn gather(connection: &mut PgConnection) -> Result<(), StoreError> {
    sql_query(
        "with gone as (
             delete from late_arrivals
             where hour in (
                 select hour from late_arrivals group by hour having count(*) - count(distinct agent_id) > $1
             )
             returning hour, agent_id, results, received_at
         )
         insert into late_arrivals (hour, agent_id, results, received_at)
         select hour, agent_id, sum(results), max(received_at) from gone group by 1, 2",
    )
    .bind::<BigInt, _>(MANY_COUNTS)
    .execute(connection)?;
    Ok(())
}

/// Stores these counts, with the time of the transaction.
pub(crate) fn store(connection: &mut PgConnection, late: &Late) -> Result<(), StoreError> {
    if late.is_empty() {
        return Ok(());
    }
    sql_query(
        "insert into late_arrivals (hour, agent_id, results)
         select d.hour, e.agent_id, sum(d.results)
         from unnest($1, $2, $3) d(hour, epoch_id, results) join epochs e using (epoch_id)
         group by 1, 2",
    )
    .bind::<Array<Timestamptz>, _>(late.keys().map(|(hour, _)| PgTimestamp(*hour)).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(late.keys().map(|(_, epoch_id)| *epoch_id).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(late.values().copied().collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}
