//! An administrator or a timeout ends sessions and statements again and again.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use uuid::Uuid;

use super::{collector, endure, scale, with_partitions};

fn end_by(function: &str, what: &str) -> Result<()> {
    let stack = with_partitions().start()?;
    let collector = collector(&stack).set("batch.max_messages", 500).start()?;
    endure(&stack, &collector, what, scale(2, 10), |_, _| {
        let mut hand = PgConnection::establish(&stack.database.url())?;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            hand.batch_execute(&format!(
                "select {function}(pid) from pg_stat_activity
                 where datname = current_database() and application_name = 'website-monitor-collector'
                   and state <> 'idle'"
            ))?;
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    })
}

#[test]
fn sessions_that_an_administrator_ends_all_the_time_cost_nothing() -> Result<()> {
    end_by("pg_terminate_backend", "sessions were ended for four seconds")
}

#[test]
fn statements_that_an_administrator_cancels_all_the_time_cost_nothing() -> Result<()> {
    end_by("pg_cancel_backend", "statements were cancelled for four seconds")
}

#[test]
fn timeouts_that_a_role_brings_along_do_not_end_what_the_collector_does() -> Result<()> {
    let stack = with_partitions().start()?;
    let role = format!("hasty_{}", Uuid::new_v4().simple());
    let password = stack.database.password();
    stack.database.execute(&format!("create role {role} superuser login password '{password}'"))?;
    for setting in ["statement_timeout = '1ms'", "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '1ms'"]
    {
        stack.database.execute(&format!("alter role {role} set {setting}"))?;
    }
    let collector = collector(&stack).set("database.user", role).start()?;
    endure(&stack, &collector, "the role has timeouts of a millisecond", 1, |_, _| Ok(()))
}
