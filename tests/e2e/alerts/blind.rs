//! The monitoring sees nothing, because Kafka or the database is away. The tests ask whether a collector that still can
//! tell this tells it once, and whether it tells the return once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::collector::Collector;
use e2e::web::Web;
use e2e::{Stack, eventually};
use serde_json::{Value, json};

use super::{alerts, await_told, firing, hooked, resolved, told};

/// The time after which the rule fires. A collector on a busy machine reaches Kafka sooner than this after its start.
const LASTING: Duration = Duration::from_secs(15);

fn blind(web: &Web) -> Value {
    alerts(web, json!({"rules": [{"name": "blind", "what": "blind", "for": LASTING.as_secs()}]}))
}

/// Starts a collector, and waits until the rule has noted that the collector reaches Kafka.
fn that_sees(stack: &Stack) -> Result<Collector> {
    let collector = stack.collector().with_pages()?.set("alerts", blind(&stack.web)).start()?;
    await_sight(stack, &collector);
    Ok(collector)
}

/// Waits until the collector has reached Kafka and the rule has noted it.
fn await_sight(stack: &Stack, collector: &Collector) {
    await_none(
        stack,
        collector,
        "(select where not exists (select from website_monitor.alerts where mark is not null)) none",
    );
}

/// Waits until this table or condition has no rows.
fn await_none(stack: &Stack, collector: &Collector, of: &str) {
    eventually(&format!("there is none of {of}"), || {
        let rows = stack.database.count(of)?;
        ensure!(rows == 0, "{rows}\n{}", collector.log());
        Ok(())
    });
}

/// Waits until a collector has evaluated its rules in this process.
fn await_evaluated(collector: &Collector) {
    eventually("rules are evaluated", || {
        let metrics = collector.get("/metrics")?;
        let metric = "\nwebsite_monitor_rule_group_last_evaluation_timestamp_seconds ";
        let at = metrics.split_once(metric).and_then(|(_, rest)| rest.lines().next()).unwrap_or("none");
        ensure!(at.parse::<f64>().is_ok_and(|at| at > 0.0), "{at}");
        Ok(())
    });
}

/// Waits until the first message tells that the collector is blind without this part.
fn await_blind(stack: &Stack, collector: &Collector, part: &str) -> Result<()> {
    assert_eq!(await_told(&stack.web, 1, &[collector]), [firing(&[part])]);
    let request = &hooked(&stack.web)[0];
    let body: Value = serde_json::from_slice(&request.body)?;
    assert_eq!(body["id"], json!(request.headers["idempotency-key"]));
    let (alert, blind) = (&body["alerts"][0], json!("blind"));
    assert_eq!((&alert["rule"], &alert["what"], &alert["subject"]), (&blind, &blind, &json!(part)));
    Ok(())
}

#[test]
fn that_kafka_is_away_is_told_once_though_the_collector_starts_again_meanwhile_and_so_is_its_return() -> Result<()> {
    let stack = Stack::with().own_kafka().start()?;
    let collector = that_sees(&stack)?;
    stack.kafka.stop()?;
    await_blind(&stack, &collector, "Kafka")?;
    await_none(&stack, &collector, "website_monitor.notifications where sent_at is null");

    for is_clean in [false, true] {
        match is_clean {
            true => drop(collector.stop()?),
            false => collector.kill(),
        }
        collector.start()?;
        await_evaluated(&collector);
    }
    stack.kafka.start()?;
    assert_eq!(await_told(&stack.web, 2, &[&collector]), [firing(&["Kafka"]), resolved("Kafka")]);
    Ok(())
}

#[test]
fn one_of_two_collectors_that_reaches_kafka_is_enough_to_see() -> Result<()> {
    let stack = Stack::start()?;
    let setup = || stack.collector().set("alerts", blind(&stack.web));
    let sees = setup().start()?;
    await_sight(&stack, &sees);
    // No server listens at this address.
    let cut_off = setup().with_pages()?.set("kafka.bootstrap_servers", "127.0.0.1:1").start()?;
    let began = Instant::now();
    await_evaluated(&cut_off);
    eventually("the other one has been without Kafka for twice as long as the rule says", || {
        ensure!(began.elapsed() > 2 * LASTING, "{} s", began.elapsed().as_secs());
        Ok(())
    });
    assert_eq!(told(&stack.web)?, []);
    sees.stop()?;
    assert_eq!(await_told(&stack.web, 1, &[&cut_off]), [firing(&["Kafka"])], "it is told only once none reaches it");
    let since: Vec<Value> = stack.database.rows(
        "select a.since >= to_timestamp(a.mark) as is_later from website_monitor.alerts a where a.rule = 'blind'",
    )?;
    assert_eq!(since[0]["is_later"], true, "blindness begins when the last one that saw was there");
    Ok(())
}

#[test]
fn that_the_database_is_away_is_told_directly_and_once_by_a_collector_and_so_is_its_return() -> Result<()> {
    let stack = Stack::with().own_postgres().start()?;
    let collector = that_sees(&stack)?;
    stack.database.server.stop()?;
    await_blind(&stack, &collector, "database")?;
    eventually("PostgreSQL starts", || stack.database.server.start());
    let both = [firing(&["database"]), resolved("database")];
    assert_eq!(await_told(&stack.web, 2, &[&collector]), both);

    // A second outage of the database is told again. No other message came in between.
    stack.database.server.kill()?;
    let of_both = await_told(&stack.web, 3, &[&collector]);
    assert_eq!(of_both, [&both[..], &[firing(&["database"])]].concat());
    eventually("PostgreSQL starts", || stack.database.server.start());
    assert_eq!(await_told(&stack.web, 4, &[&collector]), [&both[..], &both[..]].concat());
    Ok(())
}
