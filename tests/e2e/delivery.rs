//! Agents check sites. The tests ask whether the result of each check reaches the table once and unchanged.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::agent::{Agent, AgentSetup};
use e2e::collector::CollectorSetup;
use e2e::ports::free_port;
use e2e::proxy::Proxy;
use e2e::web::Answer;
use e2e::{Stack, eventually};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::truth::{
    RESULTS, assert_each_request_has_one_row, assert_verified, await_delivered, await_requests, await_rows, rows,
    settle,
};

#[test]
fn every_request_that_the_web_server_saw_has_exactly_one_row() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let agent = each_kind_of_site(&stack, stack.agent())?.start()?;
    await_requests(&stack, 40);

    settle(&stack, &agent, &collector)?;

    assert_each_request_has_one_row(&stack)?;
    let verification = assert_verified(&collector)?;
    assert_eq!(verification.total.pending, 0, "{verification:#?}");
    assert_eq!(verification.epochs.iter().map(|epoch| epoch.closed).collect::<Vec<_>>(), [true]);
    Ok(())
}

#[test]
fn each_row_says_how_its_check_ended() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let agent = each_kind_of_site(&stack, stack.agent())?.start()?;
    await_requests(&stack, 20);
    settle(&stack, &agent, &collector)?;

    // A machine that was too busy for a check says so in the row.
    let (busy, checked): (Vec<_>, Vec<_>) = rows(&stack)?.into_iter().partition(|row| row.outcome == "agent_error");
    assert!(busy.iter().all(|row| row.error.as_deref().is_some_and(|error| error.contains("had no CPU"))), "{busy:#?}");
    let kinds: BTreeSet<_> = checked
        .into_iter()
        .map(|row| (row.name, row.outcome, row.status_code, row.reason, row.pattern, row.pattern_matched))
        .collect();

    let text = |text: &str| Some(text.to_owned());
    let kind = |name: &str, outcome: &str, code, reason, pattern, matched| {
        (name.to_owned(), outcome.to_owned(), code, reason, pattern, matched)
    };
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        [
            kind("broken", "status_mismatch", Some(500), text("Internal Server Error"), None, None),
            kind("good", "success", Some(200), text("OK"), text("Wel+come"), Some(true)),
            kind("hanging", "timeout", None, None, None, None),
            kind("refused", "connection_refused", None, None, None, None),
            kind("wrong", "pattern_mismatch", Some(200), text("OK"), text("Wel+come"), Some(false)),
        ]
    );
    let failed = rows(&stack)?.into_iter().filter(|row| row.outcome != "success");
    assert!(failed.into_iter().all(|row| row.error.is_some()), "a check that failed says why");
    Ok(())
}

#[test]
fn ports_and_name_servers_reach_the_table_as_well_and_so_do_further_attempts() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let name_server = name_server()?;
    let agent = stack
        .agent()
        .monitor("port", format!("tcp://127.0.0.1:{}", stack.web.port()))
        .monitor("refusing port", format!("tcp://127.0.0.1:{}", free_port()?))
        .option("retries", 2)
        .monitor("name", format!("dns://{name_server}/shop.example"))
        .pattern(r"^192\.0\.2\.7")
        .monitor("no mail", format!("dns://{name_server}/shop.example?type=MX"))
        .start()?;
    eventually("all have rows", || {
        let seen = stack.database.count("(select distinct monitor_id from website_monitor.results) seen")?;
        ensure!(seen == 4, "{seen} monitors: {}", agent.log());
        Ok(())
    });
    settle(&stack, &agent, &collector)?;

    let kinds: Vec<Value> = stack.database.rows(&format!(
        "select m.name, r.outcome, r.status_code, max(r.attempts) as attempts, r.pattern_matched, \
         r.error is not null as has_error from {RESULTS} r join website_monitor.monitors m using (monitor_id) \
         group by 1, 2, 3, 5, 6 order by m.name"
    ))?;
    let kind = |name: &str, outcome: &str, attempts: u32, matched: Option<bool>, error: bool| {
        json!({"name": name, "outcome": outcome, "status_code": null, "attempts": attempts,
               "pattern_matched": matched, "has_error": error})
    };
    assert_eq!(
        kinds,
        [
            kind("name", "success", 1, Some(true), false),
            kind("no mail", "dns_error", 1, None, true),
            kind("port", "success", 1, None, false),
            kind("refusing port", "connection_refused", 3, None, true),
        ]
    );
    assert_verified(&collector)?;
    Ok(())
}

/// Starts a name server that answers every question with the same address, and returns the address of the server.
fn name_server() -> Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut question) {
            let mut answer = question[..length].to_vec();
            // The message is an answer without an error. It has one record of the asked name: type A, class IN, valid
            // for one minute.
            (answer[2], answer[3], answer[7]) = (0x81, 0x80, 1);
            answer.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07");
            socket.send_to(&answer, peer).ok();
        }
    });
    Ok(address)
}

#[test]
fn the_view_website_status_has_what_readers_of_the_one_table_app_expect() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let agent = each_kind_of_site(&stack, stack.agent())?.start()?;
    await_requests(&stack, 10);
    settle(&stack, &agent, &collector)?;

    let view = "website_monitor.website_status";
    assert_eq!(stack.database.count(view)?, stack.database.count(RESULTS)?);
    let of = |name: &str| -> Result<Value> {
        let rows: Vec<Value> = stack.database.rows(&format!(
            "select name, url, status_code, reason, response_time > 0 and response_time < 60 as has_response_time, \
             now() - checked_at < interval '1 hour' as is_recent, pattern, has_pattern \
             from {view} where name = '{name}' limit 1"
        ))?;
        rows.into_iter().next().with_context(|| format!("no row of {name}"))
    };
    assert_eq!(
        of("good")?,
        json!({"name": "good", "url": stack.web.url("/good"), "status_code": 200, "reason": "OK",
               "has_response_time": true, "is_recent": true, "pattern": "Wel+come", "has_pattern": true})
    );
    assert_eq!((&of("wrong")?["has_pattern"], &of("broken")?["has_pattern"]), (&json!(false), &Value::Null));
    assert_eq!(
        (&of("refused")?["status_code"], &of("refused")?["reason"]),
        (&Value::Null, &json!("connection_refused"))
    );
    Ok(())
}

#[test]
fn an_absent_topic_is_made_with_the_configured_partitions() -> Result<()> {
    let stack = Stack::start()?;
    let (from_agent, from_collector) = (new_topic_name(), new_topic_name());
    let site = stack.web.site("/", Answer::ok(""));
    let agent = AgentSetup::new(stack.kafka.bootstrap_servers(), &from_agent)
        .set("kafka.partitions", 3)
        .monitor("site", site)
        .start()?;
    let collector =
        CollectorSetup::new(stack.kafka.bootstrap_servers(), &from_collector, "collectors", &stack.database)
            .set("kafka.partitions", 5)
            .start()?;

    for (topic, partitions) in [(&from_agent, 3), (&from_collector, 5)] {
        eventually(&format!("a topic with {partitions} partitions"), || {
            let found = partitions_of(stack.kafka.direct(), topic)?;
            ensure!(found == partitions, "{found} partitions\n{}{}", agent.log(), collector.log());
            Ok(())
        });
    }
    eventually("what waited for the topic is delivered", || {
        let status = agent.outbox_status()?;
        ensure!(status.acknowledged_position > 1, "{status:?}");
        Ok(())
    });
    Ok(())
}

#[test]
fn an_absent_topic_is_waited_for_where_it_is_not_to_be_made() -> Result<()> {
    let stack = Stack::start()?;
    let topic = new_topic_name();
    let site = stack.web.site("/", Answer::ok(""));
    let agent = AgentSetup::new(stack.kafka.bootstrap_servers(), &topic)
        .set("kafka.create_topic", false)
        .monitor("site", site)
        .start()?;
    await_requests(&stack, 2);
    eventually("the agent says what is missing", || {
        ensure!(agent.log().contains("does not exist; make it, or set kafka.create_topic to true"), agent.log());
        Ok(())
    });
    assert!(partitions_of(stack.kafka.direct(), &topic).is_err(), "somebody made it");
    assert_eq!(agent.outbox_status()?.acknowledged_position, 0);
    assert_eq!(agent.stop()?.code(), Some(0));
    Ok(())
}

#[test]
fn an_agent_started_without_kafka_and_a_collector_started_without_postgres_deliver_once_they_are_there() -> Result<()> {
    let stack = Stack::start()?;
    // At its start the agent knows only this address of Kafka.
    let port = stack.kafka.bootstrap_servers().rsplit(':').next().context("a port")?.parse()?;
    let to_kafka = Proxy::start("127.0.0.1", port)?;
    to_kafka.refuse();
    stack.database.proxy.refuse();
    let collector = stack.collector().start()?;
    let agent = each_kind_of_site(&stack, stack.agent())?
        .set("kafka.bootstrap_servers", format!("127.0.0.1:{}", to_kafka.port()))
        .start()?;

    await_requests(&stack, 20);
    let status = eventually("the outbox holds what was checked", || {
        let status = agent.outbox_status()?;
        ensure!(status.pending >= 20, "{status:?}");
        Ok(status)
    });
    assert_eq!(status.acknowledged_position, 0);
    said_once(&agent.log(), "kafka takes no records");
    eventually("the collector says that it waits", || {
        said_once(&collector.log(), "the database does not store: waiting for it");
        ensure!(collector.log().contains("the database does not store"), collector.log());
        Ok(())
    });
    let waited = agent.outbox_status()?.position;
    to_kafka.open()?;
    await_delivered(&agent, waited);
    assert!(stack.database.count(RESULTS).is_err(), "the tables were made through a closed door");
    stack.database.proxy.open()?;
    eventually("the tables are there", || stack.database.count(RESULTS));
    await_rows(&stack, 5)?;

    settle(&stack, &agent, &collector)?;
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&collector)?;
    Ok(())
}

#[test]
fn once_checks_every_monitor_without_kafka_and_without_an_outbox() -> Result<()> {
    let stack = Stack::start()?;
    let nowhere = format!("127.0.0.1:{}", free_port()?);
    let agent = each_kind_of_site(&stack, AgentSetup::new(&nowhere, "topic"))?.build()?;

    let ended = agent.command(&["once", "--format", "json"])?;

    assert_eq!(ended.code(), Some(1), "some fail: {}", ended.stderr);
    let results: Vec<Value> = ended.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let outcomes: Vec<_> = results.iter().map(|result| (&result["name"], &result["outcome"])).collect();
    let expected = [
        ("good", "success"),
        ("wrong", "pattern_mismatch"),
        ("broken", "status_mismatch"),
        ("hanging", "timeout"),
        ("refused", "connection_refused"),
    ];
    let expected = expected.map(|(name, outcome)| (json!(name), json!(outcome)));
    assert_eq!(outcomes, expected.iter().map(|(name, outcome)| (name, outcome)).collect::<Vec<_>>());
    assert_eq!(stack.web.total(), 4, "each once, and no one asked the one that refuses");
    assert!(!outbox(&agent).exists(), "it made an outbox");

    stack.web.site("/wrong", Answer::ok("Welcome"));
    let all_good = AgentSetup::new(&nowhere, "topic").monitor("wrong", stack.web.url("/wrong")).pattern("W").build()?;
    let ended = all_good.command(&["once"])?;
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("success"), "{}", ended.stdout);
    Ok(())
}

#[test]
fn check_config_shows_what_would_run_without_kafka_and_without_an_outbox() -> Result<()> {
    let stack = Stack::start()?;
    let nowhere = format!("127.0.0.1:{}", free_port()?);
    let agent = AgentSetup::new(&nowhere, "topic").monitor("shop", stack.web.url("/shop")).build()?;
    let ended = agent.command(&["check-config"])?;
    assert_eq!(ended.code(), Some(0), "{}", ended.stdout);
    assert!(ended.stdout.contains("shop: http://127.0.0.1:"), "{}", ended.stdout);
    assert!(ended.stdout.contains("no faults"), "{}", ended.stdout);
    assert!(!outbox(&agent).exists(), "it made an outbox");

    let collector = CollectorSetup::new(&nowhere, "topic", "collectors", &stack.database).build()?;
    stack.database.proxy.refuse();
    let ended = collector.command(&["check-config"])?;
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(stack.web.total(), 0);
    Ok(())
}

/// Adds five monitors to the agent, in the order good, wrong, broken, hanging, refused. Only the first succeeds.
fn each_kind_of_site(stack: &Stack, agent: AgentSetup) -> Result<AgentSetup> {
    Ok(agent
        .interval("250ms")
        .monitor("good", stack.web.site("/good", Answer::ok("Welllcome").after(Duration::from_millis(5))))
        .pattern("Wel+come")
        .monitor("wrong", stack.web.site("/wrong", Answer::ok("This domain is for sale")))
        .pattern("Wel+come")
        .monitor("broken", stack.web.site("/broken", Answer::status(500)))
        .monitor("hanging", stack.web.site("/hanging", Answer::hang()))
        .option("timeout", "200ms")
        .monitor("refused", format!("http://127.0.0.1:{}/", free_port()?)))
}

#[track_caller]
fn said_once(log: &str, what: &str) {
    assert!(log.matches(what).count() <= 1, "said more than once: {log}");
}

fn outbox(agent: &Agent) -> std::path::PathBuf {
    agent.settings.0["outbox"]["path"].as_str().unwrap_or_default().into()
}

fn new_topic_name() -> String {
    format!("test-made-{}", Uuid::new_v4().simple())
}

fn partitions_of(broker: &str, topic: &str) -> Result<usize> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", broker).set("allow.auto.create.topics", "false").create()?;
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let topic = metadata.topics().first().context("no metadata")?;
    ensure!(topic.error().is_none(), "{:?}", topic.error());
    Ok(topic.partitions().len())
}
