//! PostgreSQL is killed while a batch is being committed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use e2e::eventually;
use e2e::postgres::Postgres;

use super::{Count, collector, endure, last, long, scale, with_partitions};

/// The settings that let a commit wait a tenth of a second before it is written to the disk, so that the crash comes
/// during a commit for certain.
const SLOW_COMMITS: [&str; 3] = ["fsync=on", "commit_delay=100000", "commit_siblings=0"];

#[test]
fn a_server_that_crashes_in_the_middle_of_commits_costs_nothing() -> Result<()> {
    let server = Arc::new(Postgres::start_own_with(&SLOW_COMMITS)?);
    let stack = with_partitions().start_on(&server)?;
    let collector = collector(&stack).start()?;
    endure(&stack, &collector, "PostgreSQL crashed in mid-commit", scale(3, 20), |time, _| {
        let mut looker = PgConnection::establish(&stack.database.url())?;
        eventually("a batch is being committed", || {
            let committing: Count = sql_query(
                "select count(*) as count from pg_stat_activity
                 where datname = current_database() and application_name = 'website-monitor-collector'
                   and state = 'active' and query ilike 'commit%' and backend_xid is not null",
            )
            .get_result(&mut looker)?;
            ensure!(committing.count > 0, "none");
            Ok(())
        });
        server.crash()?;
        // In every second round PostgreSQL is away for so long that a waiting collector begins to ask less often.
        last(if time % 2 == 0 { Duration::ZERO } else { long() });
        eventually("PostgreSQL starts", || server.start());
        Ok(())
    })
}
