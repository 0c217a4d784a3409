//! Stores return to earlier states and collectors are killed, in any order, while results stream in. The test asks
//! whether every result that Kafka has in the end is stored once.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::collector::Collector;
use e2e::postgres::{Database, Postgres};
use e2e::{Stack, eventually, within};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::failover::follow_no_more;
use super::result;

/// A fault of the stores or of the collectors.
#[derive(Clone, Copy, Debug)]
enum Fault {
    BackUp,
    SetBack,
    FailOver,
    Kill,
    Rebalance,
    CopyLogs,
    Truncate,
    RemakeTopic,
    AddPartition,
}

const FAULTS: [Fault; 9] = [
    Fault::BackUp,
    Fault::SetBack,
    Fault::FailOver,
    Fault::Kill,
    Fault::Rebalance,
    Fault::CopyLogs,
    Fault::Truncate,
    Fault::RemakeTopic,
    Fault::AddPartition,
];

/// The number of faults in one sequence.
const STEPS: usize = 6;

/// The number of sequences that run at the same time in a long run. A sequence waits most of the time.
const LANES: usize = 4;

/// The time after the last fault within which everything that Kafka has must be stored.
const WHOLE: Duration = Duration::from_secs(60);

/// An epoch and one of its sequence numbers.
type Number = (Uuid, u64);

/// The agent and the monitor that a number belongs to.
type Whose = (String, String);

type Truth = BTreeMap<Number, Whose>;

#[derive(Deserialize)]
struct Row {
    epoch: Uuid,
    seq: u64,
    agent: String,
    monitor: String,
}

#[test]
fn whatever_goes_back_in_any_order_all_that_kafka_has_is_stored_once_as_what_it_is() -> Result<()> {
    let is_at_length = std::env::var("TORTURE").is_ok_and(|how| how == "full");
    let sequences = if is_at_length { 200 } else { 1 };
    let first: u64 = match std::env::var("SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) if is_at_length => rand::rng().random_range(0..1_000_000),
        // This seed makes a backup, an added partition, a standby that takes over, a rebalance and a kill.
        Err(_) => 2,
    };
    let next = AtomicU64::new(first);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                for seed in seeds.take_while(|seed| *seed < first + sequences) {
                    // Each sequence has its own thread, so that a panic ends this sequence only.
                    let ended = scope.spawn(move || sequence(seed)).join();
                    let outcome = ended.unwrap_or_else(|_| bail!("a panic, which is told above"));
                    if let Err(error) = outcome {
                        // The error is printed at once, because the other sequences may take an hour.
                        drop(writeln!(io::stderr(), "SEED={seed} fails: {error:#}"));
                        failed.lock().push(format!("SEED={seed}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    ensure!(failed.is_empty(), "{} of {sequences} sequences fail: {}", failed.len(), failed.join(", "));
    Ok(())
}

fn sequence(seed: u64) -> Result<()> {
    let mut dice = StdRng::seed_from_u64(seed);
    let server = Arc::new(Postgres::start_own()?);
    let stack = Stack::with().own_kafka().partitions(2).start_on(&server)?;
    // Only this test makes the topic again, so that the topic has the test's number of partitions.
    let collector = || stack.collector().set("kafka.create_topic", false).start();
    let collectors = [collector()?, collector()?];
    let database = server.existing_database(stack.database.name())?;
    let mut world = World { stack: &stack, database, collectors: &collectors, copies: vec![], logs: vec![] };
    let (truth, is_over) = (Mutex::new(Truth::new()), AtomicBool::new(false));
    let mut faults = Vec::new();
    thread::scope(|scope| {
        let feeding = scope.spawn(|| feed(&stack, &truth, &is_over));
        let outcome = (0..STEPS).try_for_each(|_| {
            await_more(&truth);
            let fault = *FAULTS.choose(&mut dice).context("a fault")?;
            faults.push(fault);
            world.befall(fault, &mut dice, &truth)
        });
        is_over.store(true, Ordering::Relaxed);
        feeding.join().expect("no panic");
        outcome.with_context(|| format!("{faults:?}"))
    })?;
    let truth = truth.into_inner();
    let messages = in_kafka(&stack)?;
    writeln!(io::stderr(), "SEED={seed} {faults:?}: {} sent, {} in Kafka", truth.len(), messages.len())?;

    within(WHOLE, "all that Kafka has is stored", || {
        let rows = rows(&world.database)?;
        let lacking = messages.iter().filter(|number| !rows.contains_key(number)).count();
        ensure!(lacking == 0, "{lacking} of {} lack\n{}\n{}", messages.len(), collectors[0].log(), collectors[1].log());
        Ok(())
    })
    .with_context(|| format!("{faults:?}"))?;
    for (number, found) in rows(&world.database)? {
        ensure!(found.len() == 1 && truth.get(&number) == found.first(), "{faults:?}: {number:?} is {found:?}");
    }
    Ok(())
}

struct World<'a> {
    stack: &'a Stack,
    /// The database that collectors write to, on its current server.
    database: Database,
    collectors: &'a [Collector; 2],
    copies: Vec<PathBuf>,
    /// The copies of Kafka's logs. Each element has the logs of all partitions, copied at the same time.
    logs: Vec<Vec<PathBuf>>,
}

impl World<'_> {
    fn befall(&mut self, fault: Fault, dice: &mut StdRng, truth: &Mutex<Truth>) -> Result<()> {
        let collector = self.collectors.choose(dice).context("a collector")?;
        match fault {
            Fault::BackUp => self.copies.push(self.database.server.back_up()?),
            Fault::SetBack => {
                if let Some(copy) = self.copies.choose(dice) {
                    self.database.server.set_back(copy)?;
                }
            }
            Fault::FailOver => self.fail_over(truth)?,
            Fault::Kill => {
                collector.kill();
                collector.start()?;
            }
            Fault::Rebalance => {
                collector.stop()?;
                collector.start()?;
            }
            Fault::CopyLogs => self.with_logs(|logs, node, topic, partitions| {
                logs.push((0..partitions).map(|partition| node.copy_log(topic, partition)).collect::<Result<_>>()?);
                Ok(())
            })?,
            Fault::Truncate => {
                let which = dice.random_range(0..self.logs.len().max(1));
                self.with_logs(|logs, node, topic, _| {
                    let copies = logs.get(which).into_iter().flatten();
                    (0..).zip(copies).try_for_each(|(partition, copy)| node.set_log_back(topic, partition, copy))
                })?;
            }
            Fault::RemakeTopic => {
                self.logs.clear();
                self.stack.topic.delete()?;
                eventually("the topic is made again", || self.stack.topic.make());
            }
            Fault::AddPartition => self.stack.topic.add_partition()?,
        }
        Ok(())
    }

    /// Promotes a standby that lacks the latest results, and directs the collectors to it.
    fn fail_over(&mut self, truth: &Mutex<Truth>) -> Result<()> {
        let primary = Arc::clone(&self.database.server);
        let standby = Arc::new(primary.standby()?);
        let behind = standby.existing_database(self.database.name())?;
        follow_no_more(&self.database, &behind)?;
        await_more(truth);
        primary.crash()?;
        behind.execute("select pg_promote()")?;
        self.stack.database.proxy.lead_to(standby.port());
        self.database = behind;
        Ok(())
    }

    /// Does something with the logs on the disk while Kafka is stopped.
    fn with_logs(
        &mut self,
        work: impl FnOnce(&mut Vec<Vec<PathBuf>>, &e2e::kafka::Node, &str, i32) -> Result<()>,
    ) -> Result<()> {
        let partitions = i32::try_from(self.stack.topic.high_watermarks()?.len())?;
        self.stack.kafka.stop()?;
        let node = self.stack.kafka.nodes()?.first().context("a node")?;
        work(&mut self.logs, node, self.stack.topic.name(), partitions)?;
        self.stack.kafka.start()
    }
}

/// Sends results of four agents until `is_over`. Results that Kafka does not take are lost for this test.
fn feed(stack: &Stack, truth: &Mutex<Truth>, is_over: &AtomicBool) {
    let epochs: [Uuid; 4] = std::array::from_fn(|_| Uuid::new_v4());
    let mut seq = 0;
    while !is_over.load(Ordering::Relaxed) {
        let mut messages = Vec::new();
        for (n, epoch) in epochs.iter().enumerate() {
            let (agent, monitor) = (format!("edge-{n}"), format!("monitor-{n}-{}", seq / 100));
            for seq in seq + 1..=seq + 5 {
                messages.push((agent.clone(), result(*epoch, seq, &agent, &monitor).to_string()));
                let mut truth = truth.lock();
                truth.insert((*epoch, seq), (agent.clone(), monitor.clone()));
            }
        }
        seq += 5;
        let all = messages.iter().map(|(agent, message)| (Some(agent.as_bytes()), Some(message.as_bytes())));
        stack.topic.produce_all(all).ok();
        thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until at least 100 more results were sent.
fn await_more(truth: &Mutex<Truth>) {
    let sent = || truth.lock().len();
    let before = sent();
    eventually("more is sent", || {
        ensure!(sent() >= before + 100, "{} more", sent() - before);
        Ok(())
    });
}

/// Returns the numbers of the messages that Kafka has.
fn in_kafka(stack: &Stack) -> Result<Vec<Number>> {
    let number = |value: Option<Vec<u8>>| {
        let value: Value = serde_json::from_slice(&value.unwrap_or_default())?;
        let epoch: Uuid = serde_json::from_value(value["epoch"].clone())?;
        Ok((epoch, value["seq"].as_u64().context("a number")?))
    };
    stack.topic.messages()?.into_iter().map(|message| number(message.value)).collect()
}

/// Returns the agent and the monitor of each row, by the number of the row. A number with two rows has two entries.
fn rows(database: &Database) -> Result<BTreeMap<Number, Vec<Whose>>> {
    let rows: Vec<Row> = database.rows(
        "select epoch, seq, a.name as agent, m.id as monitor
         from website_monitor.results join website_monitor.monitors m using (monitor_id)
              join website_monitor.epochs using (epoch_id) join website_monitor.agents a using (agent_id)",
    )?;
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows {
        found.entry((row.epoch, row.seq)).or_default().push((row.agent, row.monitor));
    }
    Ok(found)
}
