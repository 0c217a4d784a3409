//! Collectors are killed by SIGKILL again and again while results stream in. The tests ask whether each result is in
//! the table once, and whether the hourly summaries agree with the results.
//!
//! The test first stops a collector (SIGSTOP), then looks at it, then kills it. So the test knows from facts what the
//! kill met (moment.rs), and it can aim a kill: it puts off a kill that would not meet what is wanted. Several stories
//! run at the same time, with one or two collectors and with different numbers of connections. A usual run makes a
//! few kills. With `TORTURE=full` it makes as many kills as `./dev torture collector` promises.

mod moment;

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::collector::Collector;
use e2e::{Stack, eventually, within};
use rand::RngExt;
use serde_json::json;

use crate::feed::{Feed, assert_stored_once, spread};
use crate::forge::{Forge, produce};
use crate::store::summaries::{assert_true, await_summed_up};
use crate::store::{await_consumed, rows};
use moment::{Aim, Counts, Watch};

const PARTITIONS: usize = 4;
const BOUND: Duration = Duration::from_secs(60);

/// The stories: the number of collectors that run at the same time, and the number of connections of each.
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

fn with_partitions() -> Result<Stack> {
    Stack::with().partitions(PARTITIONS as i32).start()
}

fn story(collectors: usize, connections: u32, kills: usize) -> Result<Counts> {
    let stack = with_partitions()?;
    let names: Vec<String> = (0..collectors).map(|number| format!("collector-{number}")).collect();
    let start = |name: &String| -> Result<Collector> {
        let kafka = json!({"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000", "client.id": name});
        // The collector connects past the proxy, so that PostgreSQL knows which collector owns each connection.
        let setup = stack.collector().set("kafka.properties", kafka).set("database.port", stack.database.server.port());
        setup.set("database.connections", connections).set("batch.max_messages", 200).start()
    };
    let all = names.iter().map(start).collect::<Result<Vec<_>>>()?;
    // The guest comes and goes and so causes rebalances, because a kill causes none.
    let guest = stack.collector().build()?;
    eventually("the tables are there", || rows(&stack));
    let mut counts = Counts::default();
    let sent = Feed::during(&stack, PARTITIONS, |feed| {
        let mut watch = Watch::new(&stack, feed, &all[0].group)?;
        feed.progress(&[0, 1, 2, 3], BOUND, &all[0])?;
        for kill in 0..kills {
            let aim = Aim::ALL[kill % Aim::ALL.len()];
            let target = rand::rng().random_range(0..collectors);
            let (collector, name) = (&all[target], &names[target]);
            let stir = || if guest.is_running() { guest.stop().map(drop) } else { guest.start() };
            let met = watch.strike(collector, name, aim, &stir)?;
            collector.kill();
            counts.learn(&met);
            collector.start()?;
            counts.recoveries.push(feed.progress(&[0, 1, 2, 3], BOUND, collector)?);
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

/// The group keeps the partitions of a member that it knows by name for the successor of this member. The successor
/// need not wait until the session of the killed member ends, which takes longer here than the test waits.
#[test]
fn collectors_that_are_killed_and_started_again_go_on_where_they_were_without_a_rebalance() -> Result<()> {
    let stack = with_partitions()?;
    let patient = json!({"session.timeout.ms": "240000"});
    let start = || stack.collector().set("kafka.properties", patient.clone()).start();
    let (one, other) = (start()?, start()?);
    let group = stack.topic.group(&one.group)?;
    let mut seconds = Vec::new();
    let sent = Feed::during(&stack, PARTITIONS, |feed| {
        eventually("they share the work", || {
            let described = group.describe()?;
            ensure!(described.members.values().flatten().count() == PARTITIONS, "{described:?}");
            ensure!(one.log().contains("partitions=2") && other.log().contains("partitions=2"), "{described:?}");
            Ok(())
        });
        feed.progress(&[0, 1, 2, 3], BOUND, &one)?;
        let took = other.log().matches("took partitions").count();
        for _ in 0..5 {
            one.kill();
            one.start()?;
            seconds.push(feed.progress(&[0, 1, 2, 3], BOUND, &one)?);
        }
        assert_eq!(other.log().matches("took partitions").count(), took, "{}", other.log());
        Ok(())
    })?;
    assert_stored_once(&stack, &one, sent)?;
    writeln!(io::stderr(), "a collector that was killed and started again goes on: {}", spread(&seconds)?)?;
    Ok(())
}

/// Kafka gives a member that it knows by name the partitions of its predecessor, whatever the member subscribes to now.
#[test]
fn a_collector_of_another_topic_does_not_inherit_from_one_that_was_killed_in_the_same_group() -> Result<()> {
    let stacks = [with_partitions()?, with_partitions()?];
    let group = stacks[0].topic.name();
    for stack in &stacks {
        let collector = stack.collector().group(group).start()?;
        let sent = Feed::during(stack, PARTITIONS, |feed| {
            eventually("the tables are there", || feed.accounted());
            feed.progress(&[0, 1, 2, 3], BOUND, &collector).map(drop)
        })?;
        assert_stored_once(stack, &collector, sent)?;
        collector.kill();
    }
    Ok(())
}

/// Kafka gives a collector under a name that the user chose the partitions of the other topic. The collector reads
/// none of them, and in particular commits none of their offsets for its own topic.
#[test]
fn a_collector_of_another_topic_under_a_given_name_takes_nothing_of_the_old_one() -> Result<()> {
    let [old, new] = [with_partitions()?, with_partitions()?];
    let named = |stack: &Stack, name: &str| {
        let properties = json!({"session.timeout.ms": "240000", "group.instance.id": name});
        stack.collector().group(old.topic.name()).set("kafka.properties", properties)
    };
    let messages = |stack: &Stack| {
        let forge = Forge::new("edge-1");
        produce(&stack.topic, (2..=101).map(|seq| forge.result(seq)))
    };
    let before = named(&old, "of the user").start()?;
    messages(&old)?;
    await_consumed(&old, &before.group);
    before.kill();
    messages(&old)?;
    messages(&new)?;

    let after = named(&new, "of the user").start()?;
    eventually("it says what it was given", || {
        ensure!(after.log().contains("partitions of another topic"), "{}", after.log());
        Ok(())
    });
    named(&new, "another").start().and_then(|renamed| {
        await_consumed(&new, &renamed.group);
        assert_eq!((rows(&new)?, rows(&old)?), (100, 100));
        Ok(())
    })
}

/// When a collector is asked to stop, it finishes its batch, commits the offsets of the batch, and leaves the group.
/// Another member of the group then gets its partitions at once.
#[test]
fn a_collector_that_is_asked_to_stop_leaves_no_offset_uncommitted_and_no_trace_in_its_group() -> Result<()> {
    let stack = with_partitions()?;
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

/// The collector is alive, but its group drops it as dead. Then the collector continues with the messages that it held.
#[test]
fn a_collector_stopped_beyond_its_poll_interval_goes_on_and_stores_nothing_twice() -> Result<()> {
    const AWAY: Duration = Duration::from_secs(8);
    let stack = with_partitions()?;
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
