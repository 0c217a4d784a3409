//! Makes summaries by the hour from the results, and summaries by the day from those by the hour. They are always
//! recomputed, never incremented.
//!
//! A batch marks its hours in `rollup_due` in the transaction that writes its rows, so a mark and its rows become
//! visible together. A step of the rollup takes away the marks that it sees of one hour, and recomputes the summaries
//! of the hour for the marked monitors, in one transaction. It reads the rows of every mark that it took, and a mark
//! that it did not see stays. So late data corrects the history without further work, and a step that dies leaves
//! everything as it was.
//!
//! The part of the summaries that the status pages show is packed into blocks. The tables delete a block with the first
//! change of its rows.
//!
//! Results are deleted only with their partition, past the retention. Results that come for such a day later are added
//! to the summaries that the day had then ([`dropped`]). So a summary never shrinks. A summary that would shrink is
//! made of results that were deleted in another way, and the old summary stays.

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

/// The key of the advisory lock that is held while summaries are made. The name of the schema is a part of the lock,
/// too.
const LOCK: i64 = 70_316_262_736;

/// When an hour has more marks than this number, they are merged into few, so that readers have few marks to read.
const MANY_MARKS: i64 = 100;

/// Makes the summaries of hours and days that are over, and packs blocks.
pub struct Rollup {
    connections: Connections,
}

/// What to do while another collector makes summaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    /// Leave the work to the other collector.
    Yield,
    /// Wait for the other collector.
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
    /// How often the rollup is due.
    pub const INTERVAL: Duration = Duration::from_secs(10);

    pub(crate) fn new(connections: Connections) -> Rollup {
        Rollup { connections }
    }

    /// Makes the summaries and blocks that are due. Returns false while the database or its tables are not there; the
    /// store logs this.
    ///
    /// # Errors
    /// Returns why it could not. The rollup is to be tried again later.
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
        // The steps from here on use blocks. The rights on them may not be granted yet.
        gather_marks(connection)?;
        while blocks::step(connection)? {}
        while running::step(connection)? {}
    }
    Ok(there.flag)
}

/// Makes the summaries of the oldest hour that is due and over. Returns whether there was such an hour and this
/// collector made it.
pub(crate) fn step(connection: &mut PgConnection, rival: Rival) -> Result<bool, StoreError> {
    connection.transaction(|connection| {
        if !lock(connection, rival)? {
            return Ok(false);
        }
        // The just-in-time compiler makes this statement several times slower. A sequential scan does the same, because
        // it reads a whole day for one hour.
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

/// Returns the statement that makes the summaries of an hour. `is_dropped` says that results of its day were dropped
/// before.
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

/// The columns that a summary has beside its counts of outcomes.
const FIGURES: [&str; 5] = ["checks", "answered", "response_time_sum_us", "response_time_max_us", "response_times"];

/// Returns the `set` list of an upsert that replaces these columns.
fn excluded<'a>(columns: impl Iterator<Item = &'a &'a str>) -> String {
    columns.map(|column| format!("{column} = excluded.{column}")).collect::<Vec<_>>().join(", ")
}

/// Merges many marks of an hour into few. Marks of current results and marks of late results stay apart, because only
/// marks from the same five minutes are merged. Marks from before the end of what is packed of the hour also stay apart
/// from later ones. One mark of both would cause all monitors of the hour to be packed, and read, from the hour's begin
/// on. Marks that this transaction does not see stay, as in a step.
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
