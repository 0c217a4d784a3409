//! A session holds a lock for long, or the database takes seconds for each batch.

use std::time::Duration;

use anyhow::{Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use e2e::{Stack, eventually};
use jiff::Timestamp;

use super::{Count, collector, endure, last, scale, with_partitions};

fn hold(what: &str, statement: impl Fn() -> String) -> Result<()> {
    let stack = with_partitions().start()?;
    let collector = collector(&stack).start()?;
    let time = scale(Duration::from_secs(8), Duration::from_secs(30));
    endure(&stack, &collector, what, scale(1, 5), |_, _| {
        let mut holder = PgConnection::establish(&stack.database.url())?;
        holder.batch_execute(&format!("begin; {}", statement()))?;
        eventually("the collector waits for the lock", || {
            ensure!(waiting_sessions(&mut holder)? > 0, "it does not");
            Ok(())
        });
        last(time);
        Ok(holder.batch_execute("commit")?)
    })
}

/// Returns how many sessions of this database wait for a lock.
fn waiting_sessions(holder: &mut PgConnection) -> Result<i64> {
    let waiting = "select count(*) as count from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    Ok(sql_query(waiting).get_result::<Count>(holder)?.count)
}

#[test]
fn a_lock_on_all_results_that_is_held_for_long_costs_nothing() -> Result<()> {
    hold("all results were locked", || "lock table website_monitor.results in access exclusive mode".into())
}

#[test]
fn a_lock_on_the_results_of_one_day_that_is_held_for_long_costs_nothing() -> Result<()> {
    hold("the results of one day were locked", || {
        let yesterday = (Timestamp::now() - jiff::SignedDuration::from_hours(24)).to_string()[..10].replace('-', "");
        format!("lock table website_monitor.results_{yesterday} in access exclusive mode")
    })
}

#[test]
fn a_lock_on_the_ledger_that_is_held_for_long_costs_nothing() -> Result<()> {
    hold("the ledger was locked", || "lock table website_monitor.epochs in access exclusive mode".into())
}

#[test]
fn a_database_that_takes_seconds_for_each_batch_costs_nothing() -> Result<()> {
    let stack: Stack = with_partitions().start()?;
    let collector = collector(&stack).start()?;
    let time = scale(Duration::from_secs(10), Duration::from_secs(30));
    endure(&stack, &collector, "each batch took three seconds", scale(1, 3), |_, _| {
        stack.database.execute(
            "create function public.dawdle() returns trigger language plpgsql
                 as 'begin perform pg_sleep(3); return null; end';
             create trigger dawdle before insert on website_monitor.results
                 for each statement execute function public.dawdle()",
        )?;
        last(time);
        stack.database.execute("drop function public.dawdle() cascade")
    })
}
