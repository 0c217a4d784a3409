//! Kafka's brokers fail in several ways. The tests ask whether every result arrives once.
//!
//! The time from a broker's return until all results are in the table depends on the machine. Each test prints this
//! time, and a benchmark measures it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::agent::Agent;
use e2e::collector::Collector;
use e2e::web::Answer;
use e2e::{Stack, eventually};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::truth::{
    RESULTS, assert_each_request_has_one_row, assert_no_number_twice, assert_verified, await_no_lag, await_requests,
    await_rows, mismatches, settle,
};

#[test]
fn results_arrive_though_one_of_three_nodes_is_killed_then_two_then_all_fall_silent() -> Result<()> {
    let stack = Stack::with().own_kafka_nodes(3).start()?;
    let (agent, collector) = streaming(&stack)?;
    let nodes = stack.kafka.nodes()?;

    nodes[0].kill();
    await_recovery(&stack, &collector, "one of three nodes was killed")?;
    nodes[1].kill();
    pass(Duration::from_secs(5));
    assert!(agent.outbox_status()?.pending > 20, "one node of three takes nothing\n{}", agent.log());
    stack.kafka.start()?;
    await_recovery(&stack, &collector, "two killed nodes are back")?;

    nodes.iter().for_each(|node| node.pause());
    pass(Duration::from_secs(60));
    nodes.iter().for_each(|node| node.resume());
    await_recovery(&stack, &collector, "three nodes that were stopped for 60 s go on")?;

    assert_all_arrived(&stack, &agent, &collector)
}

#[test]
fn results_arrive_after_a_network_that_hung_or_refused_and_from_a_broker_that_moved() -> Result<()> {
    let stack = Stack::with().own_kafka().start()?;
    let node = &stack.kafka.nodes()?[0];
    let bootstrap = node.another_way()?;
    let servers = format!("127.0.0.1:{}", bootstrap.port());
    // An answer about the brokers is nearly always on its way: when its connection is lost just then, librdkafka forgets how
    // to begin again.
    let collector = stack
        .collector()
        .set("kafka.bootstrap_servers", servers.as_str())
        .set("kafka.properties", json!({"topic.metadata.refresh.interval.ms": "20"}))
        .start()?;
    let site = stack.web.site("/", Answer::ok(""));
    let agent = stack
        .agent()
        .set("kafka.bootstrap_servers", servers.as_str())
        .interval("100ms")
        .monitor("site", site)
        .start()?;
    await_rows(&stack, 5)?;

    // The network hangs for longer than a request may take.
    node.proxy.hang()?;
    bootstrap.hang()?;
    pass(Duration::from_secs(12));
    node.proxy.open()?;
    bootstrap.open()?;
    await_recovery(&stack, &collector, "the network hung")?;

    node.proxy.refuse();
    bootstrap.refuse();
    pass(Duration::from_secs(5));
    node.proxy.open()?;
    bootstrap.open()?;
    await_recovery(&stack, &collector, "the network refused")?;

    let moved = node.another_way()?;
    // The collector is paused. Otherwise it may ask for the group's coordinator while there is none yet, and is then
    // told to forget what it knew.
    collector.pause();
    stack.kafka.stop()?;
    node.proxy.refuse();
    node.advertise(moved.port())?;
    stack.kafka.start()?;
    eventually("the group has a coordinator", || stack.topic.committed(&collector.group));
    collector.resume();
    await_recovery(&stack, &collector, "the broker has another address")?;

    assert_all_arrived(&stack, &agent, &collector)
}

#[test]
fn a_topic_deleted_while_results_stream_takes_only_what_was_acknowledged_and_not_yet_read() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let site = stack.web.site("/", Answer::ok(""));
    let collector = stack.collector().set("kafka.partitions", 1).start()?;
    let agent = stack.agent().set("kafka.partitions", 1).interval("50ms").monitor("site", site).start()?;
    await_rows(&stack, 20)?;

    // The collector is paused until the new topic has more messages than the collector had read of the old topic.
    collector.pause();
    let read = stack.topic.len()?;
    stack.topic.delete()?;
    let deleted_at = Timestamp::now();
    eventually("the topic is made again", || stack.topic.make());
    eventually("a longer topic", || {
        let long = stack.topic.len()?;
        ensure!(long > read + 20, "{long} messages, {read} before");
        Ok(())
    });
    collector.resume();
    await_from(&stack, &collector, deleted_at, "the topic was reset behind the collector's back")?;

    // The collector keeps up, so the topic has hardly any message that is not yet in the table.
    stack.topic.delete()?;
    await_from(&stack, &collector, Timestamp::now(), "the topic was deleted")?;

    // These results are lost by the operator's deletion. Kafka had acknowledged them, so they are no longer in the
    // outbox, and they were deleted before a collector read them.
    settle(&stack, &agent, &collector)?;
    let lost = mismatches(&stack)?.requests_without_row;
    assert_eq!(collector.verify()?.total.missing, lost.len() as u64, "{lost:#?}");
    assert_eq!(collector.stop()?.code(), Some(0));
    agent.start()?;
    await_requests(&stack, 20);
    assert_eq!(agent.stop()?.code(), Some(0));
    let unread = stack.topic.lag(&collector.group)?;
    stack.topic.delete()?;
    collector.start()?;
    agent.start()?;
    await_rows(&stack, 5)?;
    settle(&stack, &agent, &collector)?;

    let found = mismatches(&stack)?;
    assert!(found.rows_without_request.is_empty() && found.requests_with_several_rows.is_empty(), "{found:#?}");
    assert_no_number_twice(&stack)?;
    let verification = collector.verify()?;
    assert_eq!(verification.code, Some(1), "it has to show: {verification:#?}");
    assert_eq!(verification.total.missing, lost.len() as u64 + unread, "{verification:#?}");
    Ok(())
}

#[test]
fn a_record_that_the_topic_no_longer_takes_is_declared_and_stops_no_other() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let port = stack.kafka.bootstrap_servers().rsplit(':').next().context("a port")?.parse()?;
    let to_kafka = e2e::proxy::Proxy::start("127.0.0.1", port)?;
    to_kafka.refuse();
    // The noise has four thousand characters, and no codec compresses it to half of its length.
    let noise: String = (0..125).map(|_| Uuid::new_v4().simple().to_string()).collect();
    let agent = stack
        .agent()
        .interval("100ms")
        .set("kafka.bootstrap_servers", format!("127.0.0.1:{}", to_kafka.port()))
        .monitor("small", stack.web.site("/small", Answer::ok("")))
        .monitor("large", stack.web.site("/large", Answer::ok("")))
        .pattern(&noise)
        .option("interval", "2s")
        .start()?;
    await_pending(&agent, 60);
    eventually("a large one waits too", || {
        ensure!(stack.web.count("/large") > 1, "none");
        Ok(())
    });

    // The limit is below the size of the large record, and below the size of a batch of small records.
    stack.topic.configure("max.message.bytes", "1500")?;
    to_kafka.open()?;
    let checked = stack.web.count("/small");
    eventually("the small ones that waited are there", || {
        let rows = stack.rows(&stack.web.url("/small"))?;
        ensure!(rows >= checked, "{rows} of {checked} rows\n{}", agent.log());
        Ok(())
    });

    // Each large record takes a while to be declared, and a stop does not wait for many of them.
    let large = stack.web.count("/large");
    eventually("the large ones that waited are declared", || {
        let dropped = agent.outbox_status()?.dropped;
        ensure!(dropped >= large, "{dropped} of {large}\n{}", agent.log());
        Ok(())
    });

    settle(&stack, &agent, &collector)?;
    let verification = assert_verified(&collector)?;
    assert_eq!(verification.total.dropped, stack.web.count("/large"), "{verification:#?}\n{}", agent.log());
    assert_eq!(stack.rows(&stack.web.url("/small"))?, stack.web.count("/small"));
    assert_eq!(stack.rows(&stack.web.url("/large"))?, 0);
    assert_no_number_twice(&stack)
}

#[test]
fn an_agent_whose_login_is_refused_delivers_once_the_broker_lets_it_in() -> Result<()> {
    let stack = Stack::with().own_kafka().start()?;
    let node = &stack.kafka.nodes()?[0];
    let collector = stack.collector().start()?;
    let password = "s3cret-of-the-agent";
    let agent = stack
        .agent()
        .interval("100ms")
        .set("kafka.bootstrap_servers", format!("127.0.0.1:{}", node.login_port()))
        .set("kafka.security_protocol", "sasl_plaintext")
        .set("kafka.sasl", json!({"mechanism": "PLAIN", "username": "agent", "password": password}))
        .monitor("site", stack.web.site("/", Answer::ok("")))
        .start()?;
    await_pending(&agent, 20);
    eventually("the agent says why", || {
        let log = agent.log();
        ensure!(log.contains("kafka takes no records") && log.contains("Authentication failed"), log);
        Ok(())
    });
    assert_eq!(agent.outbox_status()?.acknowledged_position, 0);

    node.let_in("agent", password)?;
    stack.kafka.stop()?;
    stack.kafka.start()?;
    await_recovery(&stack, &collector, "the login is good")?;

    assert!(!agent.log().contains(password), "{}", agent.log());
    assert_all_arrived(&stack, &agent, &collector)
}

/// Starts a collector and an agent that checks ten times a second, and waits until five more rows are stored.
fn streaming(stack: &Stack) -> Result<(Agent, Collector)> {
    let collector = stack.collector().start()?;
    let agent = stack.agent().interval("100ms").monitor("site", stack.web.site("/", Answer::ok(""))).start()?;
    await_rows(stack, 5)?;
    Ok((agent, collector))
}

/// Waits for this time, so that a fault lasts long enough to meet the timeouts of the daemons.
fn pass(time: Duration) {
    let began = Instant::now();
    eventually("time passes", || {
        ensure!(began.elapsed() >= time, "{:?}", began.elapsed());
        Ok(())
    });
}

fn await_pending(agent: &Agent, least: u64) {
    eventually(&format!("{least} records wait"), || {
        let status = agent.outbox_status()?;
        ensure!(status.pending >= least, "{status:?}");
        Ok(())
    });
}

/// Waits until 20 more checks are in the table, and until the group has committed all messages.
fn await_recovery(stack: &Stack, collector: &Collector, after: &str) -> Result<()> {
    let (began, checked) = (Instant::now(), stack.web.total() + 20);
    eventually(after, || {
        let rows = stack.database.count(RESULTS)?;
        ensure!(rows >= checked, "{rows} rows of {checked} checks\n{}", collector.log());
        Ok(())
    });
    // The test asks for the length repeatedly, because a new client may ask a dead node first.
    let sent = eventually(after, || stack.topic.len());
    eventually(after, || {
        let committed = stack.topic.committed(&collector.group)?.iter().sum::<i64>() as u64;
        ensure!(committed >= sent, "{committed} of {sent} messages are committed\n{}", collector.log());
        Ok(())
    });
    eprintln!("{after}: all is there after {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Waits until every check from `since` to now has its row in the table. The results of checks right before the
/// deletion of a topic may have been acknowledged and deleted with the topic.
fn await_from(stack: &Stack, collector: &Collector, since: Timestamp, after: &str) -> Result<()> {
    let began = Instant::now();
    await_requests(stack, 20);
    let checked = stack.web.requests().len();
    eventually(after, || {
        let missing = mismatches(stack)?.requests_without_row;
        let late = missing.iter().filter(|(number, request)| **number < checked && request.seen_at > since).count();
        ensure!(late == 0, "{late} are missing\n{}", collector.log());
        Ok(())
    });
    eprintln!("{after}: all is there after {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn assert_all_arrived(stack: &Stack, agent: &Agent, collector: &Collector) -> Result<()> {
    settle(stack, agent, collector)?;
    assert_each_request_has_one_row(stack)?;
    assert_eq!(assert_verified(collector)?.total.dropped, 0);
    await_no_lag(stack, collector);
    Ok(())
}
