//! Creates the consumer with its properties, and contains the callbacks that librdkafka calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use settings::{Failure, FailureKind, Kafka, LogThrottle};
use uuid::Uuid;

use super::bootstrap::Bootstrap;
use super::identity::{DEBUG_CONTEXT, Identity};
use super::lag::Lag;
use super::name;
use super::name::Name;
use super::progress::Progress;
use crate::health::Health;
use crate::position::Positions;

/// How long a rebalance waits for the batch that is being written. The group waits during this time.
const REBALANCE: Duration = Duration::from_secs(3);

/// After this time a collector that was killed is noticed, and other collectors take over. Brokers allow no less than
/// six seconds.
const SESSION_TIMEOUT_MS: &str = "6000";

/// How long a clean stop may take to leave the group. It takes some milliseconds.
const LEAVING: Duration = Duration::from_secs(1);

/// The debug context of librdkafka that logs that the group is left.
const LEAVING_CONTEXT: &str = "consumer";

/// The properties that `kafka.properties` may overrule.
const DEFAULTS: [(&str, &str); 11] = [
    ("client.id", "website-monitor-collector"),
    ("session.timeout.ms", SESSION_TIMEOUT_MS),
    ("heartbeat.interval.ms", "1500"),
    // This is the bound for all partitions together. Without it, 64 MiB would be fetched ahead.
    ("queued.max.messages.kbytes", "16384"),
    // The answer to one fetch is compressed, and takes several times as much memory, in addition to what is queued
    // already. Two partitions fill an answer, for two writers. A long part of each of two partitions gives batches with
    // fewer agents than short parts of all partitions.
    ("fetch.max.bytes", "2097152"),
    ("max.partition.fetch.bytes", "1048576"),
    // A partition whose share is fetched is checked again soon. Otherwise its batches wait a second.
    ("fetch.queue.backoff.ms", "20"),
    ("fetch.wait.max.ms", "100"),
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("reconnect.backoff.max.ms", "1000"),
    // The statistics tell how far behind the consumer is.
    ("statistics.interval.ms", "5000"),
];

/// The properties that `kafka.properties` may not overrule, because guarantees depend on them: offsets follow the
/// transaction, nothing is skipped, no damaged message is accepted, and a rebalance gives back all partitions.
const LAW: [(&str, &str); 6] = [
    ("enable.auto.commit", "false"),
    ("auto.offset.reset", "earliest"),
    ("check.crcs", "true"),
    ("partition.assignment.strategy", "range,roundrobin"),
    ("group.protocol", "classic"),
    ("allow.auto.create.topics", "false"),
];

/// Returns the properties of every client.
pub(super) fn properties(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in DEFAULTS {
        config.set(name, value);
    }
    for (name, value) in kafka.client_properties() {
        config.set(name, value);
    }
    config
}

/// Returns the member's name from the configuration, or a name that the collector makes itself.
pub(super) fn name(kafka: &Kafka) -> Name {
    Name::of(kafka, properties(kafka).get(name::PROPERTY))
}

/// Creates the consumer, without a subscription.
pub(super) fn consumer(
    kafka: &Kafka,
    name: &str,
    progress: Arc<Progress>,
    health: Arc<Health>,
) -> KafkaResult<BaseConsumer<Context>> {
    let mut config = properties(kafka);
    config.set("group.id", &kafka.group).set(name::PROPERTY, name);
    for (name, value) in LAW {
        config.set(name, value);
    }
    let debug = [config.get("debug").unwrap_or_default(), DEBUG_CONTEXT, LEAVING_CONTEXT].join(",");
    config.set("debug", debug.trim_start_matches(',')).set_log_level(RDKafkaLogLevel::Debug);
    let servers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
    config.create_with_context(Context {
        topic: kafka.topic.as_str().into(),
        identity: Identity::default(),
        progress,
        health,
        suspicion: Mutex::default(),
        uncommitted: Mutex::default(),
        membership: Mutex::default(),
        filled: Mutex::default(),
        lag: Lag::default(),
        bootstrap: Bootstrap::new(&servers),
    })
}

/// Returns how long a group may take to let a consumer in while Kafka answers. Members that the group remembers and
/// that are gone have the timeout of their session. The other members take as long as their rebalance.
pub(super) fn patience(kafka: &Kafka) -> Duration {
    let session = properties(kafka).get("session.timeout.ms").and_then(|text| text.parse().ok()).unwrap_or(0);
    Duration::from_millis(session) + REBALANCE
}

/// Leaves the group, so that others take over at once. The group expects a static member back when it only closes.
pub(super) fn leave(consumer: &BaseConsumer<Context>) {
    let context = consumer.context();
    if context.membership.lock().outside_since.is_some() {
        return;
    }
    consumer.unsubscribe();
    let began = Instant::now();
    while !context.membership.lock().has_left && began.elapsed() < LEAVING {
        drop(consumer.poll(Duration::from_millis(10)));
    }
}

/// Returns positions as a list of offsets to commit, which bear the identity of their database.
pub(super) fn offsets(context: &Context, positions: &Positions, database: Option<Uuid>) -> TopicPartitionList {
    let mut offsets = TopicPartitionList::new();
    for (partition, position) in positions {
        let mut offset = offsets.add_partition(&context.topic, *partition);
        if let Err(error) = offset.set_offset(Offset::Offset(position.next)) {
            log::debug!(error:% = error, partition = *partition; "an offset is not committed");
        }
        if let Some(database) = database.or_else(|| context.filled()) {
            offset.set_metadata(database.to_string());
        }
    }
    offsets
}

/// The context whose functions librdkafka calls.
pub(super) struct Context {
    topic: Arc<str>,
    identity: Identity,
    progress: Arc<Progress>,
    health: Arc<Health>,
    /// The most telling error that librdkafka reported since Kafka was last asked. librdkafka reports late, and its
    /// errors may be over by then.
    suspicion: Mutex<Option<Failure>>,
    uncommitted: Mutex<LogThrottle>,
    membership: Mutex<Membership>,
    /// The databases that this collector filled. The present one is the last.
    filled: Mutex<Vec<Uuid>>,
    lag: Lag,
    bootstrap: Bootstrap,
}

/// The state of the consumer in its group.
#[derive(Default)]
struct Membership {
    /// The time since which the consumer asks to be let in while Kafka answers.
    outside_since: Option<Instant>,
    was_inside: bool,
    has_left: bool,
    /// The number of times that partitions were assigned.
    assignments: u64,
}

impl Context {
    /// Returns the identity of the topic.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the topic that is consumed.
    pub(super) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Returns how often partitions were assigned.
    pub(super) fn assignments(&self) -> u64 {
        self.membership.lock().assignments
    }

    /// Forgets the figures of the lag, because what librdkafka fetched may be thrown away.
    pub(super) fn forget_lag(&self) {
        self.lag.forget();
    }

    /// Notes that all that librdkafka had fetched is taken out of its queue. `next` returns the offset up to which that
    /// is so for a partition.
    pub(super) fn is_drained(&self, next: impl Fn(i32) -> Option<i64>) {
        self.tell_lag(self.lag.is_drained(next));
    }

    fn tell_lag(&self, messages: BTreeMap<i32, i64>) {
        if !messages.is_empty() {
            self.health.lags(messages);
        }
    }

    /// Notes that this database is filled from now on.
    pub(super) fn fills(&self, database: Uuid) {
        let mut filled = self.filled.lock();
        filled.retain(|before| *before != database);
        filled.push(database);
    }

    /// Returns the database that is filled, once it is known.
    pub(super) fn filled(&self) -> Option<Uuid> {
        self.filled.lock().last().copied()
    }

    /// Returns whether this collector filled the database. When the tables of a database vanish and are created again,
    /// it is another database. The marks of the database before are then still this collector's own.
    pub(super) fn has_filled(&self, database: Uuid) -> bool {
        self.filled.lock().contains(&database)
    }

    /// Notes that something may be wrong with Kafka, so Kafka is asked.
    pub(super) fn suspect(&self, failure: Failure) {
        let mut suspicion = self.suspicion.lock();
        *suspicion = Some(failure.or_more_telling(suspicion.take()));
    }

    /// Returns whether a connection reported an error since Kafka was last asked.
    pub(super) fn is_suspicious(&self) -> bool {
        self.suspicion.lock().is_some()
    }

    /// Returns whether Kafka is to be asked about its state.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.is_suspicious() || self.health.kafka().is_on()
    }

    /// Notes that the consumer asks the group to let it in.
    pub(super) fn asks_in(&self) {
        self.membership.lock().outside_since = Some(Instant::now());
    }

    /// Returns whether the consumer has asked for as long as `patience` without success, while Kafka answers.
    pub(super) fn is_left_outside(&self, patience: Duration) -> bool {
        self.membership.lock().outside_since.is_some_and(|since| since.elapsed() >= patience)
            && !self.health.kafka().is_on()
    }

    /// Returns the state that says whether librdkafka lost every way to Kafka.
    pub(super) fn bootstrap(&self) -> &Bootstrap {
        &self.bootstrap
    }

    /// Returns whether the group ever let the consumer in.
    pub(super) fn was_inside(&self) -> bool {
        self.membership.lock().was_inside
    }

    /// Notes that Kafka does not answer. An error that librdkafka reported before may tell more than that.
    pub(super) fn away(&self, failure: Failure) {
        if let Some(since) = &mut self.membership.lock().outside_since {
            *since = Instant::now();
        }
        let failure = match self.suspicion.lock().take() {
            Some(suspicion) => suspicion.or_more_telling(Some(failure)),
            None => failure,
        };
        if let Some(times) = self.health.kafka().failed(&failure, Instant::now()) {
            match failure.kind {
                FailureKind::Topic => {
                    log::warn!(times, error:% = failure; "kafka has no topic to read: waiting for it")
                }
                _ => log::warn!(times, error:% = failure; "kafka is away: waiting for it"),
            }
        }
    }

    /// Notes that Kafka answers.
    pub(super) fn back(&self) {
        self.suspicion.lock().take();
        if let Some(away) = self.health.kafka().ended(Instant::now()) {
            log::info!(away_seconds = away.as_secs(); "kafka is back");
        }
    }
}

/// Returns the failure of an answer that did not come. That no broker could be asked tells only that; the connections
/// tell the reason.
pub(super) fn unanswered(error: &KafkaError) -> Failure {
    let failure = failure(error, &error.to_string());
    if failure.kind.is_vague() { Failure::new(FailureKind::Timeout, failure.text) } else { failure }
}

/// Returns the failure of an error of librdkafka, with the reason that it gives.
pub(super) fn failure(error: &KafkaError, reason: &str) -> Failure {
    Failure::of_kafka(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail) as i32, reason)
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.identity.hear(&self.topic, message);
        if facility == "LEAVE" {
            self.membership.lock().has_left = true;
        }
        // Every message that matters also comes as an error, and is logged once.
        log::debug!(target: "librdkafka", level:? = level, facility; "{message}");
    }

    fn stats(&self, statistics: Statistics) {
        let topic = statistics.topics.get(&*self.topic);
        self.tell_lag(self.lag.comes(topic.into_iter().flat_map(|topic| topic.partitions.values())));
        self.bootstrap.hears(&statistics);
        self.health.hears_of_kafka(statistics.brokers.values().any(|broker| broker.state == "UP"));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log::debug!(target: "librdkafka", error:% = error; "{reason}");
        self.suspect(failure(&error, reason));
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                let mut membership = self.membership.lock();
                let assignments = membership.assignments + 1;
                *membership = Membership { outside_since: None, was_inside: true, has_left: false, assignments };
                drop(membership);
                self.forget_lag();
                // Partitions stay paused until it is known from where they are to be read. librdkafka keeps the pause
                // after the assignment.
                if let Err(error) = consumer.pause(partitions) {
                    log::debug!(error:% = error; "can't pause partitions");
                }
                log::info!(partitions = partitions.count(); "took partitions");
                // A group gives a member that it knows by name the partitions of the member before, whatever topic it
                // subscribes to now.
                if let Some(other) = partitions.elements().iter().find(|partition| partition.topic() != &*self.topic) {
                    log::error!(
                        topic = other.topic(), wanted = &*self.topic;
                        "the group gave partitions of another topic, which are not read: set another `group.instance.id`"
                    );
                }
            }
            Rebalance::Revoke(partitions) => {
                self.progress.end_generation(REBALANCE, |done| {
                    if done.is_empty() || consumer.assignment_lost() {
                        return;
                    }
                    if let Err(error) = consumer.commit(&offsets(self, &done, None), CommitMode::Sync) {
                        log::debug!(error:% = error; "offsets are not committed: what they cover will come again");
                    }
                });
                self.asks_in();
                log::info!(partitions = partitions.count(); "gave partitions back");
            }
            Rebalance::Error(error) => self.suspect(failure(error, &error.to_string())),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        let Err(error) = result else {
            self.uncommitted.lock().ended();
            return;
        };
        if let Some(times) = self.uncommitted.lock().happened(&error.to_string(), 1, Instant::now()) {
            log::warn!(times, error:% = error; "offsets are not committed: what they cover will come again");
        }
    }
}
