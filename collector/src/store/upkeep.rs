//! Does the work beside storing batches: it makes partitions for the days ahead, and deletes what is past its
//! retention.

mod expiry;

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use jiff::Timestamp;

use super::alerts;
use super::db::connections::{Connections, Session};
use super::db::error::StoreError;
use super::db::migrate;
use super::ingest::batch_plan::day;
use super::ingest::rows::late;
use super::partitions::Partitions;
use super::rollup;
use super::rollup::Rival;
use crate::config::Retention;
use crate::unavailable::Unavailable;

/// The number of days ahead that have their partition.
const DAYS_AHEAD: i64 = 3;

/// Makes new partitions, and deletes old data.
pub struct Upkeep {
    connections: Connections,
    schema: String,
    retention: Retention,
}

impl Upkeep {
    /// How often upkeep is due.
    pub const INTERVAL: Duration = Duration::from_secs(600);

    pub(crate) fn new(connections: Connections, schema: String, retention: Retention) -> Upkeep {
        Upkeep { connections, schema, retention }
    }

    /// Does the upkeep that is due. Returns false while the database or its tables are not there; the store logs this.
    ///
    /// # Errors
    /// Returns why it could not. The upkeep is to be tried again later.
    pub fn run(&self) -> Result<bool, Unavailable> {
        let Ok(mut session) = self.connections.get() else { return Ok(false) };
        // Another collector may be making the tables at this moment.
        if migrate::check(&mut session, &self.schema).is_err() {
            return Ok(false);
        }
        let outcome = self.look_after(&mut session);
        session.judge(outcome)?;
        Ok(true)
    }

    /// Does the upkeep once, for a command. Also tells why there are no tables to do it for.
    ///
    /// # Errors
    /// Returns why it could not.
    pub fn run_or_tell(&self) -> Result<(), Unavailable> {
        let mut session = self.connections.get()?;
        migrate::check(&mut session, &self.schema)?;
        Ok(self.look_after(&mut session)?)
    }

    fn look_after(&self, connection: &mut Session) -> Result<(), StoreError> {
        let today = day(Timestamp::now());
        Partitions::default().ensure(connection, &(today..=today + DAYS_AHEAD).collect())?;
        // All results are summed up before their partition is dropped.
        sum_up(connection)?;
        expiry::expire(connection, today - self.retention.results_days, sum_up)?;
        late::gather(connection)?;
        let summaries = [("hourly", "hour"), ("dropped_hourly", "hour"), ("daily", "day"), ("late_arrivals", "hour")];
        for (table, time) in summaries {
            sql_query(format!("delete from {table} where {time} < now() - $1 * interval '1 second'"))
                .bind::<BigInt, _>(seconds(self.retention.hourly))
                .execute(&mut **connection)?;
        }
        // The latest schedule of each agent stays, because it still holds.
        sql_query(
            "delete from schedules s using epochs e
             where e.epoch_id = s.epoch_id and s.at < now() - $1 * interval '1 second'
               and exists (
                   select from schedules later join epochs o on o.epoch_id = later.epoch_id
                   where o.agent_id = e.agent_id and later.epoch_id <> s.epoch_id and later.at > s.at
                     and later.at < now() - $1 * interval '1 second'
               )",
        )
        .bind::<BigInt, _>(seconds(self.retention.hourly))
        .execute(&mut **connection)?;
        sql_query("delete from rejected where received_at < now() - $1 * interval '1 second'")
            .bind::<BigInt, _>(seconds(self.retention.rejected))
            .execute(&mut **connection)?;
        alerts::expire(connection)?;
        // This comes last, because the rights on this newer table may not be granted yet.
        rollup::blocks::expire(connection)
    }
}

/// Makes all summaries of hours that are due and over.
fn sum_up(connection: &mut PgConnection) -> Result<(), StoreError> {
    while rollup::step(connection, Rival::Await)? {}
    Ok(())
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
