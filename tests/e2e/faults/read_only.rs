//! PostgreSQL takes no writes, or another server takes over and accepts the writes.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::daemon::Settings;
use e2e::eventually;
use e2e::postgres::Postgres;
use serde_json::json;

use super::{
    ALL, PARTITIONS, SOON, assert_kept_its_place, await_said, collector, endure, last, long, said, say, scale,
    with_partitions,
};
use crate::feed::{Feed, assert_stored_once};

#[test]
fn a_database_that_became_read_only_costs_nothing() -> Result<()> {
    let stack = with_partitions().start()?;
    let collector = collector(&stack).start()?;
    let name = stack.database.name();
    endure(&stack, &collector, "the database was read-only", scale(2, 10), |_, _| {
        let before = said(&collector);
        stack.database.execute(&format!("alter database {name} set default_transaction_read_only = on"))?;
        stack.database.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name = 'website-monitor-collector'",
        )?;
        await_said(&collector, before)?;
        last(long());
        stack
            .database
            .execute(&format!("begin read write; alter database {name} reset default_transaction_read_only; commit"))
    })
}

/// The collector asks the standby again and again, and the standby refuses until it is promoted. Before the primary
/// crashes, commits wait for the standby, so that it has every result whose offset is committed.
#[test]
fn a_standby_is_left_alone_until_it_is_promoted_and_nothing_is_lost_or_repeated_by_the_change() -> Result<()> {
    let mut seconds = Vec::new();
    for _ in 0..scale(1, 5) {
        let primary = Arc::new(Postgres::start_own()?);
        let mut stack = with_partitions().start_on(&primary)?;
        let standby = Arc::new(primary.standby()?);
        eventually("the standby follows", || {
            let following = stack.database.count("pg_stat_replication where state = 'streaming'")?;
            ensure!(following == 1, "{following}");
            Ok(())
        });
        stack.database.execute("alter system set synchronous_standby_names = '*'")?;
        stack.database.execute("select pg_reload_conf()")?;

        let collector = collector(&stack).build()?;
        let login = format!("{}:{}", stack.database.user(), stack.database.password());
        let places = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
        collector.configure(&Settings(json!({
            "kafka": {
                "bootstrap_servers": stack.kafka.bootstrap_servers(),
                "topic": stack.topic.name(),
                "group": collector.group,
                "properties": {"session.timeout.ms": "6000", "max.poll.interval.ms": "6000"},
            },
            "database": {"url": format!("postgresql://{login}@{places}/{}", stack.database.name())},
        })))?;
        collector.start()?;
        let by_primary = Feed::during(&stack, PARTITIONS, |feed| {
            eventually("the tables are there", || feed.accounted());
            feed.progress(&ALL, SOON, &collector)?;
            primary.crash()
        })?;

        stack.database = standby.existing_database(stack.database.name())?;
        let by_standby = Feed::during(&stack, PARTITIONS, |feed| {
            await_said(&collector, 0)?;
            last(long());
            ensure!(stack.database.count("(select 1 where pg_is_in_recovery()) r")? == 1, "it is no standby");
            stack.database.execute("select pg_promote()")?;
            seconds.push(feed.progress(&ALL, SOON, &collector)?);
            Ok(())
        })?;
        assert_stored_once(&stack, &collector, by_primary + by_standby)?;
        assert_kept_its_place(&collector);
        ensure!(!collector.log().contains(stack.database.password()), "the password is shown");
    }
    say("the standby was promoted", &seconds)
}
