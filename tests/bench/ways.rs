//! Other ways into the table `results`, each at its best: the rows are at hand, nothing has to be decoded.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz};
use e2e::postgres::Database;

/// Makes of one list of columns: the table for diesel, a row of it, and the statement of [`unnest`].
macro_rules! columns {
    ($($name:ident ($($sql:tt)+) $rust:ty;)+) => {
        diesel::table! {
            website_monitor.results (monitor_id, checked_at, epoch_id, seq) {
                $($name -> $($sql)+,)+
            }
        }

        #[derive(Clone, Insertable, Queryable)]
        #[diesel(table_name = results, treat_none_as_default_value = false)]
        pub(crate) struct Row {
            $($name: $rust,)+
        }

        fn unnest_once(connection: &mut PgConnection, rows: &[Row]) -> QueryResult<usize> {
            let count = [$(stringify!($name)),+].len();
            let parameters: Vec<String> = (1..=count).map(|n| format!("${n}")).collect();
            let parameters = parameters.join(", ");
            let query = diesel::sql_query(format!(
                "insert into {TABLE} select * from unnest({parameters}) on conflict do nothing"
            ));
            $(let query = query.bind::<Array<$($sql)+>, _>(rows.iter().map(|row| &row.$name).collect::<Vec<_>>());)+
            query.execute(connection)
        }
    };
}

columns! {
    monitor_id (Integer) i32;
    checked_at (Timestamptz) PgTimestamp;
    epoch_id (Integer) i32;
    seq (BigInt) i64;
    outcome (Text) String;
    status_code (Nullable<SmallInt>) Option<i16>;
    reason (Nullable<Text>) Option<String>;
    response_time_us (Nullable<BigInt>) Option<i64>;
    dns_us (Nullable<BigInt>) Option<i64>;
    connect_us (Nullable<BigInt>) Option<i64>;
    tls_us (Nullable<BigInt>) Option<i64>;
    first_byte_us (Nullable<BigInt>) Option<i64>;
    body_us (Nullable<BigInt>) Option<i64>;
    attempts (SmallInt) i16;
    pattern_matched (Nullable<Bool>) Option<bool>;
    peer (Nullable<Text>) Option<String>;
    certificate_not_after (Nullable<Timestamptz>) Option<PgTimestamp>;
    error (Nullable<Text>) Option<String>;
    certificate_first_end (Nullable<Timestamptz>) Option<PgTimestamp>;
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
        unnest_once(&mut connection, rows)?;
    }
    Ok(())
}

fn psql(database: &Database, command: &str) -> Result<()> {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", command]).arg(database.url());
    ensure!(psql.status().context("psql is missing")?.success(), "psql: {command}");
    Ok(())
}
