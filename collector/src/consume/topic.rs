//! Waits for the topic, and creates it when it is absent and `create_topic` is set. Agents do the same, so the first daemon
//! creates it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use settings::{Failure, FailureKind, Kafka, LogThrottle};

use super::client::{Context, properties, unanswered};
use super::raw;
use crate::health::Health;

/// How long Kafka may take to answer at first, and at most.
const SHORTEST_ANSWER: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(3);
/// How long librdkafka's events may take to be handed over.
const EVENTS: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(500);

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

    /// Waits until the topic is there, and creates it when that is configured. It returns false when `stop` came first.
    pub(super) fn wait(&mut self, consumer: &BaseConsumer<Context>, health: &Health, stop: &AtomicBool) -> bool {
        let mut patience = SHORTEST_ANSWER;
        while !stop.load(Ordering::Relaxed) {
            health.consumes();
            self.tell_addresses_again(consumer);
            match self.ask(consumer, patience) {
                Ok(true) => return true,
                Ok(false) => sleep(PAUSE),
                Err(failure) => {
                    // Callbacks come by polling, and they tell the reason. Without a subscription no message comes.
                    drop(consumer.poll(EVENTS));
                    // A network that takes long is given more time before it counts as silent.
                    let is_known = !failure.kind.is_vague() || consumer.context().is_suspicious();
                    if is_known || patience == ANSWER {
                        consumer.context().away(failure);
                    }
                    patience = (3 * patience / 2).min(ANSWER);
                }
            }
        }
        false
    }

    /// Looks at an error that came instead of a message.
    pub(super) fn look_after(&mut self, consumer: &BaseConsumer<Context>, error: &KafkaError) {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic,
            ) => consumer.context().suspect(unanswered(error)),
            _ => {
                if let Some(times) = self.refused.happened(&error.to_string(), 1, Instant::now()) {
                    log::warn!(times, error:% = error; "kafka refuses");
                }
            }
        }
    }

    /// Asks Kafka at intervals about its state when there is doubt. A silent topic tells nothing, and a topic that
    /// vanished is created again.
    pub(super) fn look_after_doubt(&mut self, consumer: &BaseConsumer<Context>) {
        self.tell_addresses_again(consumer);
        if consumer.context().is_in_doubt() && self.is_time() {
            self.look(consumer);
        }
    }

    /// Tells librdkafka the brokers of the configuration again when it knows none any more.
    pub(super) fn tell_addresses_again(&self, consumer: &BaseConsumer<Context>) {
        if consumer.context().bootstrap().take_is_lost() {
            log::info!("no known broker leads to kafka any more: the addresses of the configuration are tried again");
            raw::add_brokers(consumer.client(), properties(self.kafka).get("bootstrap.servers").unwrap_or_default());
        }
    }

    fn is_time(&self) -> bool {
        self.looked.elapsed() >= LOOK
    }

    /// Creates the topic when it is absent and `create_topic` is set, and notes a failure.
    fn look(&mut self, consumer: &BaseConsumer<Context>) {
        if let Err(failure) = self.ask(consumer, ANSWER) {
            consumer.context().away(failure);
        }
        // The time is taken after the answer: an absent Kafka may take as long as the pause, and this thread has to
        // poll in between.
        self.looked = Instant::now();
    }

    /// Asks whether Kafka has the topic. When it is absent and `create_topic` is set, it is created and is there soon.
    fn ask(&mut self, consumer: &BaseConsumer<Context>, patience: Duration) -> Result<bool, Failure> {
        let metadata =
            consumer.fetch_metadata(Some(&self.kafka.topic), patience).map_err(|error| unanswered(&error))?;
        let absent = |problem: &str| format!("topic {:?}: {problem}", self.kafka.topic);
        let nothing = || Failure::new(FailureKind::Topic, absent("it has no partitions"));
        let topic = metadata.topics().first().ok_or_else(nothing)?;
        match topic.error().map(RDKafkaErrorCode::from) {
            None if topic.partitions().is_empty() => Err(nothing()),
            None => {
                if let Some(unfit) = self.kafka.unfit_topic(&properties(self.kafka), ANSWER) {
                    return Err(unfit);
                }
                consumer.context().back();
                Ok(true)
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) if self.kafka.create_topic => {
                self.kafka.make_topic(&properties(self.kafka), ANSWER)?;
                Ok(false)
            }
            Some(error) => Err(Failure::of_kafka(error as i32, &absent(&error.to_string()))),
        }
    }
}
