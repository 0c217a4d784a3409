//! Reads results as people see them, the newest first.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz};
use jiff::{SignedDuration, Timestamp};

use crate::figures::detail::ResultRow;
use crate::store::db::error::StoreError;
use crate::store::db::time::{pg_time, time};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Timestamptz)]
    checked_at: PgTimestamp,
    #[diesel(sql_type = Text)]
    agent: String,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Nullable<SmallInt>)]
    status_code: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    response_time_us: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    dns_us: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    connect_us: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    tls_us: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    first_byte_us: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    body_us: Option<i64>,
    #[diesel(sql_type = SmallInt)]
    attempts: i16,
    #[diesel(sql_type = Nullable<Text>)]
    peer: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    certificate_not_after: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    certificate_first_end: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    error: Option<String>,
}

/// How many days back results are searched, step by step. Most searches find enough in the first day, and each day is a
/// table.
const STEPS_DAYS: [i64; 4] = [1, 7, 90, 36_500];

/// Reads at most this number of results of monitors from before a moment.
pub(crate) fn read(
    connection: &mut PgConnection,
    monitors: &[i32],
    before: Timestamp,
    most: usize,
) -> Result<Vec<ResultRow>, StoreError> {
    let mut found = Vec::new();
    for days in STEPS_DAYS {
        let since = before.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MIN);
        found = within(connection, monitors, since, before, most)?;
        if found.len() >= most {
            break;
        }
    }
    Ok(found.into_iter().map(ResultRow::from).collect())
}

fn within(
    connection: &mut PgConnection,
    monitors: &[i32],
    since: Timestamp,
    before: Timestamp,
    most: usize,
) -> Result<Vec<Row>, StoreError> {
    Ok(sql_query(
        "select r.*, a.name as agent
         from (
             select l.* from unnest($1) p(monitor_id)
             cross join lateral (
                 select * from results s
                 where s.monitor_id = p.monitor_id and s.checked_at >= $2 and s.checked_at < $3
                 order by s.checked_at desc limit $4
             ) l
             order by l.checked_at desc, l.epoch_id, l.seq limit $4
         ) r
         join epochs e using (epoch_id) join agents a using (agent_id)
         order by r.checked_at desc, r.epoch_id, r.seq",
    )
    .bind::<Array<Integer>, _>(monitors)
    .bind::<Timestamptz, _>(pg_time(since))
    .bind::<Timestamptz, _>(pg_time(before))
    .bind::<BigInt, _>(i64::try_from(most).unwrap_or(i64::MAX))
    .load(connection)?)
}

impl From<Row> for ResultRow {
    fn from(row: Row) -> ResultRow {
        ResultRow {
            checked_at: time(row.checked_at),
            agent: row.agent,
            outcome: row.outcome,
            status_code: row.status_code,
            reason: row.reason,
            response_time_us: row.response_time_us,
            phases_us: [row.dns_us, row.connect_us, row.tls_us, row.first_byte_us, row.body_us],
            attempts: row.attempts,
            peer: row.peer,
            certificate_not_after: row.certificate_not_after.map(time),
            certificate_first_end: row.certificate_first_end.map(time),
            error: row.error,
        }
    }
}
