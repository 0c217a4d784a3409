//! Brings the schema up to date: its tables by migrations, and its functions and views by installing them again. Each
//! function and view stands once in `migrations/functions`.
//!
//! The functions are installed after the migrations, in the same transaction. So a change of a function comes with a
//! migration. An older collector finds no pending migration, so it never installs its older functions.
//!
//! Several collectors may start at once. An advisory lock lets one of them work while the others wait.

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connections::quoted;
use super::error::{StoreError, describe};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/schema");

/// The functions and views, in an order in which each one finds those that it names.
const FUNCTIONS: [&str; 7] = [
    include_str!("../../../../migrations/functions/monitors.sql"),
    include_str!("../../../../migrations/functions/partitions.sql"),
    include_str!("../../../../migrations/functions/response_times.sql"),
    include_str!("../../../../migrations/functions/blocks.sql"),
    include_str!("../../../../migrations/functions/summaries.sql"),
    include_str!("../../../../migrations/functions/outages.sql"),
    include_str!("../../../../migrations/functions/schedules.sql"),
];

/// The key of the advisory lock, which is the same for all schemas of a database. It is "website" in base 36.
const LOCK: i64 = 70_316_262_734;

#[derive(QueryableByName)]
struct Facts {
    #[diesel(sql_type = Text)]
    encoding: String,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Text)]
    database: String,
    #[diesel(sql_type = Bool)]
    has_schema: bool,
}

#[derive(QueryableByName)]
struct Access {
    #[diesel(sql_type = Text)]
    role: String,
    /// The owner of the schema, or `None` when the schema is absent.
    #[diesel(sql_type = Nullable<Text>)]
    owner: Option<String>,
    #[diesel(sql_type = Bool)]
    may_use: bool,
    #[diesel(sql_type = Bool)]
    has_tables: bool,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Creates the schema when it is absent, and runs the migrations that are pending. Returns how many these were. When no
/// migration is pending, only the right to read is needed.
pub(crate) fn migrate(connection: &mut PgConnection, schema: &str) -> Result<usize, StoreError> {
    let access = access(connection, schema)?;
    if check(connection, schema).is_ok() {
        return Ok(0);
    }
    let plain = |error| StoreError::Unavailable(describe(&error));
    connection.batch_execute("set lock_timeout = '60s'").map_err(plain)?;
    sql_query("select pg_advisory_lock($1)").bind::<BigInt, _>(LOCK).execute(connection).map_err(plain)?;
    let outcome = migrate_locked(connection, schema, access.owner.as_deref());
    sql_query("select pg_advisory_unlock($1)").bind::<BigInt, _>(LOCK).execute(connection).map_err(plain)?;
    let restore = format!("set lock_timeout = {}", super::connections::LOCK_TIMEOUT.as_millis());
    connection.batch_execute(&restore).map_err(plain)?;
    outcome
}

fn migrate_locked(connection: &mut PgConnection, schema: &str, owner: Option<&str>) -> Result<usize, StoreError> {
    let facts: Facts = sql_query(
        "select getdatabaseencoding()::text as encoding, current_user::text as role,
                current_database()::text as database,
                exists (select from pg_namespace where nspname = $1) as has_schema",
    )
    .bind::<Text, _>(schema)
    .get_result(connection)?;
    let Facts { encoding, role, database, has_schema } = facts;
    if encoding != "UTF8" {
        let text = format!("database {database} has the encoding {encoding}; create it with encoding UTF8");
        return Err(StoreError::Unavailable(text));
    }
    if !has_schema {
        connection.batch_execute(&format!("create schema if not exists {}", quoted(schema))).map_err(|error| {
            let mend = format!("grant create on database {} to {}", quoted(&database), quoted(&role));
            let text = format!("schema {schema} can't be created: {}; let the owner run: {mend}", describe(&error));
            StoreError::Unavailable(text)
        })?;
    }
    let refused = |error: String| {
        let who = owner.unwrap_or(&role);
        let text = format!(
            "tables in schema {schema} can't be made: {error}; run `migrate` as its owner {who}, or, where it is still \
             empty, let {who} run: grant usage, create on schema {} to {}",
            quoted(schema),
            quoted(&role)
        );
        StoreError::Unavailable(text.replace('\n', " "))
    };
    // Everything is done in one transaction, because a table is of no use without its functions. Only a pending
    // migration shows that the functions are to be installed.
    connection.transaction(|connection| {
        let pending = connection.run_pending_migrations(MIGRATIONS).map_err(|error| refused(error.to_string()))?;
        let run = pending.len();
        for functions in FUNCTIONS {
            connection.batch_execute(functions).map_err(|error| refused(describe(&error)))?;
        }
        Ok(run)
    })
}

/// Returns who may do what with the schema. Refuses a schema that exists and that this user may not use, because its
/// tables look absent to this user.
fn access(connection: &mut PgConnection, schema: &str) -> Result<Access, StoreError> {
    let access: Access = sql_query(
        "select current_user::text as role, pg_get_userbyid(n.nspowner)::text as owner,
                coalesce(has_schema_privilege(n.oid, 'usage'), true) as may_use,
                to_regclass('__diesel_schema_migrations') is not null as has_tables
         from (values ($1)) wanted (name) left join pg_namespace n on n.nspname = wanted.name",
    )
    .bind::<Text, _>(schema)
    .get_result(connection)?;
    match (&access.owner, access.may_use) {
        (Some(owner), false) => {
            let (role, mend) = (&access.role, format!("grant usage on schema {}", quoted(schema)));
            Err(StoreError::Unavailable(format!(
                "schema {schema} belongs to {owner}, and user {role} may not use it (permission denied); set \
                 database.user to {owner}, or let {owner} run: {mend} to {} (and grant rights on its tables)",
                quoted(role)
            )))
        }
        _ => Ok(access),
    }
}

/// Refuses a schema that lacks what this collector needs. This only reads, so every user who may read the tables may
/// call it.
pub(crate) fn check(connection: &mut PgConnection, schema: &str) -> Result<(), StoreError> {
    let absent = |problem: &str| {
        let text = format!("the tables in schema {schema} are {problem}; run: website-monitor-collector migrate");
        StoreError::Unavailable(text)
    };
    let access = access(connection, schema)?;
    if !access.has_tables {
        return Err(absent("not there"));
    }
    let run: Vec<Version> = sql_query("select version::text as version from __diesel_schema_migrations")
        .load(connection)
        .map_err(|error| {
            let mend = format!("grant select on all tables in schema {} to {}", quoted(schema), quoted(&access.role));
            StoreError::Unavailable(format!("{}; let the owner run: {mend}", describe(&error)))
        })?;
    let known: Vec<Box<dyn Migration<Pg>>> =
        MIGRATIONS.migrations().map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let is_run = |version: &str| run.iter().any(|run| run.version == version);
    match known.iter().all(|migration| is_run(&migration.name().version().to_string())) {
        true => Ok(()),
        false => Err(absent("not up to date")),
    }
}
