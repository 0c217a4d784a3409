//! What the whole path costs, and how fast it catches up, on real servers.
//!
//! 1. A usual load: 1,000 monitors every 10 s. CPU and memory of both daemons.
//! 2. Kafka is away until 100,000 results wait in the outbox, then comes back: results per second from its return
//!    until all are rows. In the same run `psql` copies as many rows into a table of the same columns and the same
//!    index, for a ratio that holds on any machine.

mod say;
mod usage;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::Stack;
use e2e::eventually::within;
use e2e::web::Answer;
use say::say;
use usage::usage;

const MONITORS: usize = 1_000;
const WAITING: u64 = 100_000;
/// Long enough for every monitor to have been checked, and the connections to be there.
const WARM_UP: Duration = Duration::from_secs(15);
const MEASURED: Duration = Duration::from_secs(60);
const BOUND: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    say::ended(usual_load().and_then(|()| catching_up()))
}

fn usual_load() -> Result<()> {
    say(&format!("{MONITORS} monitors every 10 s, for {} s:", MEASURED.as_secs()))?;
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let agent = with_monitors(&stack, "10s")?.start()?;
    // The time itself is what is measured, here and below.
    std::thread::sleep(WARM_UP);
    let daemons = [("agent", agent.id()), ("collector", collector.id())];
    let before = daemons.map(|(_, id)| usage(id));
    let (checks, began) = (stack.web.total(), Instant::now());
    std::thread::sleep(MEASURED);
    let (checks, seconds) = (stack.web.total() - checks, began.elapsed().as_secs_f64());
    say(&format!("  checks     {checks} in {seconds:.1} s"))?;
    for ((name, id), before) in daemons.into_iter().zip(before) {
        let (before, after) = (before?, usage(id)?);
        let cpu = after.cpu - before.cpu;
        say(&format!(
            "  {name:<10} {:.2}% of a core, {:.2} CPU s per 1,000 results, {} MiB resident, {} MiB at most",
            100.0 * cpu / seconds,
            1_000.0 * cpu / checks as f64,
            after.resident >> 20,
            after.most >> 20,
        ))?;
    }
    Ok(())
}

fn catching_up() -> Result<()> {
    say(&format!("\n{WAITING} results wait while Kafka is away:"))?;
    let stack = Stack::with().own_kafka().start()?;
    let collector = stack.collector().start()?;
    let agent = with_monitors(&stack, "500ms")?.set("workers", 256).start()?;
    within(BOUND, "the collector has made its tables", || rows(&stack).map(drop))?;
    let proxy = &stack.kafka.nodes()?[0].proxy;
    proxy.refuse();
    within(BOUND, "enough results wait", || {
        let pending = agent.outbox_status()?.pending;
        ensure!(pending >= WAITING, "{pending}");
        Ok(())
    })?;
    // No more checks: what is drained is what waits, and the machine does nothing else.
    let ended = agent.stop()?;
    ensure!(ended.code() == Some(0), "{}", ended.stderr);
    let waiting = agent.outbox_status()?;
    say(&format!(
        "  outbox     {} records, {:.0} bytes on disk each",
        waiting.pending,
        waiting.bytes as f64 / waiting.pending as f64
    ))?;
    let before = rows(&stack)?;

    let mut quiet = agent.settings.clone();
    quiet.set("monitors", serde_json::json!([]));
    agent.configure(&quiet)?;
    proxy.open()?;
    let began = Instant::now();
    agent.start()?;
    within(BOUND, "the outbox is empty", || {
        let pending = agent.outbox_status()?.pending;
        ensure!(pending == 0, "{pending}");
        Ok(())
    })?;
    let published = began.elapsed().as_secs_f64();
    within(BOUND, "everything is stored", || {
        let lag = stack.topic.lag(&collector.group)?;
        ensure!(lag == 0, "{lag}");
        Ok(())
    })?;
    let stored = began.elapsed().as_secs_f64();
    let results = rows(&stack)? - before;
    let verification = collector.verify()?;
    ensure!(verification.code == Some(0), "{verification:?}");
    let copied = copy(&stack)?;
    say(&format!("  published  {:.0} records/s, the agent's start included", waiting.pending as f64 / published))?;
    say(&format!(
        "  stored     {results} results, {:.0} results/s from Kafka's return to the last row",
        results as f64 / stored
    ))?;
    say(&format!(
        "  psql COPY  {copied:.0} rows/s of the same rows into the same columns and index: the path has {:.2} of it",
        results as f64 / stored / copied
    ))?;
    say(&format!(
        "  verify     {} issued, {} stored, {} missing",
        verification.total.issued, verification.total.stored, verification.total.missing
    ))
}

fn with_monitors(stack: &Stack, interval: &str) -> Result<e2e::agent::AgentSetup> {
    let mut setup = stack.agent().interval(interval);
    for n in 0..MONITORS {
        let url = stack.web.site(&format!("/{n}"), Answer::ok("Welcome to the shop"));
        setup = setup.monitor(&format!("monitor {n}"), url).pattern("Welcome");
    }
    Ok(setup)
}

fn rows(stack: &Stack) -> Result<u64> {
    stack.database.count("website_monitor.results")
}

/// Rows per second of a binary COPY of all results into a table like theirs.
fn copy(stack: &Stack) -> Result<f64> {
    let file = e2e::directory::directory("copy")?.join("results");
    let psql = |command: &str| -> Result<()> {
        let url = stack.database.url();
        let done = Command::new("psql").args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", command]).arg(url).status();
        ensure!(done.context("psql is missing")?.success(), "psql: {command}");
        Ok(())
    };
    let path = file.display();
    psql(&format!(
        "\\copy (select * from website_monitor.results order by monitor_id, checked_at) to '{path}' (format binary)"
    ))?;
    psql("create table copied (like website_monitor.results including all)")?;
    let began = Instant::now();
    psql(&format!("\\copy copied from '{path}' (format binary)"))?;
    Ok(stack.database.count("copied")? as f64 / began.elapsed().as_secs_f64())
}
