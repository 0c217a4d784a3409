//! Tests of the publisher against librdkafka's in-process broker, which can be told to fail.

use std::path::Path;
use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Message};

use super::*;
use crate::config::OutboxConfig;
use crate::outbox::Committer;

const TOPIC: &str = "records";
const PATIENCE: Duration = Duration::from_secs(60);

struct Rig {
    cluster: MockCluster<'static, DefaultProducerContext>,
    outbox: Outbox,
    kafka: settings::Kafka,
    _committer: Committer,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let (outbox, committer) = open(dir.path());
        let cluster = MockCluster::new(1).unwrap();
        let kafka = settings::Kafka {
            bootstrap_servers: cluster.bootstrap_servers(),
            topic: TOPIC.into(),
            ..settings::Kafka::default()
        };
        Rig { cluster, outbox, kafka, _committer: committer, _dir: dir }
    }

    fn with_topic() -> Rig {
        let rig = Rig::new();
        rig.cluster.create_topic(TOPIC, 2, 1).unwrap();
        rig
    }

    fn publish(&self) -> Publisher {
        Publisher::start("edge", &self.kafka, self.outbox.clone()).unwrap()
    }

    fn append(&self, count: usize) {
        for _ in 0..count {
            self.outbox.append(b"{\"kind\":\"test\"}".to_vec()).unwrap();
        }
    }

    /// The numbers in the topic, in the order of its one used partition.
    fn numbers(&self, count: usize) -> Vec<u64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", uuid::Uuid::new_v4().to_string())
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&[TOPIC]).unwrap();
        let mut numbers = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while numbers.len() < count && Instant::now() < deadline {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                let value: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                numbers.push(value["seq"].as_u64().unwrap());
            }
        }
        numbers
    }
}

fn open(path: &Path) -> (Outbox, Committer) {
    open_with(path, 64 * 1024 * 1024)
}

fn open_with(path: &Path, max_size: u64) -> (Outbox, Committer) {
    let config = OutboxConfig { max_size, ..OutboxConfig::at(path.to_owned()) };
    let outbox = Outbox::open(&config).unwrap();
    let committer = outbox.start("edge", |_| b"{\"kind\":\"test\"}".to_vec()).unwrap();
    (outbox, committer)
}

#[test]
fn everything_in_the_outbox_is_delivered_once_and_in_order() {
    let rig = Rig::with_topic();
    rig.append(200);
    let publisher = rig.publish();
    assert!(publisher.drain(PATIENCE));
    rig.append(100);
    assert!(publisher.drain(PATIENCE));
    assert_eq!(rig.numbers(301), (1..=301).collect::<Vec<_>>());
    assert_eq!(publisher.published(), 301);
}

/// By satellite, say. Each attempt to connect has more time than the one before.
#[test]
fn a_network_that_takes_most_of_a_second_for_each_answer_is_no_absent_kafka() {
    let rig = Rig::with_topic();
    rig.cluster.broker_round_trip_time(1, Duration::from_millis(700)).unwrap();
    rig.append(5);
    let publisher = rig.publish();
    assert!(publisher.drain(PATIENCE), "{:?}", publisher.trouble());
    assert_eq!((publisher.published(), publisher.trouble()), (6, None));
}

#[test]
fn nothing_leaves_the_outbox_while_brokers_answer_with_errors() {
    let rig = Rig::with_topic();
    rig.append(20);
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 3];
    rig.cluster.request_errors(RDKafkaApiKey::Produce, &refused);
    let publisher = rig.publish();
    assert!(publisher.drain(PATIENCE));
    let mut numbers = rig.numbers(21);
    numbers.dedup();
    assert_eq!(numbers, (1..=21).collect::<Vec<_>>());
}

#[test]
fn a_record_too_large_for_the_broker_is_declared_and_stops_no_other() {
    let rig = Rig::with_topic();
    rig.append(3);
    let publisher = {
        let mut kafka = rig.kafka.clone();
        kafka.properties.0.insert("message.max.bytes".into(), "1000".into());
        rig.outbox.append(format!("{{\"kind\":\"{}\"}}", "x".repeat(2_000)).into_bytes()).unwrap();
        rig.append(3);
        Publisher::start("edge", &kafka, rig.outbox.clone()).unwrap()
    };
    assert!(rig.outbox.wait_acknowledged(9, PATIENCE), "the declaration is record 9");
    assert_eq!(rig.numbers(8), [1, 2, 3, 4, 6, 7, 8, 9]);
    drop(publisher);
}

/// An outbox without its committer answers as one whose disk refuses: not yet.
#[test]
fn while_the_disk_refuses_the_declaration_of_a_record_too_large_holds_up_no_other() {
    let Rig { cluster, mut kafka, outbox, _committer: committer, _dir: dir } = Rig::with_topic();
    kafka.properties.0.insert("message.max.bytes".into(), "1000".into());
    outbox.append(format!("{{\"kind\":\"{}\"}}", "x".repeat(2_000)).into_bytes()).unwrap();
    outbox.append(b"{\"kind\":\"test\"}".to_vec()).unwrap();
    committer.stop();
    drop(outbox);
    let config = OutboxConfig { max_size: 64 << 20, ..OutboxConfig::at(dir.path().to_owned()) };
    let outbox = Outbox::open(&config).unwrap();
    let publisher = Publisher::start("edge", &kafka, outbox.clone()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while publisher.published() < 2 {
        assert!(Instant::now() < deadline, "{} published", publisher.published());
        std::thread::yield_now();
    }
    assert!(outbox.acknowledged() < 2);

    let committer = outbox.start("edge", |_| b"{\"kind\":\"test\"}".to_vec()).unwrap();
    assert!(publisher.drain(PATIENCE));
    assert!(outbox.wait_acknowledged(5, PATIENCE), "a first record and a declaration follow");
    drop((publisher, committer, cluster));
}

#[test]
fn a_publisher_without_kafka_stops_at_once() {
    let rig = Rig::with_topic();
    let kafka = settings::Kafka { bootstrap_servers: "127.0.0.1:1".into(), ..rig.kafka.clone() };
    rig.append(1);
    let publisher = Publisher::start("edge", &kafka, rig.outbox.clone()).unwrap();
    assert!(!publisher.drain(Duration::from_millis(10)));
    publisher.stop();
    assert_eq!(rig.outbox.acknowledged(), 0);
}

#[test]
fn the_cursor_passes_records_that_damage_took_from_the_outbox() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, committer) = open_with(dir.path(), 16 * 1024 * 1024);
    for _ in 0..80 {
        let noise: String = std::iter::repeat_with(|| rand::random_range('a'..='z')).take(100_000).collect();
        outbox.append(format!("{{\"kind\":\"{noise}\"}}").into_bytes()).unwrap();
    }
    committer.stop();
    drop(outbox);
    let chunks = dir.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut chunks: Vec<_> = chunks.filter(|path| path.join("head.json").exists()).collect();
    chunks.sort();
    assert!(chunks.len() > 2, "{chunks:?}");
    std::fs::remove_file(chunks[1].join("head.json")).unwrap();
    let (outbox, committer) = open_with(dir.path(), 16 * 1024 * 1024);
    let rig = Rig { outbox, _committer: committer, _dir: dir, ..Rig::with_topic() };
    let publisher = rig.publish();
    assert!(publisher.drain(PATIENCE));
    assert_eq!(rig.outbox.pending(), 0);
    assert!((30..80).contains(&publisher.published()), "{}", publisher.published());
}

#[test]
fn a_property_that_librdkafka_refuses_is_named_without_its_value() {
    let mut kafka = settings::Kafka::default();
    assert_eq!(check(&kafka), Ok(()));
    kafka.properties.0.insert("sasl.pasword".into(), "s3cret".into());
    let problem = check(&kafka).unwrap_err();
    assert!(problem.contains("sasl.pasword") && !problem.contains("s3cret"), "{problem}");
}

#[test]
fn reports_come_through_between_the_lines_of_librdkafkas_log() {
    let mut rig = Rig::with_topic();
    rig.kafka.properties.0.insert("debug".into(), "all".into());
    let publisher = rig.publish();
    // As checks come: each is sent by itself, and the publisher looks for reports at its leisure.
    for _ in 0..300 {
        rig.append(1);
        std::thread::sleep(Duration::from_millis(15));
    }
    assert!(rig.outbox.wait_acknowledged(rig.outbox.last(), PATIENCE), "{} wait", rig.outbox.pending());
    drop(publisher);
}
