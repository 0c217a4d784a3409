//! Other persons or programs change the topic and the tables. The tests ask whether the collector goes on correctly.

use anyhow::{Result, ensure};
use e2e::{Stack, eventually};
use jiff::Timestamp;
use serde_json::json;

use super::{assert_proven, await_consumed, days_ago, epochs, result, rows, send, send_results};

#[test]
fn old_partitions_go_from_a_schema_of_any_name_and_other_tables_stay() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch] = epochs();
    let collector = stack.collector().set("database.schema", "Web \"Status\"").start()?;
    send(&stack, [result(epoch, 1, days_ago(5)), result(epoch, 2, Timestamp::now())])?;
    await_consumed(&stack, &collector.group);
    collector.stop()?;
    // The name of this table is as long as the name of a partition that a collector makes.
    stack.database.execute(
        r#"set search_path = "Web ""Status"""; set timezone = 'UTC';
           create table archive_20200101 partition of results for values from ('2020-01-01') to ('2020-01-02')"#,
    )?;

    let settings = || stack.collector().set("database.schema", "Web \"Status\"");
    let strict = settings().set("retention.results", "2d").start()?;
    eventually("the old row is gone", || {
        let rows = stack.database.count(r#""Web ""Status""".results"#)?;
        ensure!(rows == 1, "{rows} rows\n{}", strict.log());
        Ok(())
    });

    assert_proven(&strict.verify()?);
    assert_eq!(stack.database.count(r#""Web ""Status""".archive_20200101"#)?, 0);
    Ok(())
}

#[test]
fn what_is_set_aside_from_a_topic_that_was_made_again_is_kept_beside_the_old() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let [epoch] = epochs();
    send(&stack, [json!({"v": 9, "epoch": epoch, "seq": 1, "agent": "a"}), json!("what?")])?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);
    // The tables are changed as if the topic had had other messages at these offsets before.
    stack.database.execute(
        "update website_monitor.rejected set value = 'before';
         update website_monitor.epochs set accounted = '{}', rejected = '{}'",
    )?;

    collector.stop()?;
    stack.read_again()?;
    let again = stack.collector().group("again").start()?;
    await_consumed(&stack, "again");
    again.stop()?;
    stack.read_again()?;
    let third = stack.collector().group("third").start()?;
    await_consumed(&stack, "third");

    assert_eq!(stack.database.count("website_monitor.rejected")?, 4);
    assert_eq!((again.verify()?.total.rejected, third.verify()?.total.rejected), (1, 1));
    Ok(())
}

#[test]
fn trouble_with_the_partition_of_one_day_is_no_records_fault() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch] = epochs();
    let collector = stack.collector().start()?;
    let at = days_ago(3);
    send(&stack, [result(epoch, 1, at)])?;
    await_consumed(&stack, &collector.group);
    let day = at.to_string()[..10].replace('-', "");
    stack
        .database
        .execute(&format!("alter table website_monitor.results_{day} add constraint never check (seq <= 1)"))?;
    send(&stack, [result(epoch, 2, at), result(epoch, 3, Timestamp::now())])?;
    eventually("it says that it waits", || {
        let log = collector.log();
        ensure!(log.contains("the database does not store: waiting for it"), "{log}");
        Ok(())
    });
    stack.database.execute(&format!("alter table website_monitor.results_{day} drop constraint never"))?;
    await_consumed(&stack, &collector.group);

    assert_eq!((rows(&stack)?, stack.database.count("website_monitor.rejected")?), (3, 0));
    Ok(())
}

#[test]
fn tables_that_vanish_under_a_running_collector_are_made_again() -> Result<()> {
    let stack = Stack::start()?;
    let epochs = epochs::<2>();
    let collector = stack.collector().start()?;
    send_results(&stack, &epochs[..1], 5)?;
    await_consumed(&stack, &collector.group);
    stack.database.execute("drop schema website_monitor cascade")?;
    send_results(&stack, &epochs[1..], 5)?;

    // The messages of the lost tables are read again from Kafka.
    eventually("all that Kafka has is there", || {
        let rows = rows(&stack)?;
        ensure!(rows == 10, "{rows} rows");
        Ok(())
    });
    assert_proven(&collector.verify()?);
    Ok(())
}
