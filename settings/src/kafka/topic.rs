//! Creates the topic when it is absent, and checks that it keeps every record for some time. Both daemons use this
//! file.

use std::future::Future;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::Kafka;
use crate::outage::{Failure, FailureKind};

/// How long a topic that is created keeps a record. A broker's own default may be anything, compaction included.
const RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// The text that says what a compacted topic does to records, whose key is the agent's name.
const COMPACTED: &str = "it is compacted: Kafka keeps the last record of each agent and deletes the others; set its \
                             cleanup.policy to delete";

impl Kafka {
    /// Creates the topic, unless it is there already. `client` has the properties of the daemon's clients, and Kafka
    /// may take as long as `patience`.
    ///
    /// # Errors
    /// Fails with the reason why the topic cannot be created.
    pub fn make_topic(&self, client: &ClientConfig, patience: Duration) -> Result<(), Failure> {
        let Kafka { topic, partitions, replication_factor, .. } = self;
        let refused = |code: RDKafkaErrorCode| {
            let wanted = format!("with {partitions} partitions of {replication_factor} replicas");
            Failure::of_kafka(code as i32, &format!("topic {topic:?} is not there, and can't be made {wanted}: {code}"))
        };
        let retention = RETENTION.as_millis().to_string();
        let wanted = NewTopic::new(topic, *partitions, TopicReplication::Fixed(*replication_factor))
            .set("cleanup.policy", "delete")
            .set("retention.ms", &retention);
        let made =
            asking(client, patience).and_then(|(admin, options)| answer(admin.create_topics([&wanted], &options)));
        match made.map_err(|error| refused(code(&error)))?.into_iter().next() {
            Some(Ok(_)) => {
                let retention_days = RETENTION.as_secs() / 86_400;
                log::info!(topic, partitions, replicas = replication_factor, retention_days; "made the topic");
                Ok(())
            }
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, code))) => Err(refused(code)),
            None => Err(refused(RDKafkaErrorCode::Fail)),
        }
    }

    /// Returns why an existing topic is not fit for records, if Kafka tells so. A client that may not read the topic's
    /// configuration learns nothing, and uses the topic as it is.
    pub fn unfit_topic(&self, client: &ClientConfig, patience: Duration) -> Option<Failure> {
        let topic = ResourceSpecifier::Topic(&self.topic);
        let (admin, options) = asking(client, patience).ok()?;
        let described = answer(admin.describe_configs([&topic], &options));
        let described = described.ok()?.into_iter().next()?.ok()?;
        let policy = described.get("cleanup.policy")?.value.as_deref()?;
        policy
            .split(',')
            .any(|word| word.trim() == "compact")
            .then(|| Failure::new(FailureKind::Topic, format!("topic {:?}: {COMPACTED}", self.topic)))
    }
}

/// Creates a client for one question, and the options that say how long it waits.
fn asking(
    client: &ClientConfig,
    patience: Duration,
) -> Result<(AdminClient<DefaultClientContext>, AdminOptions), KafkaError> {
    let options = AdminOptions::new().operation_timeout(Some(patience)).request_timeout(Some(patience));
    Ok((client.create()?, options))
}

/// Waits for the answer. It comes from librdkafka's own threads, and within the time of the question.
fn answer<T>(question: impl Future<Output = Result<T, KafkaError>>) -> Result<T, KafkaError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.map_err(|_| KafkaError::AdminOp(RDKafkaErrorCode::Fail))?.block_on(question)
}

fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)
}
