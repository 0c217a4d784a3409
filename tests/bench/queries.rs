//! What the queries of a page cost the server: uptime, outages and percentiles of one monitor and of a thousand, over
//! ten million results of thirty days.
//!
//! The tables are the collector's own, and so are the summaries; the results are made in the database, in the order in
//! which they would have come: five agents, each monitor checked by two of them, a check in a thousand failed, an hour
//! in 256 with an outage of forty minutes, response times over two decades. The last hours are still due, as on any day.

mod cpu;
mod history;
mod say;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use e2e::collector::CollectorSetup;
use e2e::postgres::{Database, Postgres};
use e2e::within;
use say::say;

const RESULTS: usize = 10_000_000;
const SERVER: [&str; 5] =
    ["fsync=on", "full_page_writes=on", "shared_buffers=512MB", "max_wal_size=3GB", "checkpoint_timeout=1h"];

const BOUND: Duration = Duration::from_secs(1_800);

/// Each is asked so often, or until this many CPU seconds are gone: those of a process are told by the hundredth.
const REPEATS: usize = 40;
const ENOUGH: f64 = 4.0;

const QUERIES: [(&str, &str); 12] = [
    ("uptime, 24 h, one", "select monitor_id, uptime from uptime(now() - interval '24 h', now(), monitors => '{500}')"),
    ("uptime, 24 h, all", "select monitor_id, uptime from uptime(now() - interval '24 h', now())"),
    ("uptime, 30 d, one", "select monitor_id, uptime from uptime(now() - interval '30 d', now(), monitors => '{500}')"),
    ("uptime, 30 d, all", "select monitor_id, uptime from uptime(now() - interval '30 d', now())"),
    ("percentiles, 24 h, one", "select * from uptime(now() - interval '24 h', now(), monitors => '{500}')"),
    ("percentiles, 24 h, all", "select * from uptime(now() - interval '24 h', now())"),
    ("percentiles, 30 d, one", "select * from uptime(now() - interval '30 d', now(), monitors => '{500}')"),
    ("percentiles, 30 d, all", "select * from uptime(now() - interval '30 d', now())"),
    ("outages, 24 h, all", "select * from outages(now() - interval '24 h', now())"),
    ("outages, 30 d, one", "select * from outages(now() - interval '30 d', now(), '{500}')"),
    ("outages, 30 d, all", "select * from outages(now() - interval '30 d', now())"),
    (
        "uptime by day, 30 d, one",
        "select date_trunc('day', hour, 'UTC'), sum(success)::float / nullif(sum(checks - agent_error), 0)
         from checks_by_hour(now() - interval '30 d', now(), '{500}') group by 1 order by 1",
    ),
];

fn main() -> ExitCode {
    say::ended(measure())
}

fn measure() -> Result<()> {
    let results = std::env::args().nth(1).map_or(Ok(RESULTS), |given| given.parse().context("not a number"))?;
    let postgres = Arc::new(Postgres::start_own_with(&SERVER)?);
    let database = postgres.database()?;
    let rows = prepare(&database, results)?;
    say(&format!("{rows} results of {} monitors\n", history::MONITORS))?;
    say("                            CPU ms, as it comes           jit = off")?;
    for (name, query) in QUERIES {
        let [usual, compiled_not] = ["on", "off"].map(|jit| ask(&postgres, &database, jit, query));
        let (usual, compiled_not) = (usual?, compiled_not?);
        say(&format!(
            "{name:<26} {:>8.1} (wall {:>7.1}) {:>8.1} (wall {:>7.1}) {:>8} rows",
            usual.cpu, usual.wall, compiled_not.cpu, compiled_not.wall, usual.rows
        ))?;
    }
    Ok(())
}

/// Tables by the migrations, results, and the summaries that the collector makes of them.
fn prepare(database: &Database, results: usize) -> Result<u64> {
    // Nothing comes from Kafka, which it merely waits for.
    let collector = CollectorSetup::new("127.0.0.1:9", "results", "readers", database).build()?;
    ensure!(collector.command(&["migrate"])?.code() == Some(0), "{}", collector.log());
    let began = Instant::now();
    let rows = history::make(database, results)?;
    say(&format!("made the results in {} s", began.elapsed().as_secs()))?;
    let began = Instant::now();
    collector.start()?;
    within(BOUND, "the hours that are over are summed up", || {
        let due = database.count("website_monitor.rollup_due where hour <= now() - interval '61 minutes'")?;
        ensure!(due == 0, "{due} hours are due\n{}", collector.log());
        Ok(())
    })?;
    collector.stop()?;
    say(&format!("made the summaries in {} s", began.elapsed().as_secs()))?;
    database.execute("vacuum analyze")?;
    database.execute("checkpoint")?;
    Ok(rows)
}

/// Milliseconds of one query, in the mean.
struct Cost {
    cpu: f64,
    wall: f64,
    rows: usize,
}

fn ask(postgres: &Postgres, database: &Database, jit: &str, query: &str) -> Result<Cost> {
    let mut session = PgConnection::establish(&database.url())?;
    session.batch_execute(&format!("set search_path = website_monitor; set jit = {jit}"))?;
    // The first one fills caches.
    let rows = sql_query(query).execute(&mut session)?;
    let (before, began) = (cpu::of_family(postgres.id())?, Instant::now());
    let mut asked = 0;
    let spent = loop {
        sql_query(query).execute(&mut session)?;
        asked += 1;
        let spent = cpu::of_family(postgres.id())? - before;
        if asked == REPEATS || spent > ENOUGH {
            break spent;
        }
    };
    let each = |seconds: f64| seconds * 1_000.0 / asked as f64;
    Ok(Cost { cpu: each(spent), wall: each(began.elapsed().as_secs_f64()), rows })
}
