//! Whatever befalls PostgreSQL while results stream in: is each in the table, once, does the collector stay in its
//! group, and how soon do results flow again?
//!
//! The collectors here must poll every six seconds, or their group drops them. Times are from the moment at which the
//! trouble is over, as its maker sees it, until every partition goes on. A usual run makes each trouble a few times
//! and short; with `TORTURE=full` it is as often and as long as `./dev torture collector` promises.

mod crash;
mod full;
mod locks;
mod read_only;
mod sessions;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use e2e::collector::{Collector, CollectorSetup};
use e2e::{Stack, eventually, within};
use serde_json::json;

use crate::feed::{Feed, assert_stored_once, spread};

const PARTITIONS: usize = 4;
const ALL: [usize; PARTITIONS] = [0, 1, 2, 3];
/// Two loaded cores are slow; the times themselves are said, not asserted.
const SOON: Duration = Duration::from_secs(30);
const WAITS: &str = "the database does not store: waiting for it";

/// How much in a usual run, and how much at length.
fn scale<T>(usual: T, at_length: T) -> T {
    if std::env::var("TORTURE").is_ok_and(|how| how == "full") { at_length } else { usual }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn with_partitions() -> e2e::Needs {
    Stack::with().partitions(PARTITIONS as i32)
}

/// One that its group drops when it doesn't poll for six seconds.
fn collector(stack: &Stack) -> CollectorSetup {
    let short = json!({"session.timeout.ms": "6000", "max.poll.interval.ms": "6000", "heartbeat.interval.ms": "1000"});
    stack.collector().set("kafka.properties", short)
}

/// Makes trouble this many times while results stream in. `trouble` returns when it is over.
fn endure(
    stack: &Stack,
    collector: &Collector,
    what: &str,
    times: usize,
    mut trouble: impl FnMut(usize, &Feed<'_>) -> Result<()>,
) -> Result<()> {
    let mut seconds = Vec::new();
    let sent = Feed::during(stack, PARTITIONS, |feed| {
        eventually("the tables are there", || feed.accounted());
        for time in 0..times {
            feed.progress(&ALL, SOON, collector)?;
            trouble(time, feed)?;
            seconds.push(feed.progress(&ALL, SOON, collector)?);
        }
        Ok(())
    })?;
    say(what, &seconds)?;
    assert_stored_once(stack, collector, sent)?;
    assert_kept_its_place(collector);
    Ok(())
}

fn say(what: &str, seconds: &[f64]) -> Result<()> {
    Ok(writeln!(io::stderr(), "{what}: results flow again after {}", spread(seconds)?)?)
}

/// It was never without its partitions.
#[track_caller]
fn assert_kept_its_place(collector: &Collector) {
    let log = collector.log();
    assert!(log.matches("took partitions").count() == 1 && !log.contains("gave partitions back"), "{log}");
}

/// How long what can be long lasts: a collector that has waited for some time asks less often.
fn long() -> Duration {
    scale(Duration::from_secs(3), Duration::from_secs(10))
}

/// Lets time pass in which nothing is asked.
fn last(duration: Duration) {
    let began = Instant::now();
    eventually("time passes", || {
        ensure!(began.elapsed() >= duration, "{} s", began.elapsed().as_secs());
        Ok(())
    });
}

/// Waits until the collector says that it waits, once more than before.
fn await_said(collector: &Collector, before: usize) -> Result<()> {
    within(Duration::from_secs(60), "it says that it waits", || {
        let log = collector.log();
        ensure!(log.matches(WAITS).count() > before, "{log}");
        Ok(())
    })
}

fn said(collector: &Collector) -> usize {
    collector.log().matches(WAITS).count()
}
