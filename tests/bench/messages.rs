//! A topic full of results, as agents would have sent them.

use std::time::Duration;

use anyhow::Result;
use e2e::kafka::Topic;
use jiff::{Timestamp, ToSpan};
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use uuid::Uuid;
use wire::{Certificate, CheckResult, Content, Outcome, Phases, Record};

pub(crate) const PARTITIONS: usize = 4;
const MONITORS: usize = 1_000;
const BOUND: Duration = Duration::from_secs(60);

/// This many results by this many agents, each of which checks the same thousand monitors in turn.
pub(crate) struct Load {
    pub(crate) results: usize,
    pub(crate) agents: usize,
    /// When the first one's check began; each other one's did a millisecond after the one before.
    pub(crate) begin: Timestamp,
}

impl Load {
    /// Writes them all; the bytes of one message.
    pub(crate) fn send(&self, topic: &Topic, broker: &str) -> Result<usize> {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", broker)
            .set("compression.type", "lz4")
            .set("linger.ms", "20")
            .create()?;
        let epochs: Vec<Uuid> = (0..self.agents).map(|_| Uuid::new_v4()).collect();
        let mut bytes = 0;
        for index in 0..self.results {
            let (agent, turn) = (index % self.agents, index / self.agents);
            let name = format!("agent-{agent}");
            let at = self.begin + i64::try_from(index)?.milliseconds();
            let content = Content::Result(Box::new(result((turn + agent / 20) % MONITORS, at)));
            let message = Record { epoch: epochs[agent], seq: turn as u64 + 1, agent: name.clone(), content }.encode();
            bytes += message.len();
            let partition = i32::try_from(agent % PARTITIONS)?;
            let mut record = BaseRecord::to(topic.name()).partition(partition).key(&name).payload(&message);
            while let Err((error, back)) = producer.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                std::thread::sleep(Duration::from_millis(1));
                record = back;
            }
        }
        producer.flush(BOUND)?;
        Ok(bytes / self.results)
    }
}

fn result(monitor: usize, at: Timestamp) -> CheckResult {
    CheckResult {
        monitor: format!("shop {monitor}"),
        name: format!("shop {monitor}"),
        url: format!("https://shop-{monitor}.example/welcome"),
        pattern: Some("Welcome".into()),
        scheduled_at: at,
        checked_at: at,
        outcome: Outcome::Success,
        status_code: Some(200),
        reason: Some("OK".into()),
        response_time_us: Some(12_345 + monitor as u64),
        phases: Phases {
            dns: Some(100),
            connect: Some(200),
            tls: Some(3_000),
            first_byte: Some(4_000),
            body: Some(500),
        },
        peer: Some("127.0.0.1:443".into()),
        redirects: Some(0),
        pattern_matched: Some(true),
        certificate: Some(Certificate {
            not_after: at + 2_000.hours(),
            subject: "CN=shop.example".into(),
            issuer: "CN=Some Issuer".into(),
            first_end: None,
            fault: None,
            faults: Vec::new(),
        }),
        body_bytes: Some(1_024),
        truncated: None,
        attempts: 1,
        tags: Default::default(),
        error: None,
    }
}
