//! Messages one after the other, each to a partition that the test chooses.

use anyhow::{Context, Result};
use jiff::Timestamp;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use super::Topic;
use super::topic::BOUND;

/// A producer that stays.
pub struct Producer {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl Topic {
    /// A producer into this topic, that neither repeats nor reorders.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn producer(&self) -> Result<Producer> {
        let producer = self.client().set("enable.idempotence", "true").create()?;
        Ok(Producer { producer, topic: self.name().into() })
    }

    /// Writes messages in one transaction, which ends with a marker that has an offset of its own.
    ///
    /// # Errors
    /// When the broker doesn't take them.
    pub fn transact<'a>(&self, messages: impl IntoIterator<Item = (i32, &'a [u8])>) -> Result<()> {
        let producer = self.client().set("transactional.id", self.name()).create()?;
        let producer = Producer { producer, topic: self.name().into() };
        producer.producer.init_transactions(BOUND)?;
        producer.producer.begin_transaction()?;
        producer.produce(messages)?;
        producer.producer.commit_transaction(BOUND).context("the transaction is not committed")
    }
}

impl Producer {
    /// Writes messages, and waits for the broker's word.
    ///
    /// # Errors
    /// When the broker doesn't take them.
    pub fn produce<'a>(&self, messages: impl IntoIterator<Item = (i32, &'a [u8])>) -> Result<()> {
        for (partition, value) in messages {
            let record = BaseRecord::<(), [u8]>::to(&self.topic).partition(partition).payload(value);
            self.producer.send(record).map_err(|(error, _)| error)?;
        }
        self.producer.flush(BOUND).context("the broker does not take messages")
    }

    /// Writes a message as one whose clock shows that, and waits for the broker's word.
    ///
    /// # Errors
    /// When the broker doesn't take it.
    pub fn produce_at(&self, partition: i32, sent: Timestamp, value: &[u8]) -> Result<()> {
        let record = BaseRecord::<(), [u8]>::to(&self.topic).partition(partition).payload(value);
        let record = record.timestamp(sent.as_millisecond());
        self.producer.send(record).map_err(|(error, _)| error)?;
        self.producer.flush(BOUND).context("the broker does not take the message")
    }
}
