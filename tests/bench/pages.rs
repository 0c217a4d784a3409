//! What the status pages and alerts cost over a thousand monitors and ninety days, and what pages cost ingestion.
//!
//! Rules are evaluated for a minute. A page is asked for cold, when nothing of it is in memory yet, and again, as all
//! others get it meanwhile. Then two hundred readers ask at once, each for one page after the other; and a topic is read
//! with and without two hundred readers who look every ten seconds, in turn.

mod cpu;
mod evaluations;
mod messages;
mod readers;
mod say;
mod usage;

use std::ops::AddAssign;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::collector::{Collector, CollectorSetup};
use e2e::kafka::Kafka;
use e2e::postgres::{Database, Postgres};
use e2e::{scene, within};
use jiff::{SignedDuration, Timestamp};
use messages::{Load, PARTITIONS};
use readers::Readers;
use say::say;
use usage::usage;

const SERVER: [&str; 5] =
    ["fsync=on", "full_page_writes=on", "shared_buffers=512MB", "max_wal_size=3GB", "checkpoint_timeout=1h"];
const BOUND: Duration = Duration::from_secs(1_800);
const LOOK: Duration = Duration::from_millis(50);
const READERS: usize = 200;
const RESULTS: usize = 800_000;
const ROUNDS: usize = 3;
/// How long two hundred readers ask as fast as they can.
const RUSH: Duration = Duration::from_secs(20);
/// A page is asked for cold, and again, so often: CPU seconds are told by the hundredth.
const COLD: usize = 5;
const AGAIN: usize = 100;

fn main() -> ExitCode {
    say::ended(measure())
}

fn measure() -> Result<()> {
    let days = std::env::args().nth(1).map_or(Ok(90), |given| given.parse().context("not a number of days"))?;
    let only = std::env::args().nth(2).unwrap_or_default();
    let bench = Bench::new(days)?;
    let parts: [Part; 4] =
        [("alerts", Bench::alerts), ("pages", Bench::pages), ("rush", Bench::rush), ("ingestion", Bench::ingestion)];
    parts.iter().filter(|(name, _)| name.contains(&only)).try_for_each(|(_, part)| part(&bench))
}

/// What is measured, by its name.
type Part = (&'static str, fn(&Bench) -> Result<()>);

struct Bench {
    kafka: Arc<Kafka>,
    postgres: Arc<Postgres>,
    database: Database,
}

impl Bench {
    /// Tables as they are after ninety days, with summaries by the hour of this many of them.
    fn new(days: u32) -> Result<Bench> {
        let (kafka, postgres) = (Arc::new(Kafka::start_own(1)?), Arc::new(Postgres::start_own_with(&SERVER)?));
        let database = postgres.database()?;
        let bench = Bench { kafka, postgres, database };
        let collector = bench.collector("nothing")?.build()?;
        ensure!(collector.command(&["migrate"])?.code() == Some(0), "{}", collector.log());
        let began = Instant::now();
        scene::make(&bench.database, days)?;
        collector.start()?;
        within(BOUND, "what is over is summed up and packed", || {
            scene::is_ready(&bench.database).with_context(|| collector.log())
        })?;
        collector.stop()?;
        bench.database.execute("vacuum analyze")?;
        bench.database.execute("checkpoint")?;
        say(&format!("{} monitors, 5 agents, 90 days; made in {} s\n", scene::MONITORS, began.elapsed().as_secs()))?;
        Ok(bench)
    }

    fn collector(&self, topic: &str) -> Result<CollectorSetup> {
        let group = format!("group-{}", Timestamp::now().as_nanosecond());
        let setup = CollectorSetup::new(self.kafka.direct(), topic, &group, &self.database);
        let setup = setup.set("database.port", self.postgres.port());
        setup.with_pages()
    }

    fn serving(&self) -> Result<Collector> {
        let collector = self.collector("nothing")?.start()?;
        within(BOUND, "pages are served", || collector.get("/agents"))?;
        Ok(collector)
    }

    /// What it takes to do something this many times, each.
    fn cost(&self, collector: &Collector, times: usize, run: impl FnOnce() -> Result<()>) -> Result<Cost> {
        let now = || Ok::<_, anyhow::Error>((usage(collector.id())?.cpu, cpu::of_family(self.postgres.id())?));
        let (collector, database) = now()?;
        run()?;
        let (collector_after, database_after) = now()?;
        let each = |seconds: f64| seconds * 1e3 / times as f64;
        Ok(Cost { collector: each(collector_after - collector), database: each(database_after - database) })
    }

    fn pages(&self) -> Result<()> {
        say("CPU ms:                         cold, database, collector      again    KB")?;
        for path in ["/", "/?period=30d", "/?period=90d", "/agents"] {
            let (mut cold, mut again, mut bytes) = (Cost::default(), Cost::default(), 0);
            for _ in 0..COLD {
                let collector = self.serving()?;
                // What is done once, such as connecting, is no page's.
                collector.get("/monitors/none")?;
                cold += self.cost(&collector, COLD, || {
                    bytes = collector.get(path)?.len();
                    Ok(())
                })?;
                let times = AGAIN / COLD;
                again += self.cost(&collector, AGAIN, || (0..times).try_for_each(|_| collector.get(path).map(drop)))?;
                collector.stop()?;
            }
            tell(path, &cold, Some(&again), bytes)?;
        }
        for period in ["24h", "30d", "90d"] {
            let collector = self.serving()?;
            let paths = readers::monitors(&collector, period)?;
            collector.get(&paths[AGAIN])?;
            let mut bytes = 0;
            let cold = self.cost(&collector, AGAIN, || {
                for path in &paths[..AGAIN] {
                    bytes = bytes.max(collector.get(path)?.len());
                }
                Ok(())
            })?;
            tell(&format!("/monitors/<id>?period={period}"), &cold, None, bytes)?;
            collector.stop()?;
        }
        Ok(())
    }

    /// Two hundred at once, each asking for one page after the other.
    fn rush(&self) -> Result<()> {
        let collector = self.serving()?;
        let before = usage(collector.id())?;
        let readers = Readers::start(&collector, READERS, Duration::ZERO)?;
        sleep(RUSH);
        let read = readers.stop();
        let after = usage(collector.id())?;
        say(&format!(
            "\n{READERS} readers as fast as they can: {:.0} pages a second, {} answers were not 200; {:.1} MB before, \
             {:.1} MB at most",
            read.pages as f64 / RUSH.as_secs_f64(),
            read.failures,
            before.resident as f64 / 1e6,
            after.most as f64 / 1e6
        ))?;
        collector.stop()?;
        Ok(())
    }

    fn ingestion(&self) -> Result<()> {
        say(&format!("\n{RESULTS} results from Kafka, rows per second    alone, with {READERS} readers"))?;
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let (alone, beside) = (self.ingest(0)?, self.ingest(READERS)?);
            say(&format!("  {alone:>10.0} {beside:>10.0}    {:.2}", beside / alone))?;
            ratios.push(beside / alone);
        }
        ratios.sort_unstable_by(f64::total_cmp);
        say(&format!("with readers, of the rate alone: {:.2} in the median", ratios[ratios.len() / 2]))
    }

    /// How many rows a second come out of a topic while this many look every ten seconds.
    fn ingest(&self, readers: usize) -> Result<f64> {
        let topic = self.kafka.topic(PARTITIONS as i32)?;
        // Of now: they are in what pages show.
        let begin = Timestamp::now() - SignedDuration::from_millis(RESULTS as i64);
        Load { results: RESULTS, agents: 20, begin }.send(&topic, self.kafka.direct())?;
        // The readers are there before the first message: of a topic that is not there yet.
        let collector = self.collector(topic.name())?.build()?;
        self.database.execute("checkpoint")?;
        collector.start()?;
        within(BOUND, "pages are served", || collector.get("/healthz"))?;
        let reading =
            (readers > 0).then(|| Readers::start(&collector, readers, Duration::from_secs(10))).transpose()?;
        let began = Instant::now();
        while topic.lag(&collector.group).map_or(true, |lag| lag > 0) {
            ensure!(began.elapsed() < BOUND && collector.is_running(), "{}", collector.log());
            sleep(LOOK);
        }
        let seconds = Timestamp::now().duration_since(readers::took_partitions(&collector)?).as_secs_f64();
        if let Some(reading) = reading {
            let read = reading.stop();
            ensure!(read.failures == 0, "{} of {} pages failed", read.failures, read.pages);
        }
        collector.stop()?;
        // Those who come next have as much to read.
        self.database.execute(
            "delete from website_monitor.results r
             using website_monitor.epochs e join website_monitor.agents a using (agent_id)
             where r.epoch_id = e.epoch_id and a.name like 'agent-%'",
        )?;
        self.database.execute("vacuum analyze website_monitor.results")?;
        Ok(RESULTS as f64 / seconds)
    }
}

/// CPU milliseconds.
#[derive(Default)]
struct Cost {
    collector: f64,
    database: f64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.collector += other.collector;
        self.database += other.database;
    }
}

fn tell(path: &str, cold: &Cost, again: Option<&Cost>, bytes: usize) -> Result<()> {
    let again = again.map_or("-".into(), |again| format!("{:.1}", again.collector + again.database));
    say(&format!(
        "  {path:<28} {:>14.1} {:>10.1} {again:>10} {:>5.0}",
        cold.database,
        cold.collector,
        bytes as f64 / 1e3
    ))
}
