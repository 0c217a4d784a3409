//! Tests of the consumer against the broker that is built into librdkafka.

use std::collections::BTreeSet;

use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::*;
use crate::position::Position;

const LONG: Duration = Duration::from_secs(30);
const BOUNDS: BatchBounds = BatchBounds { max_messages: 1, max_wait: Duration::from_millis(1) };

/// Polls until `until`, and fails when that takes too long.
fn poll_until(gathering: &mut Gathering<'_>, until: impl Fn(&Gathering<'_>) -> bool) {
    let began = Instant::now();
    while !until(gathering) {
        assert!(began.elapsed() < LONG, "it does not come");
        gathering.step().unwrap();
    }
}

/// Polls until a task comes. A question where partitions begin is answered as by a database that has nothing yet.
fn next_task(gathering: &mut Gathering<'_>, progress: &Progress) -> Option<Batch> {
    poll_until(gathering, |_| progress.has_task(0));
    let (generation, task) = progress.next(0).unwrap();
    match task {
        Task::Locate(_, partitions) => {
            let positions = partitions.into_iter().map(|partition| (partition, Position::default())).collect();
            progress.located(0, generation, Some(Start { database: Uuid::nil(), positions }));
            None
        }
        Task::Write(batch) => {
            progress.written(0, generation, Written::GivenUp, batch.ends());
            Some(batch)
        }
    }
}

/// Polls until a batch comes.
fn next_batch(gathering: &mut Gathering<'_>, progress: &Progress) -> Batch {
    loop {
        if let Some(batch) = next_task(gathering, progress) {
            return batch;
        }
    }
}

#[test]
fn a_stop_does_not_wait_for_ever_for_a_database_that_hangs() {
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let writing = thread::spawn(move || assert!(held.recv().is_err()));
    let writing = [writing];
    await_ends(&writing, Duration::from_millis(20));
    assert!(!writing[0].is_finished());
    drop(let_go);
    await_ends(&writing, LONG);
    assert!(writing[0].is_finished());
}

#[test]
fn partitions_that_were_paused_are_read_again_after_a_rebalance() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    let kafka = Kafka { bootstrap_servers: cluster.bootstrap_servers(), topic: "t".into(), ..Kafka::default() };
    let kafka = Kafka { group: "g".into(), ..kafka };
    let progress = Arc::new(Progress::new(1));
    let consumer = client::consumer(&kafka, "one", progress.clone(), Arc::new(Health::new(1))).unwrap();
    let mut gathering = Gathering::new(&consumer, &progress, BOUNDS, 1, false);

    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    for _ in 0..4 {
        for partition in 0..2 {
            let record = BaseRecord::<[u8], [u8]>::to("t").partition(partition).payload(b"x");
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
    }
    producer.flush(LONG).unwrap();
    consumer.subscribe(&["t"]).unwrap();
    assert!(next_task(&mut gathering, &progress).is_none(), "reading begins with a question");
    poll_until(&mut gathering, |gathering| gathering.is_paused());
    consumer.unsubscribe();
    poll_until(&mut gathering, |_| progress.generation() == 1);
    consumer.subscribe(&["t"]).unwrap();

    let mut read = BTreeSet::new();
    while read.len() < 8 {
        let batch = next_batch(&mut gathering, &progress);
        read.extend(batch.ends().iter().map(|(partition, end)| (*partition, end.next)));
    }
}

#[test]
fn a_consumer_that_gets_no_partition_is_not_left_outside() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let kafka = Kafka { bootstrap_servers: cluster.bootstrap_servers(), topic: "t".into(), ..Kafka::default() };
    let members = ["one", "other"].map(|instance| {
        let consumer =
            client::consumer(&kafka, instance, Arc::new(Progress::new(1)), Arc::new(Health::new(1))).unwrap();
        consumer.subscribe(&["t"]).unwrap();
        consumer.context().asks_in();
        consumer
    });
    assert!(members.iter().all(|member| member.context().is_left_outside(Duration::ZERO)));
    let began = Instant::now();
    while members.iter().any(|member| member.context().is_left_outside(Duration::ZERO)) {
        assert!(began.elapsed() < LONG, "the group does not take both");
        members.iter().for_each(|member| drop(member.poll(Duration::from_millis(50))));
    }
    let shares = members.each_ref().map(|member| member.assignment().unwrap().count());
    assert_eq!(shares.iter().sum::<usize>(), 1, "{shares:?}");
}

#[test]
fn of_a_message_it_is_known_when_it_was_sent_and_whether_the_end_was_seen_just_before() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let kafka = Kafka { bootstrap_servers: cluster.bootstrap_servers(), topic: "t".into(), ..Kafka::default() };
    let progress = Arc::new(Progress::new(1));
    let consumer = client::consumer(&kafka, "one", progress.clone(), Arc::new(Health::new(1))).unwrap();
    let mut gathering = Gathering::new(&consumer, &progress, BOUNDS, 1, false);
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    let sent = jiff::Timestamp::from_millisecond(1_700_000_000_123).unwrap();
    consumer.subscribe(&["t"]).unwrap();

    for is_prompt in [false, true] {
        let record = BaseRecord::<[u8], [u8]>::to("t").payload(b"x").timestamp(sent.as_millisecond());
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(LONG).unwrap();
        let batch = next_batch(&mut gathering, &progress);
        let passage = batch.entries()[0].message.passage.unwrap();
        assert_eq!((passage.sent, passage.is_prompt()), (sent, is_prompt));
        poll_until(&mut gathering, |gathering| is_prompt || gathering.knows_end(0));
    }
}
