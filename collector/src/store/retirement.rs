//! Agents that are gone for good, as somebody says. That nothing is due from one any more, and that it ends with its next
//! report, follows from what is written here when it is read: nothing is done about it as results are stored.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Integer, Nullable, Text, Timestamptz};
use jiff::Timestamp;

use super::db::connections::Connections;
use super::db::error::{Statement, StoreError};
use super::db::migrate;
use crate::config::Database;
use crate::store::db::time::{pg_time, time};
use crate::unavailable::Unavailable;

/// What became of the word that an agent is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// Nothing is due from it since then.
    Since(Timestamp),
    /// There is no such agent; these are known.
    Unknown(Vec<String>),
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Integer)]
    agent_id: i32,
}

#[derive(QueryableByName)]
struct Since {
    #[diesel(sql_type = Timestamptz)]
    since: PgTimestamp,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Says that an agent is gone since a time, else since it was last seen. Of one that is gone already that time is
/// changed, if one is given.
///
/// # Errors
/// Why the database can't be read or written.
pub fn retire(database: &Database, name: &str, since: Option<Timestamp>) -> Result<Retirement, Unavailable> {
    let mut session = Connections::new(database).get_for_command()?;
    migrate::check(&mut session, &database.schema)?;
    let connection: &mut PgConnection = &mut session;
    let outcome = connection.transaction(|connection| retire_in(connection, name, since));
    Ok(session.judge(outcome)?)
}

fn retire_in(connection: &mut PgConnection, name: &str, since: Option<Timestamp>) -> Result<Retirement, StoreError> {
    // Locked, so that two who say it at once don't say it twice.
    let known: Option<Known> = sql_query("select agent_id from agents where name = $1 for no key update")
        .bind::<Text, _>(name)
        .get_result(connection)
        .optional()
        .map_err(|error| StoreError::of(error, Statement::Lock))?;
    let Some(Known { agent_id }) = known else {
        let names: Vec<Name> = sql_query("select name from agents").load(connection)?;
        return Ok(Retirement::Unknown(names.into_iter().map(|row| row.name).collect()));
    };
    let again: Option<Since> = sql_query(
        "update retirements r set since = coalesce($2, r.since), said_at = now()
         from retired_agents() g
         where r.agent_id = $1 and g.agent_id = $1
           and r.said_at = (select max(l.said_at) from retirements l where l.agent_id = $1)
         returning r.since",
    )
    .bind::<Integer, _>(agent_id)
    .bind::<Nullable<Timestamptz>, _>(since.map(pg_time))
    .get_result(connection)
    .optional()?;
    let row = match again {
        Some(row) => row,
        None => sql_query(
            "insert into retirements (agent_id, since)
             select a.agent_id, coalesce($2, a.last_seen, now()) from agents a where a.agent_id = $1
             returning since",
        )
        .bind::<Integer, _>(agent_id)
        .bind::<Nullable<Timestamptz>, _>(since.map(pg_time))
        .get_result(connection)?,
    };
    Ok(Retirement::Since(time(row.since)))
}
