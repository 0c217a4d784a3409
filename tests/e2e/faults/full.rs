//! PostgreSQL has no room on its disk, or no room for another connection.

use std::sync::Arc;

use anyhow::{Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use e2e::eventually;
use e2e::postgres::Postgres;

use super::{await_said, collector, endure, last, long, said, scale, with_partitions};

#[test]
fn a_full_disk_costs_nothing_and_results_flow_when_there_is_room() -> Result<()> {
    if !ground::is_root() {
        ground::again_as_root(ground::this_test!(), "only root can give a server a disk of its own");
        return Ok(());
    }
    let server = match Postgres::start_own_on_small_disk(128) {
        Ok(server) => Arc::new(server),
        Err(error) => {
            ground::not_run(ground::this_test!(), &format!("{error:#}"));
            return Ok(());
        }
    };
    let stack = with_partitions().start_on(&server)?;
    let name = stack.database.name();
    stack.database.execute(&format!("alter database {name} set default_tablespace = small"))?;
    let collector = collector(&stack).start()?;
    endure(&stack, &collector, "the disk was full", scale(2, 10), |_, _| {
        let before = said(&collector);
        server.fill_small_disk()?;
        await_said(&collector, before)?;
        last(long());
        server.make_room()
    })?;
    ensure!(collector.log().contains("No space left on device"), "{}", collector.log());
    Ok(())
}

#[test]
fn a_server_without_a_free_connection_costs_nothing() -> Result<()> {
    let server = Arc::new(Postgres::start_own_with(&["max_connections=16"])?);
    let stack = with_partitions().start_on(&server)?;
    let collector = collector(&stack).start()?;
    endure(&stack, &collector, "no connection was free", scale(2, 10), |_, _| {
        let before = said(&collector);
        let mut first = PgConnection::establish(&stack.database.url())?;
        let mut taken = Vec::new();
        stack.database.end_session();
        eventually("all connections are taken", || {
            first.batch_execute(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where application_name = 'website-monitor-collector'",
            )?;
            while let Ok(another) = PgConnection::establish(&stack.database.url()) {
                taken.push(another);
            }
            ensure!(taken.len() >= 15, "{}", taken.len());
            Ok(())
        });
        await_said(&collector, before)?;
        last(long());
        Ok(())
    })?;
    ensure!(collector.log().contains("too many clients"), "{}", collector.log());
    Ok(())
}
