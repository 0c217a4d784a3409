//! Holds one producer, from the moment at which Kafka answers for the topic until something fails.

use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use settings::{Failure, FailureKind};

/// How long Kafka may take to answer for the topic. By satellite each answer takes most of a second, and TLS, a login and
/// the topic take eight of them.
const METADATA: Duration = Duration::from_secs(15);
/// How long the making of a topic may take. A stop waits for it.
const CREATION: Duration = Duration::from_secs(4);
/// How long it may be silent before that is told.
const SILENT: Duration = Duration::from_secs(5);
/// How long an answer is waited for at first, and at most. A stop waits for that, and a network may need longer, so each
/// further time is longer by half.
const LOOK: Duration = Duration::from_millis(500);
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// How long librdkafka's events may take to be handed over.
const EVENTS: Duration = Duration::from_millis(50);

/// How many events are taken before it is looked whether one of them was a report. Each poll takes one event, and with the
/// property `debug` most of them are lines of librdkafka's log.
const BURST: usize = 100;

/// A position, and whether it was delivered.
type Report = (u64, Result<(), RDKafkaErrorCode>);

/// A producer whose topic is known to be there.
pub(super) struct Link {
    pub(super) producer: BaseProducer<Context>,
}

/// What librdkafka tells while it is polled.
#[derive(Default)]
pub(super) struct Context {
    reports: Mutex<Vec<Report>>,
    /// What the connections complained of: a timeout alone does not tell why.
    complaint: Mutex<Option<Failure>>,
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        // The publisher itself says what matters, once; librdkafka says each attempt.
        log::debug!(target: "librdkafka", "{facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log::debug!(target: "librdkafka", "{error}: {reason}");
        let failure = failure(&error, reason);
        let mut complaint = self.complaint.lock();
        *complaint = Some(failure.or_more_telling(complaint.take()));
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, position: usize) {
        let report = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        };
        self.reports.lock().push((position as u64, report));
    }
}

impl Link {
    /// Builds a producer and waits until Kafka answers for the topic, which is made when it is absent and that is asked
    /// for. The error says in one line why not.
    ///
    /// One address of a broker, or one of several brokers, may refuse while the next one lets us in. So what the
    /// connections complain of is told by `hear`, and the same producer goes on for as long as there is time.
    pub(super) fn connect(
        kafka: &settings::Kafka,
        stopping: impl Fn() -> bool,
        hear: impl Fn(&Failure),
    ) -> Result<Link, Failure> {
        let config = client_config(kafka);
        let producer: BaseProducer<Context> = config
            .create_with_context(Context::default())
            .map_err(|error| Failure::new(FailureKind::Other, without_value(&error)))?;
        let link = Link { producer };
        let metadata = link.await_metadata(kafka, stopping, hear)?;
        match metadata.topics().first().and_then(|topic| topic.error()) {
            None => warn_of_unfit_topic(kafka, &config),
            Some(error) => match RDKafkaErrorCode::from(error) {
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic if kafka.create_topic => {
                    kafka.make_topic(&config, CREATION)?;
                }
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                    let text = "does not exist; make it, or set kafka.create_topic to true";
                    return Err(Failure::new(FailureKind::Topic, format!("topic {:?} {text}", kafka.topic)));
                }
                code => return Err(Failure::of_kafka(code as i32, &format!("topic {:?}: {code}", kafka.topic))),
            },
        }
        // What another address complained of is over.
        link.take_complaint();
        Ok(link)
    }

    /// What Kafka answers for the topic.
    fn await_metadata(
        &self,
        kafka: &settings::Kafka,
        stopping: impl Fn() -> bool,
        hear: impl Fn(&Failure),
    ) -> Result<Metadata, Failure> {
        let (began, mut patience) = (Instant::now(), LOOK);
        let mut reason: Option<Failure> = None;
        loop {
            let silence = match self.producer.client().fetch_metadata(Some(&kafka.topic), patience) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => unanswered(&error),
            };
            // The reason comes by the callback, and callbacks come by polling.
            self.producer.poll(EVENTS);
            if let Some(complaint) = self.take_complaint() {
                hear(&complaint);
                reason = Some(complaint.or_more_telling(reason));
            }
            let left = METADATA.saturating_sub(began.elapsed());
            if left.is_zero() || stopping() {
                return Err(reason.unwrap_or(silence));
            }
            if reason.is_none() && began.elapsed() >= SILENT {
                hear(&silence);
            }
            patience = (3 * patience / 2).min(LONGEST_LOOK).min(left);
        }
    }

    /// Asks for the topic. The answer tells librdkafka who leads the topic's partitions, which after a broker's return it
    /// does not always ask for by itself.
    pub(super) fn ask(&self, topic: &str) -> Result<(), Failure> {
        self.producer.client().fetch_metadata(Some(topic), LOOK).map(drop).map_err(|error| unanswered(&error))
    }

    /// The most telling one of what the connections complained of since the last call.
    pub(super) fn take_complaint(&self) -> Option<Failure> {
        self.producer.context().complaint.lock().take()
    }

    /// The reports since the last call. rdkafka spins through the last millisecond of any time that it is given to wait,
    /// so it is given none: anyone who calls waits.
    pub(super) fn take_reports(&self) -> Vec<Report> {
        let reports = || self.producer.context().reports.lock();
        loop {
            let before = reports().len();
            for _ in 0..BURST {
                self.producer.poll(Duration::ZERO);
            }
            let mut reports = reports();
            if reports.len() == before {
                return std::mem::take(&mut *reports);
            }
        }
    }
}

/// An error of librdkafka, with the reason that it gives.
pub(super) fn failure(error: &KafkaError, reason: &str) -> Failure {
    Failure::of_kafka(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail) as i32, reason)
}

/// An answer that did not come. That no broker could be asked tells no more than that; why, the connections tell.
fn unanswered(error: &KafkaError) -> Failure {
    let failure = failure(error, &error.to_string());
    if failure.kind.is_vague() { Failure::new(FailureKind::Timeout, failure.text) } else { failure }
}

/// What librdkafka finds wrong with the properties.
pub(super) fn check(kafka: &settings::Kafka) -> Result<(), String> {
    client_config(kafka).create_native_config().map(drop).map_err(|error| without_value(&error))
}

/// rdkafka shows the value too, which may be a secret under a misspelt name.
fn without_value(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, problem, name, _) if problem.contains(name.as_str()) => problem.clone(),
        KafkaError::ClientConfig(_, problem, name, _) => format!("{name}: {problem}"),
        other => other.to_string(),
    }
}

fn client_config(kafka: &settings::Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in [
        ("client.id", "website-monitor-agent"),
        ("linger.ms", "10"),
        ("compression.type", "lz4"),
        // Short of minutes, so that a broker which moved or fell silent is noticed; the outbox keeps the record.
        ("message.timeout.ms", "30000"),
        ("request.timeout.ms", "10000"),
        ("socket.timeout.ms", "15000"),
        ("reconnect.backoff.max.ms", "2000"),
        ("topic.metadata.propagation.max.ms", "10000"),
        // One request at a time per broker keeps the order over librdkafka's own retries.
        ("max.in.flight.requests.per.connection", "1"),
    ] {
        config.set(name, value);
    }
    for (name, value) in kafka.client_properties() {
        config.set(name, value);
    }
    // What the promises rest on: an ack from all, and a report of each.
    config.set("acks", "all").set("delivery.report.only.error", "false").set("allow.auto.create.topics", "false");
    config.set_log_level(RDKafkaLogLevel::Debug);
    config
}

/// Warns, once, when the topic deletes records that it should keep. That is asked for beside the sending, which it must not
/// hold up.
fn warn_of_unfit_topic(kafka: &settings::Kafka, config: &ClientConfig) {
    static ASKED: Once = Once::new();
    let (kafka, config) = (kafka.clone(), config.clone());
    ASKED.call_once(|| {
        let ask = move || {
            if let Some(failure) = kafka.unfit_topic(&config, CREATION) {
                log::warn!(error:% = failure; "results that are sent will be lost");
            }
        };
        if let Err(error) = thread::Builder::new().name("topic".into()).spawn(ask) {
            log::debug!(error:% = error; "the topic's configuration is not asked for");
        }
    });
}
