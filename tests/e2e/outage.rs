//! A server goes away and comes back. The tests ask whether every result arrives.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::collector::Collector;
use e2e::web::Answer;
use e2e::{Stack, eventually};
use serde_json::json;

use crate::truth::{RESULTS, assert_each_request_has_one_row, assert_verified, await_requests, await_rows, settle};

#[test]
fn checks_go_on_while_kafka_is_stopped_for_20_s_and_all_of_them_arrive() -> Result<()> {
    let stack = Stack::with().own_kafka().start()?;
    let collector = stack.collector().start()?;
    let agent = stack
        .agent()
        .interval("500ms")
        .monitor("one", stack.web.site("/one", Answer::ok("")))
        .monitor("other", stack.web.site("/other", Answer::status(503)))
        .start()?;
    await_rows(&stack, 4)?;

    stack.kafka.stop()?;
    let away = Instant::now();
    let seen = stack.web.total();
    eventually("20 s without Kafka", || {
        ensure!(away.elapsed() > Duration::from_secs(20), "{} s", away.elapsed().as_secs());
        Ok(())
    });
    let meanwhile = stack.web.total() - seen;
    // The agent checks two monitors twice a second each. The machine may have spent half of its time on other work.
    assert!(meanwhile >= 40, "only {meanwhile} checks in {:?}", away.elapsed());
    let status = eventually("the outbox holds what was checked meanwhile", || {
        let status = agent.outbox_status()?;
        ensure!(status.pending >= meanwhile, "{meanwhile} checks, {status:?}");
        Ok(status)
    });
    let rows = stack.database.count(RESULTS)?;
    stack.kafka.start()?;

    eventually("rows go on", || {
        let now = stack.database.count(RESULTS)?;
        ensure!(now >= rows + status.pending, "{now} rows, {} of them new\n{}", now - rows, collector.log());
        Ok(())
    });
    for (who, log) in [("agent", agent.log()), ("collector", collector.log())] {
        let kafka_troubles = log.lines().filter(|line| line.contains("level=warn") && line.contains("kafka")).count();
        assert!(kafka_troubles <= 3, "the {who} does not say it rarely:\n{log}");
    }
    settle(&stack, &agent, &collector)?;
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&collector)?;
    Ok(())
}

#[test]
fn results_stream_on_after_each_restart_of_a_broker_that_may_say_before_it_stops_that_there_are_no_brokers()
-> Result<()> {
    let stack = Stack::with().own_kafka().start()?;
    // The broker says only in its last moments that there are no brokers. A client that asks all the time is likely to
    // hear it.
    let often = |ms: u64| json!({"topic.metadata.refresh.interval.ms": ms});
    let collector = stack.collector().set("kafka.properties", often(10)).start()?;
    let site = stack.web.site("/", Answer::ok(""));
    // The agent asks less often, because on a busy machine an agent that asks so often hardly sends anything.
    let agent = stack.agent().set("kafka.properties", often(100)).interval("100ms").monitor("site", site).start()?;
    for _ in 0..4 {
        await_rows(&stack, 5)?;
        stack.kafka.stop()?;
        stack.kafka.start()?;
    }
    await_rows(&stack, 5)?;
    settle(&stack, &agent, &collector)?;
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&collector)?;
    Ok(())
}

#[test]
fn results_stream_on_when_postgres_is_restarted() -> Result<()> {
    let stack = Stack::with().own_postgres().start()?;
    let collector = stack.collector().with_pages()?.start()?;
    let agent = stack.agent().interval("100ms").monitor("site", stack.web.site("/", Answer::ok(""))).start()?;
    await_rows(&stack, 5)?;
    await_metric(&collector, "waits_for_database 0");

    for end in [e2e::postgres::Postgres::stop, e2e::postgres::Postgres::kill] {
        end(&stack.database.server)?;
        await_requests(&stack, 20);
        await_metric(&collector, "waits_for_database 1");
        assert!(collector.get("/healthz")?.ends_with("alive\n"), "a database that is away is no reason for a restart");
        eventually("PostgreSQL starts", || stack.database.server.start());
        let rows = stack.database.count(RESULTS)?;
        eventually("rows go on", || {
            let now = stack.database.count(RESULTS)?;
            ensure!(now >= rows + 20, "{rows} rows before, {now} now\n{}", collector.log());
            Ok(())
        });
    }

    settle(&stack, &agent, &collector)?;
    await_metric(&collector, "lag_messages 0");
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&collector)?;
    Ok(())
}

#[test]
fn results_stream_on_after_a_network_that_hung_and_one_that_broke() -> Result<()> {
    let stack = Stack::with().own_kafka().start()?;
    let collector = stack.collector().start()?;
    let agent = stack.agent().interval("100ms").monitor("site", stack.web.site("/", Answer::ok(""))).start()?;
    await_rows(&stack, 5)?;
    let to_kafka = &stack.kafka.nodes()?[0].proxy;

    stack.database.proxy.hang()?;
    await_requests(&stack, 10);
    stack.database.proxy.open()?;
    await_rows(&stack, 5)?;

    stack.database.proxy.refuse();
    to_kafka.hang()?;
    await_requests(&stack, 10);
    to_kafka.open()?;
    stack.database.proxy.open()?;
    await_rows(&stack, 10)?;

    to_kafka.refuse();
    await_requests(&stack, 10);
    to_kafka.open()?;
    await_rows(&stack, 10)?;

    settle(&stack, &agent, &collector)?;
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&collector)?;
    Ok(())
}

fn await_metric(collector: &Collector, line: &str) {
    eventually(line, || {
        let metrics = collector.get("/metrics")?;
        ensure!(metrics.contains(&format!("\nwebsite_monitor_collector_{line}\n")), "{metrics}");
        Ok(())
    });
}
