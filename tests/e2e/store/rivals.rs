//! Several collectors run at the same time, or one collector is killed and started again. The tests ask whether each
//! message is stored once.

use anyhow::{Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use e2e::{Stack, eventually};
use jiff::Timestamp;

use super::{assert_proven, await_consumed, epochs, numbers, result, rows, send, send_results};

#[test]
fn two_collectors_with_the_same_messages_store_each_once() -> Result<()> {
    let stack = Stack::start()?;
    let epochs = epochs::<4>();
    let setup = |group: &str, size: u32| stack.collector().group(group).set("batch.max_messages", size);
    let (one, other) = (setup("one", 300).start()?, setup("other", 170).start()?);
    for count in [500, 1_000, 1_500, 2_000] {
        send_results(&stack, &epochs, count)?;
    }
    await_consumed(&stack, &one.group);
    await_consumed(&stack, &other.group);

    assert_eq!((rows(&stack)?, numbers(&stack)?), (8_000, 8_000));
    assert_proven(&one.verify()?);
    Ok(())
}

#[test]
fn a_collector_that_is_killed_again_and_again_stores_each_once() -> Result<()> {
    let stack = Stack::start()?;
    let epochs = epochs::<4>();
    let collector = stack.collector().set("batch.max_messages", 200).start()?;
    let mut sent = 0;
    for _ in 0..5 {
        let before = rows(&stack).unwrap_or(0);
        sent += 1_000;
        let now = Timestamp::now();
        let seqs = sent - 999..=sent;
        send(&stack, seqs.flat_map(|seq| epochs.iter().map(move |epoch| result(*epoch, seq, now))))?;
        eventually("some of them are stored", || {
            let rows = rows(&stack)?;
            ensure!(rows > before, "{rows} rows");
            Ok(())
        });
        collector.kill();
        collector.start()?;
    }
    await_consumed(&stack, &collector.group);
    assert_eq!((rows(&stack)?, numbers(&stack)?), (4 * sent, 4 * sent));
    assert_proven(&collector.verify()?);
    Ok(())
}

#[test]
fn the_locks_of_a_collector_that_hangs_are_freed() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch] = epochs();
    let collector = stack.collector().start()?;
    send(&stack, [result(epoch, 1, Timestamp::now())])?;
    await_consumed(&stack, &collector.group);
    let mut hanging = PgConnection::establish(&stack.database.url())?;
    hanging.batch_execute(
        "set application_name = 'website-monitor-collector'; begin; select from website_monitor.epochs for update",
    )?;

    send(&stack, [result(epoch, 2, Timestamp::now())])?;
    await_consumed(&stack, &collector.group);

    assert_eq!(rows(&stack)?, 2);
    assert!(hanging.batch_execute("commit").is_err(), "the other session was ended");
    Ok(())
}

#[test]
fn two_collectors_that_start_at_once_make_the_tables_once() -> Result<()> {
    let stack = Stack::start()?;
    let collectors = [stack.collector().start()?, stack.collector().start()?, stack.collector().start()?];
    let [epoch] = epochs();
    send_results(&stack, &[epoch], 100)?;
    await_consumed(&stack, &collectors[0].group);
    assert_eq!(rows(&stack)?, 100);
    for collector in &collectors {
        assert!(!collector.log().contains("level=warn"), "{}", collector.log());
    }
    Ok(())
}

#[test]
fn the_partitions_of_a_killed_collector_are_taken_over() -> Result<()> {
    let stack = Stack::start()?;
    let collectors = [stack.collector().start()?, stack.collector().start()?];
    let epochs = epochs::<8>();
    for collector in &collectors {
        eventually("each has partitions", || {
            let log = collector.log();
            ensure!(log.contains("took partitions") && log.contains("partitions=2"), "{log}");
            Ok(())
        });
    }
    collectors[0].kill();
    let now = Timestamp::now();
    let values: Vec<_> = (1..=200).flat_map(|seq| epochs.map(|epoch| (epoch, result(epoch, seq, now)))).collect();
    let values: Vec<_> = values.iter().map(|(epoch, value)| (epoch.to_string(), value.to_string())).collect();
    stack.topic.produce_all(values.iter().map(|(key, value)| (Some(key.as_bytes()), Some(value.as_bytes()))))?;

    await_consumed(&stack, &collectors[1].group);

    assert_eq!((rows(&stack)?, numbers(&stack)?), (1_600, 1_600));
    assert_proven(&collectors[1].verify()?);
    let shown = stack.database.count("website_monitor.website_status where reason = 'OK' and response_time > 0")?;
    assert_eq!(shown, 1_600);
    Ok(())
}

#[test]
fn a_collector_that_hangs_and_comes_back_stores_nothing_twice() -> Result<()> {
    let stack = Stack::start()?;
    let epochs = epochs::<4>();
    let setup = || stack.collector().set("batch.max_messages", 100);
    let [hanging, other] = [setup().start()?, setup().start()?];
    send_results(&stack, &epochs, 3_000)?;
    eventually("it stores", || {
        let rows = rows(&stack)?;
        ensure!(rows > 0, "{rows} rows");
        Ok(())
    });
    hanging.pause();
    await_consumed(&stack, &other.group);
    assert_eq!((rows(&stack)?, numbers(&stack)?), (12_000, 12_000));
    hanging.resume();
    send_results(&stack, &epochs, 3_100)?;
    await_consumed(&stack, &other.group);

    assert_eq!((rows(&stack)?, numbers(&stack)?), (12_400, 12_400));
    assert_proven(&other.verify()?);
    Ok(())
}

#[test]
fn a_rebalance_while_partitions_are_paused_leaves_none_behind() -> Result<()> {
    let stack = Stack::start()?;
    let epochs = epochs::<8>();
    let setup = || stack.collector().set("batch.max_messages", 10).set("log.level", "debug");
    let first = setup().start()?;
    let says = |what: &'static str| {
        let log = first.log();
        ensure!(log.contains(what), "{log}");
        Ok(())
    };
    eventually("it reads", || says("reading begins"));
    stack.database.proxy.refuse();
    let now = Timestamp::now();
    let values: Vec<_> = (1..=50).flat_map(|seq| epochs.map(|epoch| (epoch, result(epoch, seq, now)))).collect();
    let values: Vec<_> = values.iter().map(|(epoch, value)| (epoch.to_string(), value.to_string())).collect();
    stack.topic.produce_all(values.iter().map(|(key, value)| (Some(key.as_bytes()), Some(value.as_bytes()))))?;
    eventually("it pauses", || says("paused partitions"));
    let second = setup().start()?;
    eventually("the second one has its share, of which it does not know where it begins", || {
        let log = second.log();
        ensure!(log.contains("took partitions") && !log.contains("reading begins"), "{log}");
        Ok(())
    });
    second.stop()?;
    eventually("the first one has all of them again", || {
        let log = first.log();
        let took = log.rsplit_once("took partitions").map_or("", |(_, after)| after);
        ensure!(took.starts_with("\" partitions=4"), "{log}");
        Ok(())
    });
    stack.database.proxy.open()?;
    await_consumed(&stack, &first.group);

    assert_eq!((rows(&stack)?, numbers(&stack)?), (400, 400));
    Ok(())
}
