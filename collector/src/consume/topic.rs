//! The topic: waited for, and made when it is absent and the configuration says so. Agents do the same; whoever is
//! first makes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use settings::{Failure, FailureKind, Kafka, LogThrottle};

use super::client::{Context, failure, properties};
use crate::health::Health;

/// How long Kafka may take to answer, at first, and at most.
const SHORTEST_ANSWER: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(200);

/// How often Kafka is asked when there is doubt.
const LOOK: Duration = Duration::from_secs(3);

pub(super) struct Topic<'a> {
    kafka: &'a Kafka,
    looked: Instant,
    refused: LogThrottle,
}

impl<'a> Topic<'a> {
    pub(super) fn new(kafka: &'a Kafka) -> Topic<'a> {
        Topic { kafka, looked: Instant::now(), refused: LogThrottle::default() }
    }

    /// Waits until the topic is there, making it where that is wanted; false when `stop` came first.
    pub(super) fn wait(&mut self, consumer: &BaseConsumer<Context>, health: &Health, stop: &AtomicBool) -> bool {
        let mut patience = SHORTEST_ANSWER;
        while !stop.load(Ordering::Relaxed) {
            health.consumes();
            let Err(failure) = self.ask(consumer, patience) else { return true };
            // Callbacks come by polling, and they know why. Without a subscription no message comes.
            drop(consumer.poll(PAUSE));
            // A network that takes long is given more time before it counts as silent.
            if patience == ANSWER || !failure.kind.is_vague() || consumer.context().is_suspicious() {
                consumer.context().away(failure);
            }
            patience = (3 * patience / 2).min(ANSWER);
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
            ) => consumer.context().suspect(failure(error, &error.to_string())),
            _ => {
                if let Some(times) = self.refused.happened(&error.to_string(), 1, Instant::now()) {
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
        let patience = if consumer.context().knows_why() { SHORTEST_ANSWER } else { ANSWER };
        if let Err(failure) = self.ask(consumer, patience) {
            consumer.context().away(failure);
        }
        // Not before: an absent Kafka may take as long as the pause, and somebody has to poll meanwhile.
        self.looked = Instant::now();
    }

    /// Asks whether Kafka has the topic, which is made where it is absent and wanted.
    fn ask(&mut self, consumer: &BaseConsumer<Context>, patience: Duration) -> Result<(), Failure> {
        let metadata = consumer
            .fetch_metadata(Some(&self.kafka.topic), patience)
            .map_err(|error| failure(&error, &error.to_string()))?;
        let absent = |problem: &str| {
            Failure::new(FailureKind::Topic, format!("the topic {:?} is not there: {problem}", self.kafka.topic))
        };
        let topic = metadata.topics().first().ok_or_else(|| absent("Kafka does not tell of it"))?;
        match topic.error().map(RDKafkaErrorCode::from) {
            None if !topic.partitions().is_empty() => {
                consumer.context().back();
                Ok(())
            }
            None => Err(absent("it has no partitions")),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) if self.kafka.create_topic => {
                self.make().map_err(|problem| absent(&problem))?;
                log::info!(topic = self.kafka.topic.as_str(), partitions = self.kafka.partitions; "made the topic");
                Err(absent("it was made just now"))
            }
            Some(error) => Err(Failure::of_kafka(error as i32, &absent(&error.to_string()).text)),
        }
    }

    fn make(&self) -> Result<(), String> {
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
}
