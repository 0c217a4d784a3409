//! Alerts and their messages in the tables.
//!
//! An evaluation is one transaction under an advisory lock: it reads the facts and what is known, and writes what
//! changed together with what is to be told of it. So two collectors never tell the same, and one that dies in between
//! has told nothing.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool};
use jiff::Timestamp;
use uuid::Uuid;

use super::db::connections::Connections;
use super::db::error::{Statement, StoreError};
use crate::alerts::{Alert, Changes, Facts, Known};
use crate::config::{Alerts, Database};
use crate::store::db::time::now;
use crate::unavailable::Unavailable;

mod claims;
mod facts;
mod notifications;
mod rows;

pub use claims::{Claim, GivenUp};

/// The key of the advisory lock, with the schema's name, under which alerts are evaluated.
const LOCK: i64 = 70_316_262_737;

/// For how long alerts that are over, and messages, are kept.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Alerts and their messages.
#[derive(Clone)]
pub struct AlertStore {
    connections: Connections,
    /// By which others know who claimed a message.
    name: String,
}

/// All that fires at a moment.
#[derive(Clone, Debug)]
pub struct Firing {
    /// The moment, by the database's clock.
    pub as_of: Timestamp,
    /// Rule, subject, and how it stands; the longest first.
    pub alerts: Vec<(String, String, Alert)>,
}

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    flag: bool,
}

impl AlertStore {
    /// A store that connects when it first needs to.
    pub fn new(database: &Database) -> AlertStore {
        AlertStore::on(Connections::new(database))
    }

    pub(crate) fn on(connections: Connections) -> AlertStore {
        let name = format!("{}:{}:{}", settings::host_name(), std::process::id(), Uuid::new_v4());
        AlertStore { connections, name }
    }

    /// Lets `evaluate` make changes of the facts that the rules ask for, and writes them, unless another collector is
    /// about to; false while the tables are not there, which the store
    /// logs.
    ///
    /// # Errors
    /// Why they could not be read or written: then nothing is changed.
    pub fn evaluate(
        &self,
        config: &Alerts,
        evaluate: impl FnOnce(Facts, &Known) -> Changes,
    ) -> Result<bool, Unavailable> {
        let Ok(mut session) = self.connections.get() else { return Ok(false) };
        let outcome = evaluate_in(&mut session, config, evaluate);
        Ok(session.judge(outcome)?)
    }

    /// All that fires.
    ///
    /// # Errors
    /// Why the database can't be read.
    pub fn firing(&self) -> Result<Firing, Unavailable> {
        let mut session = self.connections.get()?;
        let outcome = now(&mut session).and_then(|as_of| Ok(Firing { as_of, alerts: rows::firing(&mut session)? }));
        Ok(session.judge(outcome)?)
    }
}

fn evaluate_in(
    connection: &mut PgConnection,
    config: &Alerts,
    evaluate: impl FnOnce(Facts, &Known) -> Changes,
) -> Result<bool, StoreError> {
    if !is_there(connection)? {
        return Ok(false);
    }
    connection.transaction(|connection| {
        let got: Flag = sql_query("select pg_try_advisory_xact_lock(hashtextextended(current_schema(), $1)) as flag")
            .bind::<BigInt, _>(LOCK)
            .get_result(connection)
            .map_err(|error| StoreError::of(error, Statement::Lock))?;
        if !got.flag {
            return Ok(true);
        }
        connection.batch_execute("set local jit = off")?;
        let facts = facts::read(connection, config)?;
        let now = facts.as_of;
        let known = rows::read(connection)?;
        let changes = evaluate(facts, &known);
        rows::write(connection, &changes)?;
        notifications::write(connection, &changes, now, config.group_wait)?;
        Ok(true)
    })
}

fn is_there(connection: &mut PgConnection) -> Result<bool, StoreError> {
    // The newest of what is needed: a table of an older collector may lack it.
    let there: Flag = sql_query(
        "select exists (
             select from pg_attribute where attrelid = to_regclass('notifications') and attname = 'address'
         ) as flag",
    )
    .get_result(connection)?;
    Ok(there.flag)
}

/// Drops what is long over.
pub(crate) fn expire(connection: &mut PgConnection) -> Result<(), StoreError> {
    if is_there(connection)? {
        for statement in [
            "delete from alerts where state = 'resolved' and told_at is null
                 and changed_at < now() - $1 * interval '1 second'
                 and (mark is null or judged_at < now() - $1 * interval '1 second')",
            "delete from notifications where created_at < now() - $1 * interval '1 second'",
        ] {
            sql_query(statement).bind::<BigInt, _>(seconds(KEPT)).execute(connection)?;
        }
    }
    Ok(())
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
