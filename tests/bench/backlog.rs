//! An agent whose outbox holds 2,000,000 results, from its start until all of them are rows of PostgreSQL, while its
//! checks go on: how long the start takes, what memory it takes beside an agent with the same monitors and an empty
//! outbox, how fast the backlog drains, and how late fresh results are meanwhile. An agent's results keep their order,
//! so fresh ones come after those that waited.

mod say;
mod usage;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::Stack;
use e2e::agent::{Agent, AgentSetup};
use e2e::eventually::within;
use e2e::process::Process;
use e2e::web::Answer;
use jiff::Timestamp;
use say::say;
use serde::Deserialize;
use usage::usage;

const BACKLOG: u64 = 2_000_000;
const MONITORS: usize = 20;
/// The time itself is measured: what an agent takes when nothing else happens, and how things go.
const QUIET: Duration = Duration::from_secs(15);
const STARTS: usize = 7;
const LOOK: Duration = Duration::from_secs(1);
const BOUND: Duration = Duration::from_secs(900);
const RESULTS: &str = "website_monitor.results";
const MIB: f64 = 1_048_576.0;

fn main() -> ExitCode {
    say::ended(measure())
}

fn measure() -> Result<()> {
    let stack = Stack::with().own_kafka().start()?;
    let collector = stack.collector().start()?;
    within(BOUND, "the collector has made its tables", || stack.database.count(RESULTS))?;

    let empty = with_monitors(&stack, "usual").name("empty").build()?;
    say("an agent with an empty outbox:")?;
    let base = start(&empty)?;
    ensure!(empty.stop()?.code() == Some(0), "{}", empty.log());

    let agent = with_monitors(&stack, "fresh").name("edge-1").build()?;
    let outbox = agent.directory().join("outbox");
    let filled = fill(&outbox)?;
    say(&format!("\n{BACKLOG} results wait, after a kill (filled with {}):", filled.trim_end()))?;
    say(&format!("  outbox     {:.0} MiB on disk", disk_use(&outbox)? as f64 / MIB))?;
    let proxy = &stack.kafka.nodes()?[0].proxy;
    proxy.refuse();
    let waiting = start(&agent)?;
    proxy.open()?;
    let opened = Instant::now();
    // Up to here fresh results are rows, and how late the next one was.
    let (mut fresh, mut latest) = (Timestamp::now(), 0.0_f64);
    let mut published = None;
    loop {
        sleep(LOOK);
        latest = latest.max(seconds_since(fresh));
        fresh = fresh.max(youngest(&stack)?.unwrap_or(fresh));
        let status = agent.outbox_status()?;
        if status.pending < 1_000 {
            let published = *published.get_or_insert_with(|| opened.elapsed());
            // What is fresh comes on and on.
            if seconds_since(fresh) < 2.0 {
                let (sent, stored) = (published.as_secs_f64(), opened.elapsed().as_secs_f64());
                let all = BACKLOG as f64;
                say(&format!("  published  {:.0} records/s, in {sent:.0} s from Kafka's return", all / sent))?;
                say(&format!("  stored     {:.0} results/s, in {stored:.0} s from Kafka's return", all / stored))?;
                break;
            }
        }
        ensure!(opened.elapsed() < BOUND, "{status:?}");
    }
    sleep(QUIET);
    let late = youngest(&stack)?.map_or(f64::INFINITY, seconds_since);
    say(&format!(
        "  fresh      rows come {latest:.0} s late at worst, behind what waited; {late:.1} s after the drain"
    ))?;
    let (most, cpu) = usage(agent.id()).map(|usage| (usage.most as f64 / MIB, usage.cpu))?;
    say(&format!("  agent      {most:.0} MiB at most while draining, {cpu:.0} CPU s in all"))?;
    say(&format!("  above base {:.0} MiB while all waits, {:.0} MiB at most", waiting - base, most - base))?;

    ensure!(agent.stop()?.code() == Some(0), "{}", agent.log());
    within(BOUND, "the collector has read all", || {
        let lag = stack.topic.lag(&collector.group)?;
        ensure!(lag == 0, "{lag}");
        Ok(())
    })?;
    let (verification, rows) = (collector.verify()?, stack.database.count(RESULTS)?);
    let total = &verification.total;
    say(&format!("  drained    {:.2} MiB on disk", disk_use(&outbox)? as f64 / MIB))?;
    say(&format!("  verify     {} issued, {} stored, {} missing", total.issued, total.stored, total.missing))?;
    say(&format!("  rows       {rows}: {BACKLOG} and {} fresh ones", rows.saturating_sub(BACKLOG)))?;
    // That no number is there twice is a part of it.
    ensure!(verification.code == Some(0) && total.dropped + total.rejected == 0, "{verification:?}");
    // A kill may have come between a check's request and its first record on disk.
    let (checked, cut_short) = (stack.web.total(), 2 * (STARTS * MONITORS) as u64);
    ensure!(rows <= BACKLOG + checked && rows + cut_short >= BACKLOG + checked, "{checked} checks");
    Ok(())
}

fn with_monitors(stack: &Stack, name: &str) -> AgentSetup {
    (0..MONITORS).fold(stack.agent(), |setup, n| {
        setup.monitor(&format!("{name} {n}"), stack.web.site(&format!("/{n}"), Answer::ok("")))
    })
}

/// Starts an agent and lets it be; says how long a start takes, and the most memory, which is the answer, in MiB.
fn start(agent: &Agent) -> Result<f64> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        agent.kill();
        let before = runs(agent).count();
        let began = Timestamp::now();
        agent.start()?;
        let ran = within(BOUND, "the agent runs", || runs(agent).nth(before).with_context(|| agent.log()))?;
        // The log's times are cut to milliseconds.
        starts.push(ran.as_millisecond() - began.as_millisecond());
    }
    starts.sort_unstable();
    sleep(QUIET);
    let usage = usage(agent.id())?;
    let (resident, most) = (usage.resident as f64 / MIB, usage.most as f64 / MIB);
    let (median, worst) = (starts[STARTS / 2], starts[STARTS - 1]);
    say(&format!("  start      {median} ms from exec to running, {worst} at worst, each after a kill"))?;
    say(&format!("  memory     {resident:.0} MiB after {} s, {most:.0} MiB at most", QUIET.as_secs()))?;
    Ok(most)
}

/// When the agent's runs had their first record on disk, and began to check.
fn runs(agent: &Agent) -> impl Iterator<Item = Timestamp> {
    let log = agent.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("the agent runs")).map(str::to_owned).collect();
    lines.into_iter().filter_map(|line| line.split_once("time=")?.1.split(' ').next()?.parse().ok())
}

/// Fills an outbox by the agent's own library, in a process of its own.
fn fill(outbox: &Path) -> Result<String> {
    let ourselves = std::env::current_exe().context("where are we?")?;
    let mut command = Command::new(ourselves.with_file_name("examples").join("backlog"));
    command.arg(outbox).arg(BACKLOG.to_string());
    let ended =
        Process::run("backlog", command, BOUND).context("`cargo build --examples` makes what fills an outbox")?;
    ensure!(ended.code() == Some(0), "{}{}", ended.stdout, ended.stderr);
    Ok(ended.stdout)
}

/// The youngest row of a monitor that is checked every second.
fn youngest(stack: &Stack) -> Result<Option<Timestamp>> {
    #[derive(Deserialize)]
    struct Youngest {
        microseconds: Option<i64>,
    }
    let found: Vec<Youngest> = stack.database.rows(
        "select (extract(epoch from max(checked_at)) * 1000000)::int8 as microseconds from website_monitor.results \
         where monitor_id = (select monitor_id from website_monitor.monitors where name = 'fresh 0')",
    )?;
    let microseconds = found.first().and_then(|found| found.microseconds);
    Ok(microseconds.map(Timestamp::from_microsecond).transpose()?)
}

fn seconds_since(time: Timestamp) -> f64 {
    Timestamp::now().duration_since(time).as_secs_f64()
}

/// What a directory takes on disk, in bytes.
fn disk_use(path: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    let mut directories: Vec<PathBuf> = vec![path.into()];
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir()? {
            let entry = entry?;
            // Chunks come and go.
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += metadata.blocks() * 512;
            if metadata.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    Ok(bytes)
}
