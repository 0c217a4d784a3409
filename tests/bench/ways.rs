//! Other ways into the table `results`, each at its best: the rows are at hand, nothing has to be decoded.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz};
use e2e::postgres::Database;

diesel::table! {
    website_monitor.results (monitor_id, checked_at, epoch_id, seq) {
        monitor_id -> Integer,
        checked_at -> Timestamptz,
        epoch_id -> Integer,
        seq -> BigInt,
        outcome -> Text,
        status_code -> Nullable<SmallInt>,
        reason -> Nullable<Text>,
        response_time_us -> Nullable<BigInt>,
        dns_us -> Nullable<BigInt>,
        connect_us -> Nullable<BigInt>,
        tls_us -> Nullable<BigInt>,
        first_byte_us -> Nullable<BigInt>,
        body_us -> Nullable<BigInt>,
        attempts -> SmallInt,
        pattern_matched -> Nullable<Bool>,
        peer -> Nullable<Text>,
        certificate_not_after -> Nullable<Timestamptz>,
        error -> Nullable<Text>,
        certificate_first_end -> Nullable<Timestamptz>,
    }
}

#[derive(Clone, Insertable, Queryable)]
#[diesel(table_name = results, treat_none_as_default_value = false)]
pub(crate) struct Row {
    monitor_id: i32,
    checked_at: PgTimestamp,
    epoch_id: i32,
    seq: i64,
    outcome: String,
    status_code: Option<i16>,
    reason: Option<String>,
    response_time_us: Option<i64>,
    dns_us: Option<i64>,
    connect_us: Option<i64>,
    tls_us: Option<i64>,
    first_byte_us: Option<i64>,
    body_us: Option<i64>,
    attempts: i16,
    pattern_matched: Option<bool>,
    peer: Option<String>,
    certificate_not_after: Option<PgTimestamp>,
    error: Option<String>,
    certificate_first_end: Option<PgTimestamp>,
}

const TABLE: &str = "website_monitor.results";
/// Of one `insert`: PostgreSQL takes 65,535 parameters.
const INSERTED: usize = 3_400;
/// Of one `unnest`, as many as in a batch of the collector.
const UNNESTED: usize = 10_000;

pub(crate) fn empty(database: &Database) -> Result<()> {
    database.execute(&format!("truncate {TABLE}; checkpoint"))
}

/// All rows in the order of their checks, for [`copy`].
pub(crate) fn export(database: &Database, file: &Path) -> Result<()> {
    let path = file.display();
    psql(database, &format!("\\copy (select * from {TABLE} order by checked_at) to '{path}' (format binary)"))
}

/// The same, for the other two.
pub(crate) fn rows(database: &Database) -> Result<Vec<Row>> {
    Ok(results::table.order(results::checked_at).load(&mut PgConnection::establish(&database.url())?)?)
}

/// One binary COPY of all of them, in one transaction.
pub(crate) fn copy(database: &Database, file: &Path, table: &str) -> Result<()> {
    psql(database, &format!("\\copy {table} from '{}' (format binary)", file.display()))
}

/// A table of the same columns without an index.
pub(crate) fn make_bare(database: &Database) -> Result<&'static str> {
    database.execute(&format!("drop table if exists bare; create table bare (like {TABLE}); checkpoint"))?;
    Ok("bare")
}

/// `insert … values (…), (…), … on conflict do nothing`, as one writes it with diesel.
pub(crate) fn insert(database: &Database, rows: &[Row]) -> Result<()> {
    let mut connection = PgConnection::establish(&database.url())?;
    for rows in rows.chunks(INSERTED) {
        diesel::insert_into(results::table).values(rows.to_vec()).on_conflict_do_nothing().execute(&mut connection)?;
    }
    Ok(())
}

/// `insert … select from unnest(…) on conflict do nothing`: one parameter a column.
pub(crate) fn unnest(database: &Database, rows: &[Row]) -> Result<()> {
    let mut connection = PgConnection::establish(&database.url())?;
    for rows in rows.chunks(UNNESTED) {
        macro_rules! column {
            ($name:ident) => {
                rows.iter().map(|row| &row.$name).collect::<Vec<_>>()
            };
        }
        diesel::sql_query(format!(
            "insert into {TABLE}
             select * from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
             on conflict do nothing"
        ))
        .bind::<Array<Integer>, _>(column!(monitor_id))
        .bind::<Array<Timestamptz>, _>(column!(checked_at))
        .bind::<Array<Integer>, _>(column!(epoch_id))
        .bind::<Array<BigInt>, _>(column!(seq))
        .bind::<Array<Text>, _>(column!(outcome))
        .bind::<Array<Nullable<SmallInt>>, _>(column!(status_code))
        .bind::<Array<Nullable<Text>>, _>(column!(reason))
        .bind::<Array<Nullable<BigInt>>, _>(column!(response_time_us))
        .bind::<Array<Nullable<BigInt>>, _>(column!(dns_us))
        .bind::<Array<Nullable<BigInt>>, _>(column!(connect_us))
        .bind::<Array<Nullable<BigInt>>, _>(column!(tls_us))
        .bind::<Array<Nullable<BigInt>>, _>(column!(first_byte_us))
        .bind::<Array<Nullable<BigInt>>, _>(column!(body_us))
        .bind::<Array<SmallInt>, _>(column!(attempts))
        .bind::<Array<Nullable<Bool>>, _>(column!(pattern_matched))
        .bind::<Array<Nullable<Text>>, _>(column!(peer))
        .bind::<Array<Nullable<Timestamptz>>, _>(column!(certificate_not_after))
        .bind::<Array<Nullable<Text>>, _>(column!(error))
        .bind::<Array<Nullable<Timestamptz>>, _>(column!(certificate_first_end))
        .execute(&mut connection)?;
    }
    Ok(())
}

fn psql(database: &Database, command: &str) -> Result<()> {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", command]).arg(database.url());
    ensure!(psql.status().context("psql is missing")?.success(), "psql: {command}");
    Ok(())
}
