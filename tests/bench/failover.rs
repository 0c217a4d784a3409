//! How soon results flow again after a death.
//!
//! 1. Of one of three Kafka nodes: until Kafka has given it up, until records of the agent are taken, until rows of
//!    checks made after it are in PostgreSQL, and until all is there that was checked meanwhile. Each round kills the
//!    node that does what hurts: the one that coordinates the collector's group, that leads the agent's partition, or
//!    that is the active controller; it may be more than one of these. Kafka itself takes nine seconds
//!    (`broker.session.timeout.ms`), and two to four more when the controller has to be elected first.
//! 2. Of the collector, by a kill -9: from its new start until rows go on.

mod say;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::Stack;
use e2e::agent::Agent;
use e2e::collector::Collector;
use e2e::eventually::within;
use e2e::web::Answer;
use jiff::Timestamp;
use say::say;

const ROUNDS: usize = 9;
const ROLES: [&str; 3] = ["coordinator", "leader", "controller"];
const RESULTS: &str = "website_monitor.results";
const BOUND: Duration = Duration::from_secs(120);
/// The agent tells how its outbox stands every second; as exact is the time until its records are taken.
const STATUS: Duration = Duration::from_millis(1_500);

fn main() -> ExitCode {
    say::ended(measure())
}

fn measure() -> Result<()> {
    let stack = Stack::with().own_kafka_nodes(3).start()?;
    let collector = stack.collector().start()?;
    let agent = stack.agent().interval("100ms").monitor("site", stack.web.site("/", Answer::ok(""))).start()?;
    within(BOUND, "rows come", || rows_go_on(&stack, Timestamp::UNIX_EPOCH))?;
    deaths_of_nodes(&stack, &agent, &collector)?;
    deaths_of_the_collector(&stack, &collector)?;
    prove(&stack, &agent, &collector)
}

fn deaths_of_nodes(stack: &Stack, agent: &Agent, collector: &Collector) -> Result<()> {
    let (kafka, topic) = (&stack.kafka, stack.topic.name());
    let counts = stack.topic.high_watermarks()?;
    let partition = (0..).zip(&counts).max_by_key(|(_, count)| **count).context("no partition")?.0;
    let mut recoveries = Vec::new();
    say("seconds after a node's death\nit was                             kafka   sent   rows    all")?;
    for round in 0..ROUNDS {
        let roles = within(BOUND, "each role is taken", || {
            Ok([kafka.coordinator(&collector.group)?, kafka.leader(topic, partition)?, kafka.controller()?])
        })?;
        let node = roles[round % ROLES.len()];
        let held: Vec<_> = ROLES.iter().zip(roles).filter(|(_, at)| *at == node).map(|(role, _)| *role).collect();
        let (began, died) = (Instant::now(), Timestamp::now());
        kafka.nodes()?[node].kill();
        let checked = stack.web.total();
        let [given_up, sent, rows] = thread::scope(|scope| {
            let given_up = scope.spawn(|| {
                within(BOUND, "kafka gives the node up", || kafka.has_given_up(node, topic)).map(|()| began.elapsed())
            });
            let sent = scope.spawn(|| {
                thread::sleep(STATUS);
                let position = agent.outbox_status()?.position;
                let taken = || {
                    let acknowledged = agent.outbox_status()?.acknowledged_position;
                    ensure!(acknowledged >= position, "{acknowledged} of {position}");
                    Ok(())
                };
                within(BOUND, "records are taken", taken).map(|()| began.elapsed())
            });
            let rows = within(BOUND, "rows go on", || rows_go_on(stack, died)).map(|()| began.elapsed());
            let told = |thread: thread::ScopedJoinHandle<'_, Result<Duration>>| {
                thread.join().map_err(|_| anyhow::anyhow!("a panic"))?
            };
            Ok::<_, anyhow::Error>([told(given_up)?, told(sent)?, rows?].map(|time| time.as_secs_f64()))
        })?;
        within(BOUND, "all is there", || {
            let stored = stack.database.count(RESULTS)?;
            ensure!(stored >= checked + 20, "{stored}");
            Ok(())
        })?;
        let all = began.elapsed().as_secs_f64();
        say(&format!("{:<34} {given_up:>5.1}  {sent:>5.1}  {rows:>5.1}  {all:>5.1}", held.join(", ")))?;
        recoveries.push(rows);
        kafka.start()?;
        within(BOUND, "the replicas are in sync", || kafka.is_in_sync(topic))?;
    }
    summary("rows go on", recoveries)
}

fn deaths_of_the_collector(stack: &Stack, collector: &Collector) -> Result<()> {
    let mut recoveries = Vec::new();
    say("\nseconds from the start of a collector that was killed")?;
    for _ in 0..ROUNDS {
        collector.kill();
        let (began, started) = (Instant::now(), Timestamp::now());
        collector.start()?;
        within(BOUND, "rows go on", || rows_go_on(stack, started))?;
        recoveries.push(began.elapsed().as_secs_f64());
    }
    summary("rows go on", recoveries)
}

fn prove(stack: &Stack, agent: &Agent, collector: &Collector) -> Result<()> {
    ensure!(agent.stop()?.code() == Some(0), "{}", agent.log());
    within(BOUND, "the collector has read all", || {
        let lag = stack.topic.lag(&collector.group)?;
        ensure!(lag == 0, "{lag}");
        Ok(())
    })?;
    let verification = collector.verify()?;
    let (total, rows) = (&verification.total, stack.database.count(RESULTS)?);
    say(&format!(
        "\nverify: {} issued, {} stored, {} missing; {rows} rows",
        total.issued, total.stored, total.missing
    ))?;
    ensure!(verification.code == Some(0), "{verification:?}");
    ensure!(rows == stack.web.total(), "{} checks", stack.web.total());
    Ok(())
}

/// Rows of checks that were made after a time.
fn rows_go_on(stack: &Stack, time: Timestamp) -> Result<()> {
    let rows = stack.database.count(&format!("{RESULTS} where checked_at > '{time}'"))?;
    ensure!(rows > 0, "none");
    Ok(())
}

fn summary(what: &str, mut seconds: Vec<f64>) -> Result<()> {
    seconds.sort_unstable_by(f64::total_cmp);
    let (least, median, most) = (seconds[0], seconds[seconds.len() / 2], seconds[seconds.len() - 1]);
    say(&format!("{what} after {least:.1} s at best, {median:.1} s in the median, {most:.1} s at worst"))
}
