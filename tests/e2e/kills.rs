//! Collectors killed by SIGKILL, over and over, while results stream in: is each in the table, once, and are the
//! summaries by the hour what the results say?
//!
//! A collector is first stopped (SIGSTOP), then looked at, then killed, so that what the kill met is known from
//! facts (moment.rs), and a kill can be aimed: one that would not meet what is wanted is put off. Several stories
//! run beside one another, with one and two collectors and with several numbers of connections. A usual run makes a
//! few kills; with `TORTURE=full` as many as `./dev torture collector` promises.

mod moment;

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::collector::Collector;
use e2e::{Stack, eventually, within};
use rand::Rng;
use serde_json::json;

use crate::feed::{Feed, assert_stored_once, spread};
use crate::store::rows;
use crate::store::summaries::{assert_true, await_summed_up};
use moment::{Aim, Counts, Watch};

const PARTITIONS: usize = 4;
/// A dead member's session has six seconds; one that died in a rebalance keeps the next one waiting, too.
const BOUND: Duration = Duration::from_secs(60);

/// Collectors beside one another, and the connections of each.
const STORIES: [(usize, u32); 4] = [(1, 4), (2, 8), (1, 2), (2, 4)];

struct Scale {
    stories: usize,
    kills: usize,
}

impl Scale {
    fn of_this_run() -> Scale {
        match std::env::var("TORTURE").is_ok_and(|how| how == "full") {
            true => Scale { stories: 4, kills: 55 },
            false => Scale { stories: 2, kills: 6 },
        }
    }
}

#[test]
fn collectors_killed_at_any_moment_store_everything_once_and_sum_it_up_right() -> Result<()> {
    let scale = Scale::of_this_run();
    let began = Instant::now();
    let counts = thread::scope(|scope| {
        let stories: Vec<_> = STORIES[..scale.stories]
            .iter()
            .map(|&(collectors, connections)| scope.spawn(move || story(collectors, connections, scale.kills)))
            .collect();
        let mut told = stories.into_iter().map(|story| story.join().expect("no panic"));
        told.try_fold(Counts::default(), |sum, counts| Ok::<_, anyhow::Error>(sum + counts?))
    })?;
    writeln!(
        io::stderr(),
        "kill -9 of collectors, {} s, {} stories: {counts}\nfrom the start of an heir until every partition goes on: {}",
        began.elapsed().as_secs(),
        scale.stories,
        spread(&counts.recoveries)?
    )?;
    counts.assert_met_everything();
    Ok(())
}

fn story(collectors: usize, connections: u32, kills: usize) -> Result<Counts> {
    let stack = Stack::with().partitions(PARTITIONS as i32).start()?;
    let names: Vec<String> = (0..collectors).map(|number| format!("collector-{number}")).collect();
    let start = |name: &String| -> Result<Collector> {
        let kafka = json!({"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000", "client.id": name});
        // Past the proxy: PostgreSQL then knows whose connection is whose.
        let setup = stack.collector().set("kafka.properties", kafka).set("database.port", stack.database.server.port());
        setup.set("database.connections", connections).set("batch.max_messages", 200).start()
    };
    let all = names.iter().map(start).collect::<Result<Vec<_>>>()?;
    eventually("the tables are there", || rows(&stack));
    let mut counts = Counts::default();
    let sent = Feed::during(&stack, PARTITIONS, |feed| {
        let mut watch = Watch::new(&stack, feed, &all[0].group)?;
        feed.progress(&[0, 1, 2, 3], BOUND, &all[0])?;
        for kill in 0..kills {
            let aim = Aim::ALL[kill % Aim::ALL.len()];
            let target = rand::rng().random_range(0..collectors);
            let (collector, name) = (&all[target], &names[target]);
            let met = watch.strike(collector, name, aim)?;
            collector.kill();
            counts.learn(&met);
            collector.start()?;
            // Nobody waits for a heir that is to be killed while the group makes up its mind.
            if Aim::ALL[(kill + 1) % Aim::ALL.len()] != Aim::Rebalance {
                counts.recoveries.push(feed.progress(&[0, 1, 2, 3], BOUND, collector)?);
            }
        }
        feed.progress(&[0, 1, 2, 3], BOUND, &all[0])?;
        Ok(())
    })?;
    assert_stored_once(&stack, &all[0], sent)?;
    await_summed_up(&stack);
    assert_true(&stack)?;
    counts.results = sent;
    for collector in &all {
        ensure!(!collector.log().contains("panicked"), "{}", collector.log());
    }
    Ok(counts)
}

/// The group keeps the partitions of a member that it knows by name, so nobody has to wait for a dead one's session.
#[test]
fn a_collector_with_a_configured_name_is_killed_and_goes_on_when_it_starts_again() -> Result<()> {
    let stack = Stack::with().partitions(PARTITIONS as i32).start()?;
    let named = json!({"session.timeout.ms": "240000", "group.instance.id": "the only one"});
    let collector = stack.collector().set("kafka.properties", named).start()?;
    let mut seconds = Vec::new();
    let sent = Feed::during(&stack, PARTITIONS, |feed| {
        feed.progress(&[0, 1, 2, 3], BOUND, &collector)?;
        for _ in 0..3 {
            collector.kill();
            collector.start()?;
            seconds.push(feed.progress(&[0, 1, 2, 3], BOUND, &collector)?);
        }
        Ok(())
    })?;
    assert_stored_once(&stack, &collector, sent)?;
    writeln!(io::stderr(), "a collector with a configured name, killed and started again: {}", spread(&seconds)?)?;
    Ok(())
}

/// It finishes what it writes, commits the offsets of it, and leaves the group, whose work is another's at once.
#[test]
fn a_collector_that_is_asked_to_stop_leaves_no_offset_uncommitted_and_no_trace_in_its_group() -> Result<()> {
    let stack = Stack::with().partitions(PARTITIONS as i32).start()?;
    let collector = stack.collector().start()?;
    let group = stack.topic.group(&collector.group)?;
    let mut seconds = Vec::new();
    let sent = Feed::during(&stack, PARTITIONS, |feed| {
        for _ in 0..5 {
            feed.progress(&[0, 1, 2, 3], BOUND, &collector)?;
            thread::sleep(Duration::from_millis(rand::rng().random_range(0..400)));
            let began = Instant::now();
            let ended = collector.stop()?;
            seconds.push(began.elapsed().as_secs_f64());
            assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
            let (committed, accounted) = (group.committed()?, feed.accounted()?);
            let accounted: Vec<i64> = accounted.into_iter().map(|count| count as i64).collect();
            assert_eq!(committed, accounted, "offsets and ledger are not one\n{}", collector.log());
            within(BOUND, "it left the group", || {
                let described = group.describe()?;
                ensure!(described.members.is_empty(), "{described:?}");
                Ok(())
            })?;
            collector.start()?;
        }
        Ok(())
    })?;
    assert_stored_once(&stack, &collector, sent)?;
    writeln!(io::stderr(), "a clean stop of a collector under load: {}", spread(&seconds)?)?;
    Ok(())
}

/// It lives, but its group believes it dead, and then it goes on with what it had in hand.
#[test]
fn a_collector_stopped_beyond_its_poll_interval_goes_on_and_stores_nothing_twice() -> Result<()> {
    const AWAY: Duration = Duration::from_secs(8);
    let stack = Stack::with().partitions(PARTITIONS as i32).start()?;
    let short = json!({"session.timeout.ms": "6000", "max.poll.interval.ms": "6000", "heartbeat.interval.ms": "1000"});
    let collector = stack.collector().set("kafka.properties", short).set("batch.max_messages", 200).start()?;
    let group = stack.topic.group(&collector.group)?;
    let mut seconds = Vec::new();
    let sent = Feed::during(&stack, PARTITIONS, |feed| {
        for _ in 0..2 {
            feed.progress(&[0, 1, 2, 3], BOUND, &collector)?;
            collector.pause();
            let since = Instant::now();
            within(BOUND, "its group has lost it", || {
                let described = group.describe()?;
                ensure!(since.elapsed() > AWAY && described.members.is_empty(), "{described:?}");
                Ok(())
            })?;
            let before = collector.log().matches("took partitions").count();
            let since = Instant::now();
            collector.resume();
            within(BOUND, "it is let in again", || {
                let log = collector.log();
                ensure!(log.matches("took partitions").count() > before, "{log}");
                Ok(())
            })?;
            feed.progress(&[0, 1, 2, 3], BOUND, &collector)?;
            seconds.push(since.elapsed().as_secs_f64());
        }
        Ok(())
    })?;
    assert_stored_once(&stack, &collector, sent)?;
    writeln!(
        io::stderr(),
        "a collector that was stopped beyond max.poll.interval is let in and goes on: {}",
        spread(&seconds)?
    )?;
    Ok(())
}
