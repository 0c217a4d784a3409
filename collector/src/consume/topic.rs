//! The topic: waited for, and made when it is absent and the configuration says so. Agents do the same; whoever is
//! first makes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use settings::Kafka;

use super::client::{Context, properties};
use crate::health::Health;
use crate::rarely::Rarely;

const ANSWER: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(500);

/// How often Kafka is asked when there is doubt.
const LOOK: Duration = Duration::from_secs(3);

pub(super) struct Topic<'a> {
    kafka: &'a Kafka,
    looked: Instant,
    absent: Rarely,
    refused: Rarely,
}

impl<'a> Topic<'a> {
    pub(super) fn new(kafka: &'a Kafka) -> Topic<'a> {
        Topic { kafka, looked: Instant::now(), absent: Rarely::default(), refused: Rarely::default() }
    }

    /// Waits until the topic is there, making it where that is wanted; false when `stop` came first.
    pub(super) fn wait(&mut self, consumer: &BaseConsumer<Context>, health: &Health, stop: &AtomicBool) -> bool {
        while !stop.load(Ordering::Relaxed) {
            health.consumes();
            match self.ask(consumer) {
                Ok(true) => return true,
                Ok(false) => sleep(PAUSE),
                Err(error) => {
                    // Callbacks come by polling, and the first one knows why. Without a subscription no message comes.
                    drop(consumer.poll(PAUSE));
                    consumer.context().away(&error.to_string());
                }
            }
        }
        false
    }

    /// An error came instead of a message.
    pub(super) fn look_after(&mut self, consumer: &BaseConsumer<Context>, error: &KafkaError) {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic,
            ) => consumer.context().suspect(&error.to_string()),
            _ => {
                if let Some(times) = self.refused.happened(1) {
                    log::warn!(times, error:% = error; "kafka refuses");
                }
            }
        }
    }

    /// Asks Kafka how it is when there is doubt, now and then. A silent topic tells nothing, and one that vanished
    /// is made again.
    pub(super) fn look_after_doubt(&mut self, consumer: &BaseConsumer<Context>) {
        if consumer.context().is_in_doubt() && self.is_time() {
            self.look(consumer);
        }
    }

    fn is_time(&self) -> bool {
        self.looked.elapsed() >= LOOK
    }

    /// Makes the topic where it is absent and wanted, and says what Kafka says.
    fn look(&mut self, consumer: &BaseConsumer<Context>) {
        if let Err(error) = self.ask(consumer) {
            consumer.context().away(&error.to_string());
        }
        // Not before: an absent Kafka may take as long as the pause, and somebody has to poll meanwhile.
        self.looked = Instant::now();
    }

    /// Whether Kafka has the topic, which is made where it is absent and wanted.
    fn ask(&mut self, consumer: &BaseConsumer<Context>) -> KafkaResult<bool> {
        let metadata = consumer.fetch_metadata(Some(&self.kafka.topic), ANSWER)?;
        consumer.context().back();
        let Some(topic) = metadata.topics().first() else { return Ok(false) };
        match topic.error().map(RDKafkaErrorCode::from) {
            None if !topic.partitions().is_empty() => {
                if self.absent.ended() {
                    log::info!(topic = self.kafka.topic.as_str(); "the topic is there");
                }
                return Ok(true);
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) if self.kafka.create_topic => self.make(),
            error => {
                let error = error.map_or_else(|| "it has no partitions".into(), |error| error.to_string());
                self.say_absent(&error);
            }
        }
        Ok(false)
    }

    fn make(&mut self) {
        let name = self.kafka.topic.as_str();
        match self.try_to_make() {
            Ok(()) => log::info!(topic = name, partitions = self.kafka.partitions; "made the topic"),
            Err(error) => self.say_absent(&error),
        }
    }

    fn try_to_make(&self) -> Result<(), String> {
        let Kafka { topic, partitions, replication_factor, .. } = self.kafka;
        let admin: AdminClient<DefaultClientContext> =
            properties(self.kafka).create().map_err(|error| error.to_string())?;
        let wanted = NewTopic::new(topic, *partitions, TopicReplication::Fixed(*replication_factor));
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        let made = runtime.block_on(admin.create_topics([&wanted], &options)).map_err(|error| error.to_string())?;
        match made.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) => Ok(()),
            Some(Err((_, code))) => Err(format!("it can't be made: {code}")),
            None => Err("it can't be made: no answer".into()),
        }
    }

    fn say_absent(&mut self, error: &str) {
        if let Some(times) = self.absent.happened(1) {
            log::warn!(times, topic = self.kafka.topic.as_str(), error; "the topic is not there: waiting for it");
        }
    }
}
