//! An agent and a collector as containers: what an operator does to them, and what must be true after it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::Stack;
use e2e::collector::Collector;
use e2e::directory::directory;
use e2e::eventually::within;
use e2e::ports::free_port;
use e2e::web::Answer;
use serde_json::Value;

use crate::container::Container;
use crate::engine::Engine;

const AGENT: &str = "website-monitor-agent";
const COLLECTOR: &str = "website-monitor-collector";
const OUTBOX: &str = "outbox:/var/lib/website-monitor";

/// As many results wait while Kafka is away.
const BACKLOG: u64 = 100;
const BOUND: Duration = Duration::from_secs(120);

#[test]
#[ignore = "runs a Docker engine, as root: ./dev test-image"]
fn an_outbox_on_a_volume_goes_from_container_to_container() -> Result<()> {
    let engine = Engine::start()?;
    engine.build()?;
    let base = engine.size_of_base()?;
    for image in [AGENT, COLLECTOR] {
        let size = engine.size(image)?;
        eprintln!("   {image}: {:.1} MB, {:.1} MB of them the Debian below", mega(size), mega(base));
    }
    let docked = Docked::new(&engine)?;
    let collector = docked.collector()?;

    let first = docked.agent()?;
    first.await_health("healthy")?;
    assert_it_may_do_little(&first)?;
    docked.await_stored(3)?;
    // A loop that hangs is noticed, here all of them.
    first.signal("STOP")?;
    first.await_health("unhealthy")?;
    first.signal("CONT")?;
    first.await_health("healthy")?;
    ensure!(first.stop()? == 0, "the agent did not end in time");

    docked.stack.kafka.stop()?;
    let second = docked.agent()?;
    docked.await_backlog(&second, BACKLOG)?;
    second.await_health("healthy")?;
    ensure!(second.stop()? == 0, "the agent did not end in time without Kafka");
    let third = docked.agent()?;
    docked.await_backlog(&third, 2 * BACKLOG)?;
    third.kill()?;
    docked.stack.kafka.start()?;
    docked.assert_each_once_over(4, docked.agent()?)?;
    ensure!(collector.stop()? == 0, "the collector did not end in time");
    Ok(())
}

fn assert_it_may_do_little(container: &Container<'_>) -> Result<()> {
    let process = container.state("Pid")?;
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).context("no such line");
    ensure!(line("Uid:")?.split_whitespace().all(|user| user == "10001"), "{status}");
    ensure!(line("CapBnd:")?.trim().trim_start_matches('0').is_empty(), "{status}");
    let memory = line("VmRSS:")?.trim();
    let written = container.exec(&["touch", "/usr/bin/there"]).err().context("its root can be written to")?;
    ensure!(format!("{written:#}").contains("Read-only file system"), "{written:#}");
    eprintln!("   as user 10001 without a capability; {memory}");
    Ok(())
}

/// What containers run between.
struct Docked<'e> {
    engine: &'e Engine,
    stack: Stack,
    /// Asks the tables from outside.
    judge: Collector,
    monitors: String,
    secrets: String,
    port: String,
}

impl<'e> Docked<'e> {
    fn new(engine: &'e Engine) -> Result<Docked<'e>> {
        let stack = Stack::with().own_kafka().start()?;
        let judge = stack.collector().build()?;
        let (monitors, secrets) = (directory("monitors.d")?, directory("secrets")?);
        // The agent reads it as itself; a secret is mounted as the file that it is.
        fs::set_permissions(&monitors, Permissions::from_mode(0o755))?;
        let site = stack.web.site("/", Answer::ok("here"));
        fs::write(monitors.join("shop.yaml"), format!("- {{name: shop, url: \"{site}\", interval: 100ms}}\n"))?;
        let secret = secrets.join("database-password");
        fs::write(&secret, stack.database.password())?;
        let monitors = format!("{}:/etc/website-monitor/monitors.d:ro", monitors.display());
        let secrets = format!("{}:/run/secrets/database-password:ro", secret.display());
        Ok(Docked { engine, stack, judge, monitors, secrets, port: format!("HTTP_PORT={}", free_port()?) })
    }

    fn kafka(&self) -> [String; 2] {
        let (servers, topic) = (self.stack.kafka.bootstrap_servers(), self.stack.topic.name());
        [format!("KAFKA_BOOTSTRAP_SERVERS={servers}"), format!("KAFKA_TOPIC={topic}")]
    }

    fn agent(&self) -> Result<Container<'e>> {
        let [servers, topic] = self.kafka();
        let volumes = ["--volume", OUTBOX, "--volume", &self.monitors];
        let variables = ["--env", &servers, "--env", &topic, "--env", &self.port];
        Container::run(self.engine, AGENT, &[&["--hostname", "edge-1"], &volumes[..], &variables].concat())
    }

    fn collector(&self) -> Result<Container<'e>> {
        let [servers, topic] = self.kafka();
        let database = &self.stack.database;
        let variables = [
            servers,
            topic,
            format!("KAFKA_GROUP={}", self.judge.group),
            "DATABASE_HOST=127.0.0.1".to_owned(),
            format!("DATABASE_PORT={}", database.proxy.port()),
            format!("DATABASE_NAME={}", database.name()),
            format!("DATABASE_USER={}", database.user()),
        ];
        let variables = variables.iter().flat_map(|variable| ["--env", variable]);
        let options: Vec<&str> = ["--volume", &self.secrets].into_iter().chain(variables).collect();
        Container::run(self.engine, COLLECTOR, &options)
    }

    fn await_stored(&self, least: u64) -> Result<()> {
        within(BOUND, "results are stored", || {
            let stored = self.stack.database.count("website_monitor.results")?;
            ensure!(stored >= least, "{stored} results");
            Ok(())
        })
    }

    fn await_backlog(&self, agent: &Container<'_>, least: u64) -> Result<()> {
        within(BOUND, "a backlog waits in the outbox", || {
            let pending = outbox(agent, "pending")?;
            ensure!(pending >= least, "{pending} results wait");
            Ok(())
        })
    }

    /// All that the outbox ever took is stored, none of it twice, in this many runs of one agent.
    fn assert_each_once_over(&self, runs: usize, last: Container<'_>) -> Result<()> {
        within(BOUND, "the backlog is delivered", || {
            let pending = outbox(&last, "pending")?;
            ensure!(pending < BACKLOG, "{pending} results wait");
            Ok(())
        })?;
        ensure!(last.stop()? == 0, "the agent did not end in time");
        let status = ["run", "--rm", "--env", "KAFKA_BOOTSTRAP_SERVERS=-:1", "--volume", OUTBOX, AGENT];
        let status = self.engine.ok(&[&status[..], &["outbox", "status", "--format", "json"]].concat())?;
        let appended = figure(&status, "position")?;
        let verification = within(BOUND, "all that was ever appended is stored", || {
            let verification = self.judge.verify()?;
            let total = &verification.total;
            ensure!((verification.code, total.missing, total.pending) == (Some(0), 0, 0), "{verification:#?}");
            ensure!(total.issued == appended && total.stored == appended, "{appended} appended: {verification:#?}");
            Ok(verification)
        })?;
        ensure!(verification.epochs.len() == runs, "{verification:#?}");
        ensure!(verification.epochs.iter().all(|epoch| epoch.agent == "edge-1"), "{verification:#?}");
        let table = self.judge.verify_table()?;
        ensure!(!table.contains("forked"), "{table}");
        let twice = "(select from website_monitor.results group by epoch_id, seq having count(*) > 1) twice";
        ensure!(self.stack.database.count(twice)? == 0, "numbers are there twice");
        eprintln!("   verify: {appended} issued and stored, in {runs} containers");
        Ok(())
    }
}

fn outbox(agent: &Container<'_>, name: &str) -> Result<u64> {
    figure(&agent.exec(&[AGENT, "outbox", "status", "--format", "json"])?, name)
}

fn figure(status: &str, name: &str) -> Result<u64> {
    serde_json::from_str::<Value>(status)?[name].as_u64().context("no number")
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
