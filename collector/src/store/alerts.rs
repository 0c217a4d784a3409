//! Stores alerts and their messages in the tables.
//!
//! An evaluation is one transaction under an advisory lock. It reads the facts and the known alerts, and writes the
//! changed alerts together with the messages about them. So two collectors never create the same message, and a
//! collector that dies during an evaluation has created none.

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

/// The key of the advisory lock that is held while alerts are evaluated. The name of the schema is a part of the lock,
/// too.
const LOCK: i64 = 70_316_262_737;

/// How long messages and resolved alerts are kept.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// The alerts and their messages in the tables.
#[derive(Clone)]
pub struct AlertStore {
    connections: Connections,
    /// The name by which other collectors see which collector claimed a message.
    name: String,
}

/// All alerts that fire at one moment.
#[derive(Clone, Debug)]
pub struct Firing {
    /// The moment, by the database's clock.
    pub as_of: Timestamp,
    /// The rule, the subject and the state of each alert. The alert that has fired longest comes first.
    pub alerts: Vec<(String, String, Alert)>,
}

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    flag: bool,
}

impl AlertStore {
    /// Creates a store that connects when it first needs to.
    pub fn new(database: &Database) -> AlertStore {
        AlertStore::on(Connections::new(database))
    }

    pub(crate) fn on(connections: Connections) -> AlertStore {
        let name = format!("{}:{}:{}", settings::host_name(), std::process::id(), Uuid::new_v4());
        AlertStore { connections, name }
    }

    /// Calls `evaluate` with the known alerts and the facts that the rules ask for, and writes the changes that it
    /// returns. Does nothing while another collector evaluates. Returns false while the database or its tables are not
    /// there; the store logs this.
    ///
    /// # Errors
    /// Returns why the tables could not be read or written. In this case nothing is changed.
    pub fn evaluate(
        &self,
        config: &Alerts,
        evaluate: impl FnOnce(Facts, &Known) -> Changes,
    ) -> Result<bool, Unavailable> {
        let Ok(mut session) = self.connections.get() else { return Ok(false) };
        let outcome = evaluate_in(&mut session, config, evaluate);
        Ok(session.judge(outcome)?)
    }

    /// Returns all alerts that fire.
    ///
    /// # Errors
    /// Returns why the database can't be read.
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
    // This column is the newest part of the tables that alerts need. A table of an older collector may lack it.
    let there: Flag = sql_query(
        "select exists (
             select from pg_attribute where attrelid = to_regclass('notifications') and attname = 'address'
         ) as flag",
    )
    .get_result(connection)?;
    Ok(there.flag)
}

/// Deletes messages and resolved alerts that are older than `KEPT`. An alert whose end is still to be told stays.
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
