//! PostgreSQL fails in several ways while results stream in. The tests ask whether each result is in the table once,
//! whether the collector stays in its group, and how soon results flow again.
//!
//! The collectors here must poll every six seconds, or their group drops them. A time is measured from the moment at
//! which the test ends the trouble until every partition makes progress. A usual run makes each trouble a few times and
//! for a short time. With `TORTURE=full` each trouble comes as often and lasts as long as `./dev torture collector`
//! promises.

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
/// The longest time until results flow again. It is long because a machine with two loaded cores is slow. The times
/// themselves are printed, not asserted.
const SOON: Duration = Duration::from_secs(30);
const WAITS: &str = "the database does not store: waiting for it";

/// Returns the value of a usual run, or the value of a long run.
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

/// Returns the setup of a collector that its group drops when it does not poll for six seconds.
fn collector(stack: &Stack) -> CollectorSetup {
    let short = json!({"session.timeout.ms": "6000", "max.poll.interval.ms": "6000", "heartbeat.interval.ms": "1000"});
    stack.collector().set("kafka.properties", short)
}

/// Makes trouble this number of times while results stream in. `trouble` returns when the trouble is over.
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

/// Asserts that the collector took its partitions once and never gave them back.
#[track_caller]
fn assert_kept_its_place(collector: &Collector) {
    let log = collector.log();
    assert!(log.matches("took partitions").count() == 1 && !log.contains("gave partitions back"), "{log}");
}

/// Returns the length of a long trouble. A collector that has waited for some time asks less often.
fn long() -> Duration {
    scale(Duration::from_secs(3), Duration::from_secs(10))
}

/// Waits for this time without asking anything.
fn last(duration: Duration) {
    let began = Instant::now();
    eventually("time passes", || {
        ensure!(began.elapsed() >= duration, "{} s", began.elapsed().as_secs());
        Ok(())
    });
}

/// Waits until the log says once more than before that the collector waits for the database.
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
