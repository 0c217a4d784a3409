//! Whether an error is for want of a right. The server says so in its own language, and diesel hands out no SQLSTATE; so
//! the server is asked whether there are rights that a collector needs and lacks on what the error's text names.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Bool, Text};

use super::error::StoreError;

/// What a collector does with its tables, as "A role of few rights" in docs/collector.md grants it.
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

/// The trouble, or that a right is missing: then the database has to be repaired, and neither records nor locks are at
/// fault.
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
    // Whether there is no answer because there is no database is told by the trouble itself.
    answer.is_ok_and(|answer| answer.lacks)
}
