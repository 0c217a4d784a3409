//! The collector's way into the table, from Kafka to the commit, beside others: psql's binary COPY into the same table
//! with the same index (the limit: it decodes nothing, and what is there twice ends it) and into one without, diesel's
//! insert of many rows, and unnest. Then the same topic once more, and the worst case of the ledger: 10,000 agents, of
//! which each batch has one result each.
//!
//! All of them in turn, several rounds; ratios are of one round, so that a machine which others use matters less.
//! PostgreSQL waits for its disk here.

mod cpu;
mod messages;
mod say;
mod usage;
mod ways;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::collector::{Collector, CollectorSetup};
use e2e::directory::directory;
use e2e::kafka::{Kafka, Topic};
use e2e::postgres::{Database, Postgres};
use jiff::Timestamp;
use messages::{Load, PARTITIONS};
use procfs::process::Process;
use say::say;
use usage::{Usage, usage};

const RESULTS: usize = 1_000_000;
const ROUNDS: usize = 3;
const SERVER: [&str; 5] =
    ["fsync=on", "full_page_writes=on", "shared_buffers=512MB", "max_wal_size=3GB", "checkpoint_timeout=1h"];
const BOUND: Duration = Duration::from_secs(900);
const LOOK: Duration = Duration::from_millis(50);
const MIB: f64 = 1_048_576.0;

const LIMIT: &str = "psql COPY";
const INSERT: &str = "insert of many rows";
const FIRST_PASS: &str = "collector, 1 writer";
const REPLAY: &str = "the same topic again";

fn main() -> ExitCode {
    say::ended(measure())
}

fn measure() -> Result<()> {
    let mut given = std::env::args().skip(1).map(|given| given.parse::<usize>().context("not a number"));
    let results = given.next().unwrap_or(Ok(RESULTS))?;
    let rounds = given.next().unwrap_or(Ok(ROUNDS))?;
    let bench = Bench::new(results)?;
    say(&format!("{results} results, {} bytes a message; CPU seconds are per million", bench.bytes))?;
    let mut all = Vec::new();
    for round in 1..=rounds {
        say(&format!(
            "\nround {round}                 rows/s  of COPY  client CPU  server CPU  bytes a row  memory (load {})",
            load()?
        ))?;
        all.push(bench.round()?);
    }
    say("")?;
    for (what, one, other) in [
        ("the collector against psql COPY", FIRST_PASS, LIMIT),
        ("two writers against psql COPY", "collector, 2 writers", LIMIT),
        ("the collector against an insert of many rows", FIRST_PASS, INSERT),
        ("a replay against the first pass", REPLAY, FIRST_PASS),
    ] {
        let mut ratios: Vec<f64> = all.iter().map(|round| rate(round, one) / rate(round, other)).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let (least, median, most) = (ratios[0], ratios[rounds / 2], ratios[rounds - 1]);
        say(&format!("{what:<46} {median:.2} in the median, {least:.2} to {most:.2}"))?;
    }
    Ok(())
}

/// Rows per second of each way.
type Round = Vec<(&'static str, f64)>;

fn rate(round: &Round, way: &str) -> f64 {
    round.iter().find(|(name, _)| *name == way).map_or(f64::NAN, |(_, rate)| *rate)
}

struct Bench {
    kafka: Arc<Kafka>,
    postgres: Arc<Postgres>,
    results: usize,
    usual: Topic,
    worst: Topic,
    bytes: usize,
    file: PathBuf,
}

/// What one way took.
struct Taken {
    seconds: f64,
    client: f64,
    server: f64,
    memory: Option<Usage>,
}

impl Bench {
    fn new(results: usize) -> Result<Bench> {
        let kafka = Arc::new(Kafka::start_own(1)?);
        let postgres = Arc::new(Postgres::start_own_with(&SERVER)?);
        // In an hour that is not over before the measurement is: its summary is not part of what is measured.
        let soon = Timestamp::now().as_second() + 1_800;
        let begin = Timestamp::from_second(soon - soon % 3_600)?;
        let topic = |agents| -> Result<(Topic, usize)> {
            let topic = kafka.topic(PARTITIONS as i32)?;
            let bytes = Load { results, agents, begin }.send(&topic, kafka.direct())?;
            Ok((topic, bytes))
        };
        let ((usual, bytes), (worst, _)) = (topic(20)?, topic(10_000)?);
        Ok(Bench { kafka, postgres, results, usual, worst, bytes, file: directory("rows")?.join("results") })
    }

    fn round(&self) -> Result<Round> {
        let mut round = Round::new();
        let one = self.postgres.database()?;
        let first_pass = self.collect(&self.usual, &one, 1)?;
        let bytes = self.check(&one)?;
        // Or it would go on where it was.
        one.execute("delete from website_monitor.positions")?;
        let again = self.collect(&self.usual, &one, 1)?;
        self.check(&one)?;
        ways::export(&one, &self.file)?;
        let rows = ways::rows(&one)?;

        ways::empty(&one)?;
        let limit = self.time(|| ways::copy(&one, &self.file, "website_monitor.results"))?;
        let pace = self.results as f64 / limit.seconds;
        self.tell(&mut round, pace, LIMIT, &limit, Some(self.check(&one)?))?;
        let bare = ways::make_bare(&one)?;
        let copied = self.time(|| ways::copy(&one, &self.file, bare))?;
        let bare_bytes = size(&one, "bare")? / self.results as u64;
        one.execute("drop table bare")?;
        self.tell(&mut round, pace, "psql COPY, no index", &copied, Some(bare_bytes))?;
        for (way, run) in [(INSERT, ways::insert as fn(&Database, &[ways::Row]) -> _), ("unnest", ways::unnest)] {
            ways::empty(&one)?;
            let taken = self.time(|| run(&one, &rows))?;
            self.tell(&mut round, pace, way, &taken, Some(self.check(&one)?))?;
        }
        drop(rows);
        self.tell(&mut round, pace, FIRST_PASS, &first_pass, Some(bytes))?;
        self.tell(&mut round, pace, REPLAY, &again, None)?;
        self.forget(&one)?;
        for (way, topic, writers) in [
            ("collector, 2 writers", &self.usual, 2),
            ("10,000 agents, 1 writer", &self.worst, 1),
            ("10,000 agents, 2 writers", &self.worst, 2),
        ] {
            let database = self.postgres.database()?;
            let taken = self.collect(topic, &database, writers)?;
            self.tell(&mut round, pace, way, &taken, Some(self.check(&database)?))?;
            self.forget(&database)?;
        }
        Ok(round)
    }

    fn tell(&self, round: &mut Round, pace: f64, way: &'static str, taken: &Taken, bytes: Option<u64>) -> Result<()> {
        let rate = self.results as f64 / taken.seconds;
        let per_million = 1e6 / self.results as f64;
        let (client, server) = (taken.client * per_million, taken.server * per_million);
        let bytes = bytes.map_or("-".into(), |bytes| bytes.to_string());
        let memory = taken.memory.as_ref().map_or(String::new(), |usage| {
            format!("{:.0} MiB at most, {:.0} at the end", usage.most as f64 / MIB, usage.resident as f64 / MIB)
        });
        say(&format!(
            "  {way:<24} {rate:>9.0}  {:>7.2}  {client:>10.2}  {server:>10.2}  {bytes:>11}  {memory}",
            rate / pace
        ))?;
        round.push((way, rate));
        Ok(())
    }

    /// A new group reads the whole topic, from the moment that it has the partitions until all is committed.
    fn collect(&self, topic: &Topic, database: &Database, writers: u32) -> Result<Taken> {
        database.execute("checkpoint")?;
        let group = format!("group-{}", Timestamp::now().as_nanosecond());
        let setup = CollectorSetup::new(self.kafka.direct(), topic.name(), &group, database);
        // Every other connection is left to other work than writing. It goes past the proxy, as all other ways do.
        let setup = setup.set("database.connections", 2 * writers).set("database.port", self.postgres.port());
        let collector = setup.build()?;
        let server = cpu::of_family(self.postgres.id())?;
        collector.start()?;
        let began = Instant::now();
        // Kafka doesn't know a new group at once.
        while topic.lag(&group).map_or(true, |lag| lag > 0) {
            ensure!(began.elapsed() < BOUND && collector.is_running(), "{}", collector.log());
            sleep(LOOK);
        }
        let seconds = Timestamp::now().duration_since(took_partitions(&collector)?).as_secs_f64();
        let usage = usage(collector.id())?;
        let server = cpu::of_family(self.postgres.id())? - server;
        ensure!(collector.stop()?.code() == Some(0), "{}", collector.log());
        ensure!(collector.verify()?.code == Some(0), "numbers are missing");
        Ok(Taken { seconds, client: usage.cpu, server, memory: Some(usage) })
    }

    fn time(&self, run: impl FnOnce() -> Result<()>) -> Result<Taken> {
        let (client, server) = (ours()?, cpu::of_family(self.postgres.id())?);
        let began = Instant::now();
        run()?;
        let seconds = began.elapsed().as_secs_f64();
        let (client, server) = (ours()? - client, cpu::of_family(self.postgres.id())? - server);
        Ok(Taken { seconds, client, server, memory: None })
    }

    /// Each result is there, once; the bytes of one, index included.
    fn check(&self, database: &Database) -> Result<u64> {
        let rows = database.count("website_monitor.results")?;
        // Sorted: after this many loads the server's idea of the table may be far off, and hashing then takes for ever.
        let numbers = database.count(
            "(select from (select epoch_id, seq, lag((epoch_id, seq)) over (order by epoch_id, seq) as before
                           from website_monitor.results) numbers
              where (epoch_id, seq) is distinct from before) numbers",
        )?;
        ensure!((rows, numbers) == (self.results as u64, self.results as u64), "{rows} rows, {numbers} numbers");
        Ok(size(database, "website_monitor.results")? / rows)
    }

    fn forget(&self, database: &Database) -> Result<()> {
        self.postgres.drop_database(database.name())
    }
}

fn took_partitions(collector: &Collector) -> Result<Timestamp> {
    let log = collector.log();
    let line = log.lines().find(|line| line.contains("took partitions")).with_context(|| log.clone())?;
    let time = line.split_once("time=").and_then(|(_, rest)| rest.split(' ').next()).context("a line without time")?;
    Ok(time.parse()?)
}

/// The bytes of a table with its partitions and indexes.
fn size(database: &Database, table: &str) -> Result<u64> {
    #[derive(serde::Deserialize)]
    struct Size {
        bytes: u64,
    }
    let query = format!("select sum(pg_total_relation_size(relid))::int8 as bytes from pg_partition_tree('{table}')");
    let plain = format!("select pg_total_relation_size('{table}') as bytes");
    let found: Vec<Size> = database.rows(&query).or_else(|_| database.rows(&plain))?;
    Ok(found.first().context("no size")?.bytes)
}

/// The CPU seconds of this process and those that it has run to their end.
fn ours() -> Result<f64> {
    let stat = Process::myself()?.stat()?;
    let ticks = stat.utime as i64 + stat.stime as i64 + stat.cutime + stat.cstime;
    Ok(ticks as f64 / procfs::ticks_per_second() as f64)
}

/// How busy the machine was in the last minute.
fn load() -> Result<f32> {
    use procfs::Current;
    Ok(procfs::LoadAverage::current()?.one)
}
