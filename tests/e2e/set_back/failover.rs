//! Another server takes over and lacks the latest results. It is a standby that lagged, or a server that was restored
//! to a point in time.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::collector::{Collector, CollectorSetup};
use e2e::postgres::{Database, Postgres};
use e2e::{Stack, eventually};

use super::{Story, told};

/// Starts a collector that knows two servers.
fn knows_both(stack: &Stack, primary: &Postgres, standby: &Postgres) -> Result<Collector> {
    let places = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
    let login = format!("{}:{}", stack.database.user(), stack.database.password());
    let url = format!("postgresql://{login}@{places}/{}", stack.database.name());
    let setup: CollectorSetup = stack.collector();
    setup.at(&url).start()
}

/// Stops a standby from following its primary, so that it lacks everything that is stored from now on.
pub(super) fn follow_no_more(primary: &Database, standby: &Database) -> Result<()> {
    standby.execute("alter system set primary_conninfo = ''")?;
    standby.execute("select pg_reload_conf()")?;
    eventually("the standby follows no more", || {
        let following = primary.count("pg_stat_replication")?;
        ensure!(following == 0, "{following}");
        Ok(())
    });
    Ok(())
}

#[test]
fn a_standby_that_lagged_when_it_was_promoted_is_filled_again() -> Result<()> {
    let primary = Arc::new(Postgres::start_own()?);
    let mut stack = Stack::with().partitions(2).start_on(&primary)?;
    let standby = Arc::new(primary.standby()?);
    let collectors = [knows_both(&stack, &primary, &standby)?, knows_both(&stack, &primary, &standby)?];
    let mut story = Story::default();
    story.send(&stack, "edge-1", "shop", 60)?;
    story.await_told(&stack, &collectors[0]);
    let behind = standby.existing_database(stack.database.name())?;
    eventually("the standby has it, too", || {
        let rows = behind.count("website_monitor.results")?;
        ensure!(rows == 60, "{rows} rows");
        Ok(())
    });
    follow_no_more(&stack.database, &behind)?;
    story.send(&stack, "edge-2", "bank", 120)?;
    story.send(&stack, "edge-3", "mail", 120)?;
    story.await_told(&stack, &collectors[0]);

    primary.crash()?;
    behind.execute("select pg_promote()")?;
    stack.database = behind;
    collectors[0].kill();
    story.send(&stack, "edge-4", "news", 40)?;
    collectors[0].start()?;

    story.assert_proven(&stack, &collectors[1])
}

#[test]
fn a_server_that_was_restored_to_a_point_in_time_is_filled_again() -> Result<()> {
    let server = Arc::new(Postgres::start_own_archiving()?);
    let stack = Stack::with().partitions(2).start_on(&server)?;
    let collector = stack.collector().start()?;
    let mut story = Story::default();
    story.send(&stack, "edge-1", "shop", 50)?;
    story.await_told(&stack, &collector);
    let base = server.base_backup()?;
    story.send(&stack, "edge-2", "bank", 70)?;
    story.await_told(&stack, &collector);
    stack.database.execute("select pg_create_restore_point('midday')")?;
    let at_midday = told(&stack)?;
    story.send(&stack, "edge-3", "mail", 90)?;
    story.await_told(&stack, &collector);
    stack.database.execute("select pg_switch_wal()")?;
    eventually("the log is archived", || {
        let archived = stack.database.count("pg_stat_archiver where archived_count >= 2")?;
        ensure!(archived == 1, "not yet");
        Ok(())
    });
    collector.kill();

    server.recover(&base, "midday")?;
    eventually("it takes writes", || {
        let recovering = stack.database.count("(select 1 where pg_is_in_recovery()) r")?;
        ensure!(recovering == 0, "it recovers");
        Ok(())
    });
    assert_eq!(told(&stack)?, at_midday, "it is not the point in time");
    collector.start()?;

    story.assert_proven(&stack, &collector)
}
