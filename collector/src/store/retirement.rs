//! Retires agents that are gone for good, as a person says. The readers of the row that is written here derive from it
//! that nothing is due from the agent any more, and that the retirement ends with the agent's next report. Nothing is
//! done about a retirement while results are stored.

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

/// The outcome of retiring an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// The agent is retired, and nothing is due from it since this time.
    Since(Timestamp),
    /// There is no agent with this name. The names are those of the known agents.
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

/// Says that an agent is gone since `since`, or since it was last seen when no time is given. For an agent that is
/// retired already, the time is changed only when one is given.
///
/// # Errors
/// Returns why the database can't be read or written.
pub fn retire(database: &Database, name: &str, since: Option<Timestamp>) -> Result<Retirement, Unavailable> {
    let mut session = Connections::new(database).get_for_command()?;
    migrate::check(&mut session, &database.schema)?;
    let connection: &mut PgConnection = &mut session;
    let outcome = connection.transaction(|connection| retire_in(connection, name, since));
    Ok(session.judge(outcome)?)
}

fn retire_in(connection: &mut PgConnection, name: &str, since: Option<Timestamp>) -> Result<Retirement, StoreError> {
    // The agent is locked, so that two commands that retire it at once do not write two rows.
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
