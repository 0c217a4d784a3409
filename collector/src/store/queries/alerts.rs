//! Counts the alerts, and the messages that wait.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Timestamptz};
use jiff::{SignedDuration, Timestamp};

use crate::figures::alerts::AlertCounts;
use crate::store::db::error::StoreError;
use crate::store::db::time::pg_time;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    pending: i64,
    #[diesel(sql_type = BigInt)]
    firing: i64,
    #[diesel(sql_type = BigInt)]
    suppressed: i64,
    #[diesel(sql_type = BigInt)]
    waiting: i64,
    /// The age of the oldest message that waits, in microseconds.
    #[diesel(sql_type = BigInt)]
    oldest: i64,
}

/// Reads the counts. A message that waits for other alerts to join it is not due yet, so it is not counted.
pub(crate) fn read(connection: &mut PgConnection, now: Timestamp) -> Result<AlertCounts, StoreError> {
    let row: Row = sql_query(
        "select a.*, n.*
         from (
             select count(*) filter (where state = 'pending') as pending,
                    count(*) filter (where state = 'firing' and silenced is null) as firing,
                    count(*) filter (where state = 'firing' and silenced is not null) as suppressed
             from alerts
         ) a,
         (
             select count(*) as waiting,
                    coalesce(1e6 * extract(epoch from $1 - min(created_at)), 0)::bigint as oldest
             from notifications
             where sent_at is null and given_up_at is null and (attempts > 0 or not_before <= $1)
         ) n",
    )
    .bind::<Timestamptz, _>(pg_time(now))
    .get_result(connection)?;
    let Row { pending, firing, suppressed, waiting, oldest } = row;
    Ok(AlertCounts { pending, firing, suppressed, waiting, oldest: SignedDuration::from_micros(oldest) })
}
