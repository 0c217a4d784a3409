//! Finds out whether an error means that a right is missing. The server's message is in its own language, and diesel
//! hands out no SQLSTATE. So the server is asked whether the collector lacks a right that it needs on a table or
//! function that the error's text names.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Bool, Text};

use super::error::StoreError;

/// The rights that a collector needs on its tables, as "A role of few rights" in docs/collector.md grants them.
const NEEDED: [(&str, &[&str]); 20] = [
    ("agents", &["select", "insert", "update"]),
    ("epochs", &["select", "insert", "update"]),
    ("positions", &["select", "insert", "update"]),
    ("identity", &["select"]),
    ("retirements", &["select", "insert", "update"]),
    ("monitors", &["select", "insert"]),
    ("results", &["select", "insert"]),
    ("rollup_due", &["select", "insert", "delete"]),
    ("schedules", &["select", "insert", "delete"]),
    ("rejected", &["select", "insert", "delete"]),
    ("hourly", &["select", "insert", "update", "delete"]),
    ("daily", &["select", "insert", "update", "delete"]),
    ("dropped_days", &["select", "update"]),
    ("dropped_hourly", &["select", "insert", "delete"]),
    ("summary_blocks", &["select", "insert", "update", "delete"]),
    ("alerts", &["select", "insert", "update", "delete"]),
    ("notifications", &["select", "insert", "update", "delete"]),
    ("daily_due", &["select", "insert", "delete"]),
    ("late_arrivals", &["select", "insert", "delete"]),
    ("__diesel_schema_migrations", &["select"]),
];

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    lacks: bool,
}

/// Returns the error, or an error which says that a right is missing. In that case the database has to be repaired, and
/// neither records nor locks are at fault.
pub(crate) fn explain(connection: &mut PgConnection, error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(text) | StoreError::Locked(text) | StoreError::Refused(text)
            if lacks(connection, &text) =>
        {
            StoreError::Unavailable(format!(
                "{text}; database.user lacks a right: let the owner of the tables grant it, see \"A role of few rights\" \
                 in docs/collector.md"
            ))
        }
        error => error,
    }
}

fn lacks(connection: &mut PgConnection, text: &str) -> bool {
    let needed = || NEEDED.iter().flat_map(|(table, rights)| rights.iter().map(|right| (*table, *right)));
    let answer: QueryResult<Answer> = sql_query(
        "select exists (
                    select from unnest($1, $2) needed (name, privilege)
                    where position(name in $3) > 0 and not has_table_privilege(to_regclass(name), privilege)
                )
                or position('make_results_partition' in $3) > 0
                   and not has_function_privilege(to_regprocedure('make_results_partition(date)'), 'execute') as lacks",
    )
    .bind::<Array<Text>, _>(needed().map(|(table, _)| table).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(needed().map(|(_, right)| right).collect::<Vec<_>>())
    .bind::<Text, _>(text)
    .get_result(connection);
    // When the query gets no answer because the database is away, the original error already says so.
    answer.is_ok_and(|answer| answer.lacks)
}
