//! A topic of a test's own, seen from outside: its messages, and how far a group has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rdkafka::Offset;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionList;
use uuid::Uuid;

use super::Kafka;
use crate::eventually;

pub(super) const BOUND: Duration = Duration::from_secs(30);

/// A topic.
pub struct Topic {
    pub(super) broker: String,
    name: String,
    partitions: AtomicI32,
    /// Kept so that the broker runs as long as its topic is used; absent for a topic that is somebody else's.
    kafka: Option<Arc<Kafka>>,
}

/// A message of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it lies.
    pub partition: i32,
    /// At which place.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

impl Topic {
    pub(super) fn create(kafka: Arc<Kafka>, partitions: i32) -> Result<Topic> {
        let name = format!("test-{}", Uuid::new_v4().simple());
        let mut topic = Topic::at(kafka.direct(), &name, partitions);
        topic.kafka = Some(kafka.clone());
        topic.make()?;
        Ok(topic)
    }

    /// A topic that somebody else makes, at a broker.
    pub fn at(broker: &str, name: &str, partitions: i32) -> Topic {
        Topic { broker: broker.into(), name: name.into(), partitions: AtomicI32::new(partitions), kafka: None }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn partitions(&self) -> i32 {
        self.partitions.load(Ordering::Relaxed)
    }

    /// Adds a partition, as an administrator does who wants more work to be done side by side.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn add_partition(&self) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let count = usize::try_from(self.partitions() + 1)?;
        let options = AdminOptions::new().operation_timeout(Some(BOUND));
        for added in block_on(admin.create_partitions([&NewPartitions::new(&self.name, count)], &options))?? {
            added.map_err(|(topic, error)| anyhow::anyhow!("topic {topic} gets no more partitions: {error}"))?;
        }
        self.partitions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes one message, whatever it is, and waits for the broker's word.
    ///
    /// # Errors
    /// When the broker doesn't take it.
    pub fn produce(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<()> {
        self.produce_all([(key, value)])
    }

    /// Writes many messages.
    ///
    /// # Errors
    /// When the broker doesn't take them.
    pub fn produce_all<'a>(
        &self,
        messages: impl IntoIterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
    ) -> Result<()> {
        let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = self
            .client()
            .set("queue.buffering.max.messages", "1000000")
            .set("message.max.bytes", "2000000")
            .create()?;
        for (key, value) in messages {
            let mut record = BaseRecord::<[u8], [u8]>::to(&self.name);
            record.key = key;
            record.payload = value;
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(BOUND)?;
        Ok(())
    }

    /// All messages (of a topic that no one writes to just now), by partition and offset.
    ///
    /// # Errors
    /// When the broker is away.
    pub fn messages(&self) -> Result<Vec<Message>> {
        let consumer: BaseConsumer = self.client().set("group.id", "looker-on").create()?;
        let mut missing: i64 = 0;
        let mut from = TopicPartitionList::new();
        for (partition, end) in self.ends(&consumer)?.into_iter().enumerate() {
            missing += end;
            from.add_partition_offset(&self.name, partition as i32, Offset::Beginning)?;
        }
        consumer.assign(&from)?;
        let mut messages = Vec::new();
        while missing > 0 {
            let Some(message) = consumer.poll(BOUND) else { bail!("{missing} messages don't come") };
            let message = message?;
            missing -= 1;
            messages.push(Message {
                partition: message.partition(),
                offset: message.offset(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
            });
        }
        messages.sort_by_key(|message| (message.partition, message.offset));
        Ok(messages)
    }

    /// The high watermark of each partition.
    ///
    /// # Errors
    /// When the broker is away.
    pub fn high_watermarks(&self) -> Result<Vec<i64>> {
        self.ends(&self.client().create()?)
    }

    /// How many messages there are.
    ///
    /// # Errors
    /// When the broker is away.
    pub fn len(&self) -> Result<u64> {
        Ok(self.high_watermarks()?.iter().sum::<i64>() as u64)
    }

    /// Whether nothing was ever written.
    ///
    /// # Errors
    /// When the broker is away.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// What a group has committed for each partition; 0 where nothing.
    ///
    /// # Errors
    /// When the broker is away.
    pub fn committed(&self, group: &str) -> Result<Vec<i64>> {
        self.group(group)?.committed()
    }

    /// How many messages a group has yet to commit.
    ///
    /// # Errors
    /// When the broker is away.
    pub fn lag(&self, group: &str) -> Result<u64> {
        let ends: i64 = self.high_watermarks()?.iter().sum();
        Ok((ends - self.committed(group)?.iter().sum::<i64>()).max(0) as u64)
    }

    /// Sets a group back to the beginning, as `kafka-consumer-groups --reset-offsets` does.
    ///
    /// # Errors
    /// When the group has members.
    pub fn rewind(&self, group: &str) -> Result<()> {
        let consumer: BaseConsumer = self.client().set("group.id", group).create()?;
        let mut start = TopicPartitionList::new();
        for partition in 0..self.partitions() {
            start.add_partition_offset(&self.name, partition, Offset::Offset(0))?;
        }
        consumer.commit(&start, CommitMode::Sync).context("does the group still have members?")
    }

    /// Makes the topic (again), as many replicas as there are nodes.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn make(&self) -> Result<()> {
        let replicas = self.kafka.as_ref().map_or(1, |kafka| kafka.nodes.len().max(1)) as i32;
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let new = NewTopic::new(&self.name, self.partitions(), TopicReplication::Fixed(replicas));
        let options = AdminOptions::new().operation_timeout(Some(BOUND));
        for created in block_on(admin.create_topics([&new], &options))?? {
            created.map_err(|(topic, error)| anyhow::anyhow!("topic {topic} could not be created: {error}"))?;
        }
        Ok(())
    }

    /// Deletes the topic with all that is in it, as an administrator does by mistake.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn delete(&self) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let options = AdminOptions::new().operation_timeout(Some(BOUND));
        for deleted in block_on(admin.delete_topics(&[&self.name], &options))?? {
            deleted.map_err(|(topic, error)| anyhow::anyhow!("topic {topic} could not be deleted: {error}"))?;
        }
        Ok(())
    }

    /// Deletes all messages so far, as a retention does that has passed. Later ones go on from the same offsets.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn forget(&self) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let mut ends = TopicPartitionList::new();
        for partition in 0..self.partitions() {
            ends.add_partition_offset(&self.name, partition, Offset::End)?;
        }
        let options = AdminOptions::new().operation_timeout(Some(BOUND));
        for element in block_on(admin.delete_records(&ends, &options))??.elements() {
            element.error().context("the broker deletes no messages")?;
        }
        Ok(())
    }

    /// Sets a configuration of the topic, such as `max.message.bytes`, and no other, and waits until the broker has it:
    /// it takes the change first and applies it later.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn configure(&self, name: &str, value: &str) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let topic = ResourceSpecifier::Topic(&self.name);
        let change = AlterConfig::new(topic).set(name, value);
        for changed in block_on(admin.alter_configs([&change], &AdminOptions::new()))?? {
            changed.map_err(|(_, error)| anyhow::anyhow!("{name} of a topic could not be set: {error}"))?;
        }
        eventually("the broker applies a topic's configuration", || {
            for described in block_on(admin.describe_configs([&topic], &AdminOptions::new()))?? {
                let applied = described?.get(name).and_then(|entry| entry.value.clone());
                ensure!(applied.as_deref() == Some(value), "{name} is {applied:?}");
            }
            Ok(())
        });
        Ok(())
    }

    /// A configuration that was set for this topic; none where the broker's default holds.
    ///
    /// # Errors
    /// When the broker doesn't tell.
    pub fn configuration(&self, name: &str) -> Result<Option<String>> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let topic = ResourceSpecifier::Topic(&self.name);
        let mut described = block_on(admin.describe_configs([&topic], &AdminOptions::new()))??;
        let described = described.pop().context("the broker tells nothing")??;
        let own = described.get(name).filter(|entry| matches!(entry.source, ConfigSource::DynamicTopic));
        Ok(own.and_then(|entry| entry.value.clone()))
    }

    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.broker);
        config
    }

    fn ends(&self, consumer: &BaseConsumer) -> Result<Vec<i64>> {
        (0..self.partitions()).map(|partition| Ok(consumer.fetch_watermarks(&self.name, partition, BOUND)?.1)).collect()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // Our own broker goes away with all that is in it.
        if self.kafka.as_ref().is_some_and(|kafka| kafka.nodes.is_empty())
            && let Ok(admin) = self.client().create::<AdminClient<DefaultClientContext>>()
        {
            block_on(admin.delete_topics(&[&self.name], &AdminOptions::new())).ok();
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(future))
}
