//! Summaries by the hour, and of those by the day: recomputed from the results, never incremented.
//!
//! A batch marks its hours in `rollup_due` in the transaction that writes its rows, so a mark and its rows become
//! visible together. A step here takes the marks that it sees of one hour away and makes the hour of those monitors
//! afresh, in one transaction: the rows of every mark that it took are in what it reads, and a mark that it did not
//! see stays. So late data rewrites history by itself, and a step that dies leaves everything as it was.
//!
//! What of it the status pages show is packed into blocks, which the tables take away again with the first change.
//!
//! Results only go with their partition, past the retention. What comes for such a day later is added to what its
//! summaries were then ([`dropped`]). A summary therefore never shrinks: one that would is of results that are gone in
//! another way, and the old one stays.

pub(crate) mod blocks;
mod days;
pub(crate) mod dropped;
mod running;

use std::ops::Bound;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Integer, Multirange, Nullable, Timestamptz};
use wire::Outcome;

use super::db::connections::Connections;
use super::db::error::{Statement, StoreError};
use crate::unavailable::Unavailable;

/// The key of the advisory lock, with the schema's name, under which summaries are made.
const LOCK: i64 = 70_316_262_736;

/// This many marks of an hour that is not over are made one, so that readers have few to look at.
const MANY_MARKS: i64 = 100;

/// Makes summaries of the hours that are over.
pub struct Rollup {
    connections: Connections,
}

/// What to do when another collector makes summaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    /// Leave it to that one.
    Yield,
    /// Wait for it.
    Await,
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    hour: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Multirange<Integer>>)]
    monitors: Option<Vec<(Bound<i32>, Bound<i32>)>>,
}

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    flag: bool,
}

impl Rollup {
    /// How often it is due.
    pub const INTERVAL: Duration = Duration::from_secs(10);

    pub(crate) fn new(connections: Connections) -> Rollup {
        Rollup { connections }
    }

    /// Does what is due. Returns false while the database or its tables are not there, which the store logs.
    ///
    /// # Errors
    /// Why it could not; it is to be tried again later.
    pub fn run(&self) -> Result<bool, Unavailable> {
        let Ok(mut session) = self.connections.get() else { return Ok(false) };
        let outcome = run_in(&mut session);
        Ok(session.judge(outcome)?)
    }
}

fn run_in(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let there: Flag = sql_query("select to_regclass('summary_blocks') is not null as flag").get_result(connection)?;
    if there.flag {
        while step(connection, Rival::Yield)? {}
        while days::step(connection, Rival::Yield)? {}
        // From here on with blocks, on which rights may not be given yet.
        gather_marks(connection)?;
        while blocks::step(connection)? {}
        while running::step(connection)? {}
    }
    Ok(there.flag)
}

/// Makes the oldest hour that is due and over; whether there was one to be made here.
pub(crate) fn step(connection: &mut PgConnection, rival: Rival) -> Result<bool, StoreError> {
    connection.transaction(|connection| {
        if !lock(connection, rival)? {
            return Ok(false);
        }
        // A just-in-time compiler makes this several times slower, and so does reading a day for an hour.
        connection.batch_execute("set local jit = off; set local enable_seqscan = off")?;
        let due: Due = sql_query(
            "with gone as (
                 delete from rollup_due
                 where hour = (select min(hour) from rollup_due where hour <= now() - interval '61 minutes')
                 returning hour, monitors
             )
             select min(g.hour) as hour, range_agg(m.monitors) as monitors
             from gone g left join lateral unnest(g.monitors) m(monitors) on true",
        )
        .get_result(connection)?;
        let Some(hour) = due.hour else { return Ok(false) };
        let monitors = due.monitors.unwrap_or_default();
        let rows = sql_query(recompute(dropped::is_noted(connection, hour)?))
            .bind::<Timestamptz, _>(hour)
            .bind::<Multirange<Integer>, _>(&monitors)
            .execute(connection)?;
        log::debug!(hour = hour.0, rows; "summed up an hour");
        Ok(true)
    })
}

fn lock(connection: &mut PgConnection, rival: Rival) -> Result<bool, StoreError> {
    let key = "hashtextextended(current_schema(), $1)";
    let query = match rival {
        Rival::Yield => format!("select pg_try_advisory_xact_lock({key}) as flag"),
        Rival::Await => format!("select true as flag from pg_advisory_xact_lock({key})"),
    };
    let got: Flag = sql_query(query)
        .bind::<BigInt, _>(LOCK)
        .get_result(connection)
        .map_err(|error| StoreError::of(error, Statement::Lock))?;
    Ok(got.flag)
}

/// The statement that makes the summaries of an hour, also of a day of results that were dropped.
fn recompute(is_dropped: bool) -> String {
    let outcomes = Outcome::ALL.map(Outcome::as_str);
    let columns = excluded(outcomes.iter().chain(&FIGURES));
    let fresh = "select a.* from due cross join lateral aggregate_results(due.monitors, due.since, due.until) a";
    let summaries = if is_dropped { dropped::together_with(fresh) } else { fresh.to_owned() };
    format!(
        "with due as (
             select array_agg(m.id) as monitors, array_agg($1) as since, array_agg($1 + interval '1 hour') as until
             from unnest($2) r(ids) cross join lateral generate_series(lower(r.ids), upper(r.ids) - 1) m(id)
         )
         insert into hourly
         {summaries}
         on conflict (monitor_id, hour, agent_id) do update set {columns}
         where hourly.checks <= excluded.checks"
    )
}

/// What a summary has beside its counts of outcomes.
const FIGURES: [&str; 5] = ["checks", "answered", "response_time_sum_us", "response_time_max_us", "response_times"];

/// `set` of an upsert that replaces these columns.
fn excluded<'a>(columns: impl Iterator<Item = &'a &'a str>) -> String {
    columns.map(|column| format!("{column} = excluded.{column}")).collect::<Vec<_>>().join(", ")
}

/// Makes few marks of many: what is of now and what came late stay apart, above all what is packed of its hour and what is
/// not: one mark of both would have all monitors of the hour packed, and read, from its begin on. As in a step, those that
/// it doesn't see stay.
fn gather_marks(connection: &mut PgConnection) -> Result<(), StoreError> {
    connection.transaction(|connection| {
        if !lock(connection, Rival::Yield)? {
            return Ok(());
        }
        sql_query(
            "with gone as (
                 delete from rollup_due
                 where hour in (select hour from rollup_due group by hour having count(*) > $1)
                 returning hour, monitors, since
             )
             insert into rollup_due (hour, monitors, since)
             select g.hour, range_agg(m.monitors), min(g.since)
             from gone g cross join lateral unnest(g.monitors) m(monitors)
             left join (select begins, max(until) as until from summary_blocks where not is_day group by 1) packed
                    on packed.begins = g.hour
             group by g.hour, date_bin('5 minutes', g.since, g.hour), g.since < packed.until",
        )
        .bind::<BigInt, _>(MANY_MARKS)
        .execute(connection)?;
        Ok(())
    })
}
