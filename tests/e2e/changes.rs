//! Options are changed while results wait in the outbox. The tests ask whether these results still arrive.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::agent::Agent;
use e2e::daemon::Settings;
use e2e::proxy::Proxy;
use e2e::web::Answer;
use e2e::{Stack, eventually};
use serde_json::{Value, json};

use crate::truth::{
    assert_each_request_has_one_row, assert_verified, await_delivered, await_no_lag, await_requests, rows, settle,
};

/// The longest time of a stop. No check takes long here. The last attempts to publish take 5 s, and the rest is for a
/// loaded machine.
const STOP: Duration = Duration::from_secs(10);

#[test]
fn nothing_is_stranded_by_a_restart_with_any_option_changed_while_kafka_is_away() -> Result<()> {
    let stack = Stack::start()?;
    let port = stack.kafka.bootstrap_servers().rsplit(':').next().context("a port")?.parse()?;
    let (one_way, other_way) = (Proxy::start("127.0.0.1", port)?, Proxy::start("127.0.0.1", port)?);
    one_way.refuse();
    other_way.refuse();
    let monitors = ["/one", "/two", "/three"].map(|path| (path, stack.web.site(path, Answer::ok("here"))));
    let monitor =
        |n: usize, option: &str, value: Value| json!({"name": monitors[n].0, "url": monitors[n].1, option: value});
    let agent = stack
        .agent()
        .interval("100ms")
        .set("kafka.bootstrap_servers", format!("127.0.0.1:{}", one_way.port()))
        .set("kafka.topic", "never-made")
        .set("kafka.create_topic", false)
        .monitor("/one", &monitors[0].1)
        .monitor("/two", &monitors[1].1)
        .start()?;
    let mut settings = agent.settings.clone();

    // A stop without Kafka takes five seconds, so some options are changed together.
    let changes = [
        vec![
            ("kafka.properties", json!({"compression.type": "zstd", "linger.ms": "50"})),
            ("kafka.bootstrap_servers", json!(format!("127.0.0.1:{}", other_way.port()))),
        ],
        vec![("outbox.max_size", json!("16MiB")), ("outbox.when_full", json!("pause"))],
        vec![
            ("monitors", json!([monitor(1, "pattern", json!("here")), monitor(2, "interval", json!("200ms"))])),
            ("agent.name", json!("edge-renamed")),
        ],
        vec![("kafka.topic", json!(stack.topic.name()))],
    ];
    for changed in changes {
        await_requests(&stack, 10);
        let before = agent.outbox_status()?;
        restart_with(&agent, &mut settings, &changed)?;
        let after = eventually("the agent has its outbox", || {
            let status = agent.outbox_status()?;
            ensure!(status.pending >= before.pending + 2, "{changed:?}: {before:?}, now {status:?}");
            Ok(status)
        });
        assert_eq!(after.acknowledged_position, 0, "{changed:?}");
    }
    await_requests(&stack, 10);
    assert!(!agent.log().contains("skipped"), "{}", agent.log());

    let collector = stack.collector().start()?;
    other_way.open()?;
    await_delivered(&agent, agent.outbox_status()?.position);
    settle(&stack, &agent, &collector)?;
    assert_each_request_has_one_row(&stack)?;
    let verification = assert_verified(&collector)?;
    assert_eq!((verification.epochs.len(), verification.total.dropped), (5, 0), "{verification:#?}");
    let names: Vec<String> = rows(&stack)?.into_iter().map(|row| row.agent).collect();
    assert!(["edge-1", "edge-renamed"].iter().all(|name| names.iter().any(|found| found == name)));
    Ok(())
}

#[test]
fn what_waits_goes_on_to_the_new_topic_when_the_topic_is_changed_while_results_stream() -> Result<()> {
    let (stack, next) = (Stack::start()?, Stack::start()?);
    let site = stack.web.site("/", Answer::ok(""));
    let agent = stack.agent().interval("50ms").monitor("site", site).start()?;
    await_requests(&stack, 20);
    // The agent is killed, so that some results wait in the outbox.
    agent.kill();
    stack.web.await_idle();
    let killed = stack.web.total();
    // The outbox also has the report of the start, which is no result.
    let status = agent.outbox_status()?;
    let taken = status.highest_seq - 1 + status.in_journal;
    let mut settings = agent.settings.clone();
    settings.set("kafka.topic", next.topic.name());
    agent.configure(&settings)?;
    agent.start()?;
    await_requests(&stack, 20);
    // The results of both topics are stored in one database.
    let (first, second) = (stack.collector().start()?, stack.collector());
    let second = second.set("kafka.topic", next.topic.name()).group("second").start()?;
    let ended = agent.stop()?;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(agent.outbox_status()?.pending, 0);
    await_no_lag(&stack, &first);
    await_no_lag(&next, &second);

    let found = crate::truth::mismatches(&stack)?;
    // A kill loses at most the check that is under way.
    let lost = found.requests_without_row.keys().map(|number| *number as u64);
    assert!(lost.eq(taken..killed) && killed - taken <= 1, "{taken} taken of {killed}: {found:#?}");
    assert!(found.rows_without_request.is_empty() && found.requests_with_several_rows.is_empty(), "{found:#?}");
    assert_verified(&second)?;
    Ok(())
}

fn restart_with(agent: &Agent, settings: &mut Settings, changed: &[(&str, Value)]) -> Result<()> {
    let begin = Instant::now();
    let ended = agent.stop()?;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(begin.elapsed() < STOP, "before {changed:?}: {:?}\n{}", begin.elapsed(), ended.stderr);
    for (option, value) in changed {
        settings.set(option, value.clone());
    }
    agent.configure(settings)?;
    agent.start()
}
