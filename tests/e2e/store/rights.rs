//! A collector runs as a role of few rights, which cannot harm the stored results. The tests ask whether the collector
//! can still do all of its work.

use std::fs;

use anyhow::{Context, Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use e2e::collector::Collector;
use e2e::{Stack, eventually};
use serde_json::json;
use uuid::Uuid;

use super::summaries::await_summed_up;
use super::{assert_proven, await_consumed, days_ago, epochs, result, rows, send};

const MANUAL: &str = include_str!("../../../docs/collector.md");
const PASSWORD: &str = "s3cret-of-the-role";

/// Makes the tables as their owner, and makes the role with the statements of docs/collector.md.
fn role(stack: &Stack) -> Result<String> {
    assert_eq!(stack.collector().build()?.command(&["migrate"])?.code(), Some(0));
    let role = format!("few_{}", Uuid::new_v4().simple());
    let statements = MANUAL.split("```sql\n").find(|block| block.starts_with("create role website_monitor_collector"));
    let statements = statements.and_then(|block| block.split("```").next()).context("the manual has no such role")?;
    stack.database.execute(&statements.replace("website_monitor_collector", &role).replace('…', PASSWORD))?;
    Ok(role)
}

fn collector(stack: &Stack, role: &str, retention: &str) -> Result<Collector> {
    let setup = stack.collector().set("database.user", role).set("database.migrate", false);
    let setup = setup.set("alerts", json!({"rules": [{"name": "lost", "what": "dropped"}]}));
    let collector = setup.set("retention.results", retention).build()?;
    fs::write(collector.directory().join("password"), PASSWORD)?;
    Ok(collector)
}

#[test]
fn a_role_of_few_rights_does_all_of_a_collectors_work_and_can_harm_no_result() -> Result<()> {
    let stack = Stack::start()?;
    let role = role(&stack)?;
    let [epoch] = epochs();
    let keeps = collector(&stack, &role, "90d")?;
    keeps.start()?;
    send(&stack, (1..=400).map(|seq| result(epoch, seq, days_ago(seq as i64 % 4))).chain([json!({"v": 1})]))?;
    await_consumed(&stack, &keeps.group);
    eventually("the hours that are over are summed up", || {
        let due = stack.database.count("website_monitor.rollup_due where hour < now() - interval '2 hours'")?;
        let hours = stack.database.count("website_monitor.hourly")?;
        ensure!(due == 0 && hours > 0, "{due} due, {hours} hours\n{}", keeps.log());
        Ok(())
    });
    eventually("alerts are evaluated", || {
        let known = stack.database.count("website_monitor.alerts")?;
        ensure!(known > 0, "{}", keeps.log());
        Ok(())
    });
    assert_eq!((rows(&stack)?, stack.database.count("website_monitor.rejected")?), (400, 1));
    assert_proven(&keeps.verify()?);
    for _ in ["said", "said again"] {
        let ended = keeps.command(&["agents", "retire", &format!("agent of {epoch}")])?;
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    }

    let login = format!("{}:{}@", stack.database.user(), stack.database.password());
    let mut session = PgConnection::establish(&stack.database.url().replace(&login, &format!("{role}:{PASSWORD}@")))?;
    session.batch_execute("set search_path = website_monitor")?;
    for harm in [
        "delete from results",
        "update results set outcome = 'success'",
        "truncate results",
        "drop table results",
        "alter table results add more text",
        "delete from monitors",
        "delete from epochs",
        "truncate epochs",
        "drop table hourly",
        "create table mine (id integer)",
        "create or replace function make_results_partition(day date) returns boolean language sql return true",
        "drop function make_results_partition(date)",
        "drop schema website_monitor cascade",
    ] {
        let refusal = session.batch_execute(harm).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refusal.starts_with("permission denied") || refusal.starts_with("must be owner"), "{harm}: {refusal}");
    }
    // The function makes the partition of our table, even if the caller has another table `results` earlier in its
    // search path.
    session.batch_execute(
        "create temporary table results (like website_monitor.results) partition by range (checked_at)",
    )?;
    session.batch_execute(
        "set search_path = pg_temp, website_monitor; select website_monitor.make_results_partition('2020-02-03')",
    )?;
    assert_eq!(stack.database.count("pg_class where oid = 'website_monitor.results_20200203'::regclass")?, 1);
    assert_eq!(rows(&stack)?, 400);

    keeps.stop()?;
    let forgets = collector(&stack, &role, "2d")?;
    forgets.start()?;
    eventually("it says what it may not drop", || {
        ensure!(forgets.log().contains("upkeep` daily as their owner"), "{}", forgets.log());
        Ok(())
    });
    assert_eq!(rows(&stack)?, 400);
    let ended = stack.collector().set("retention.results", "2d").build()?.command(&["upkeep"])?;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(rows(&stack)? < 400);
    assert_proven(&forgets.verify()?);
    assert!(!forgets.log().contains(PASSWORD) && !keeps.log().contains(PASSWORD));
    Ok(())
}

#[test]
fn a_right_that_is_missing_is_named_and_nothing_is_lost_until_it_is_granted() -> Result<()> {
    let stack = Stack::start()?;
    let role = role(&stack)?;
    stack.database.execute(&format!("revoke update on website_monitor.epochs from {role}"))?;
    let [epoch] = epochs();
    let collector = collector(&stack, &role, "90d")?;
    collector.start()?;
    send(&stack, (1..=50).map(|seq| result(epoch, seq, days_ago(0))))?;
    eventually("the right is named", || {
        let log = collector.log();
        ensure!(log.contains("permission denied for table epochs; database.user lacks a right"), "{log}");
        Ok(())
    });
    assert_eq!((rows(&stack)?, stack.database.count("website_monitor.rejected")?), (0, 0));
    stack.database.execute(&format!("grant update on website_monitor.epochs to {role}"))?;
    await_consumed(&stack, &collector.group);
    assert_eq!(rows(&stack)?, 50);
    assert_proven(&collector.verify()?);
    Ok(())
}

#[test]
fn all_is_stored_and_summed_up_while_the_rights_on_a_new_table_are_not_given_yet() -> Result<()> {
    let stack = Stack::start()?;
    let role = role(&stack)?;
    stack.database.execute(&format!("revoke all on website_monitor.summary_blocks from {role}"))?;
    let [epoch] = epochs();
    let collector = collector(&stack, &role, "90d")?;
    collector.start()?;
    send(&stack, (1..=400).map(|seq| result(epoch, seq, days_ago(seq as i64 % 4))))?;
    await_consumed(&stack, &collector.group);
    await_summed_up(&stack);
    assert_eq!(rows(&stack)?, 400);
    eventually("the log says what is missing", || {
        let log = collector.log();
        ensure!(log.contains("summary_blocks") && log.contains("A role of few rights"), "{log}");
        Ok(())
    });
    assert_eq!(stack.database.count("website_monitor.summary_blocks")?, 0);
    stack
        .database
        .execute(&format!("grant select, insert, update, delete on website_monitor.summary_blocks to {role}"))?;
    eventually("what pages show is packed", || {
        let blocks = stack.database.count("website_monitor.summary_blocks")?;
        ensure!(blocks > 0, "{}", collector.log());
        Ok(())
    });
    Ok(())
}
