//! An agent that was offline for three days comes back with all results that it kept, while other agents go on.
//!
//! The backlog is in Kafka as its agent would have sent it: one epoch, one partition, in the order of the checks. The
//! delay of a stream's result is the time from its `checked_at`, at which it is sent, to the commit of its row, as
//! PostgreSQL recorded it. The test prints the delays and does not judge them. It judges whether every result is stored
//! once, and whether the summaries agree with the results. A usual run has a short backlog. `./dev torture late` has
//! half a million results.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::postgres::Postgres;
use e2e::{Stack, within};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::feed::{End, assert_stored_once};
use crate::store::summaries::{assert_true, await_summed_up, random_result};

const PARTITIONS: usize = 4;
/// The partition of the agent that comes back. The agents that stream are spread over all partitions.
const BACKLOGS: i32 = 1;
const STREAMS: usize = 50;
/// The time between two results of a stream.
const INTERVAL: Duration = Duration::from_millis(100);
/// The number of rounds of all streams before the backlog comes.
const ROUNDS: u64 = 50;
const PORTION: usize = 10_000;
const BOUND: Duration = Duration::from_secs(900);

fn backlog() -> u64 {
    if std::env::var("TORTURE").is_ok_and(|how| how == "full") { 500_000 } else { 20_000 }
}

#[test]
fn the_backlog_of_an_agent_that_was_offline_for_days_is_stored_and_summed_up_beside_running_streams() -> Result<()> {
    let postgres = Arc::new(Postgres::start_own_with(&["track_commit_timestamp=on"])?);
    let stack = Stack::with().partitions(PARTITIONS as i32).start_on(&postgres)?;
    let collector = stack.collector().start()?;
    let (returning, streams) = (Uuid::new_v4(), Streams::new());
    thread::scope(|scope| {
        let streaming = scope.spawn(|| streams.run(&stack));
        let _end = End(&streams.is_over);
        within(BOUND, "the streams are stored", || streams.await_rounds(&stack, ROUNDS))?;
        send_backlog(&stack, returning)?;
        within(BOUND, "the backlog is stored", || {
            ensure_accounted(&stack, &[returning], backlog()).context(collector.log())
        })?;
        let sent = streams.sent.load(Ordering::Relaxed);
        within(BOUND, "the streams go on", || streams.await_rounds(&stack, sent / STREAMS as u64 + ROUNDS))?;
        streams.is_over.store(true, Ordering::Relaxed);
        streaming.join().expect("no panic")
    })?;
    assert_stored_once(&stack, &collector, backlog() + streams.sent.load(Ordering::Relaxed))?;
    await_summed_up(&stack);
    assert_true(&stack)?;
    tell(&stack, returning, &streams)
}

/// Ensures that each of these epochs is stored without a gap up to this number.
fn ensure_accounted(stack: &Stack, epochs: &[Uuid], last: u64) -> Result<()> {
    let wanted = format!("epoch = any('{}') and accounted @> int8range(1, {last}, '[]')", list(epochs.iter()));
    let stored = stack.database.count(&format!("website_monitor.epochs where {wanted}"))?;
    ensure!(stored == epochs.len() as u64, "{stored} of {}", epochs.len());
    Ok(())
}

/// Agents that send each result at once.
struct Streams {
    epochs: Vec<Uuid>,
    sent: AtomicU64,
    is_over: AtomicBool,
}

impl Streams {
    fn new() -> Streams {
        let epochs = (0..STREAMS).map(|_| Uuid::new_v4()).collect();
        Streams { epochs, sent: AtomicU64::new(0), is_over: AtomicBool::new(false) }
    }

    fn run(&self, stack: &Stack) -> Result<()> {
        let producer = stack.topic.producer()?;
        let mut random = rand::rng();
        for seq in 1.. {
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            let round: Vec<Vec<u8>> =
                self.epochs.iter().map(|epoch| result(&mut random, *epoch, seq, Timestamp::now())).collect();
            producer.produce(round.iter().enumerate().map(|(n, value)| ((n % PARTITIONS) as i32, value.as_slice())))?;
            self.sent.fetch_add(STREAMS as u64, Ordering::Relaxed);
            thread::sleep(INTERVAL);
        }
        Ok(())
    }

    /// Returns an error unless this number of rounds of all streams is stored.
    fn await_rounds(&self, stack: &Stack, rounds: u64) -> Result<()> {
        ensure_accounted(stack, &self.epochs, rounds)
    }
}

/// Returns a result with a random outcome, checked at this time.
fn result(random: &mut impl RngExt, epoch: Uuid, seq: u64, at: Timestamp) -> Vec<u8> {
    let mut value = random_result(random, epoch, seq);
    (value["checked_at"], value["scheduled_at"]) = (json!(at), json!(at));
    value.to_string().into()
}

/// Sends the results of the last three days, as fast as Kafka takes them.
fn send_backlog(stack: &Stack, epoch: Uuid) -> Result<()> {
    let producer = stack.topic.producer()?;
    let mut random = rand::rng();
    let all = backlog();
    let (days, until) = (SignedDuration::from_hours(72), Timestamp::now());
    let at = |seq: u64| until - SignedDuration::from_millis(days.as_millis() as i64 / all as i64 * (all - seq) as i64);
    let numbers: Vec<u64> = (1..=all).collect();
    for portion in numbers.chunks(PORTION) {
        let messages: Vec<Vec<u8>> = portion.iter().map(|seq| result(&mut random, epoch, *seq, at(*seq))).collect();
        producer.produce(messages.iter().map(|value| (BACKLOGS, value.as_slice())))?;
    }
    Ok(())
}

/// Prints how long results of the streams took to become rows, before the backlog came and while it was being stored,
/// in the partition of the backlog and in the others.
fn tell(stack: &Stack, returning: Uuid, streams: &Streams) -> Result<()> {
    #[derive(Deserialize)]
    struct Delays {
        during: bool,
        behind: bool,
        results: u64,
        median: f64,
        p99: f64,
        max: f64,
        drain: f64,
    }
    let behind = list(streams.epochs.iter().skip(BACKLOGS as usize).step_by(PARTITIONS));
    let delays: Vec<Delays> = stack.database.rows(&format!(
        "with stored as materialized (
             select e.epoch, r.seq, r.checked_at, pg_xact_commit_timestamp(r.xmin) as at
             from website_monitor.results r join website_monitor.epochs e using (epoch_id)
         ),
         drain as (select min(at) as began, max(at) as ended from stored where epoch = '{returning}'),
         streams as (
             select at >= began as during, epoch = any('{behind}') as behind,
                    extract(epoch from at - checked_at)::float as delay, extract(epoch from ended - began)::float as drain
             from stored cross join drain where epoch <> '{returning}' and checked_at < ended and seq > {started}
         )
         select during, behind, count(*) as results, max(drain) as drain, max(delay) as max,
                percentile_cont(0.5) within group (order by delay) as median,
                percentile_cont(0.99) within group (order by delay) as p99
         from streams group by 1, 2 order by 1, 2",
        // The first results are left out, because they waited for the collector to start.
        started = ROUNDS / 2,
    ))?;
    let drain = delays.first().context("nothing was streamed")?.drain;
    let mut told =
        format!("{} late results became rows within {drain:.1} s. Until a streamed one did, it took\n", backlog());
    for Delays { during, behind, results, median, p99, max, .. } in delays {
        let when = if during { "meanwhile" } else { "before" };
        let place = if behind { "in their partition" } else { "in the others" };
        told += &format!(
            "  {when:<9}, {place:<18}: {median:.2} s in the median, {p99:.2} s p99, {max:.2} s at most (of {results})\n"
        );
    }
    Ok(write!(io::stderr(), "{told}")?)
}

fn list<'a>(epochs: impl Iterator<Item = &'a Uuid>) -> String {
    let texts: Vec<String> = epochs.map(Uuid::to_string).collect();
    format!("{{{}}}", texts.join(","))
}
