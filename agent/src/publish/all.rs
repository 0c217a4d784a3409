//! Delivers messages that wait in no outbox: all of them, or it tells that they are not delivered.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer};

use super::link::Link;
use super::{BYTES, RECORDS};

/// Why not all was delivered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The messages could not be read to their end.
    #[error("it can't be read: {0}")]
    Read(#[from] io::Error),
    /// Kafka was not reached, or refused.
    #[error("kafka acknowledged {acknowledged} records, then: {error}")]
    Kafka {
        /// How many had been acknowledged.
        acknowledged: u64,
        /// What it said.
        error: String,
    },
    /// Some messages are larger than the topic takes; all others were delivered.
    #[error("{0} records are larger than the topic takes (max.message.bytes); all others were acknowledged")]
    TooLarge(usize),
}

/// Sends messages under one key and waits until the broker has acknowledged each.
///
/// # Errors
/// When one is not: then some may have been delivered all the same.
pub fn send_all(
    kafka: &settings::Kafka,
    key: &str,
    messages: impl Iterator<Item = io::Result<Vec<u8>>>,
) -> Result<(), SendError> {
    let link = Link::connect(kafka, || false, |_| {})
        .map_err(|failure| SendError::Kafka { acknowledged: 0, error: failure.text })?;
    let mut sending = Sending { link, kafka, key, in_flight: BTreeMap::new(), bytes: 0, sent: 0, refused: Vec::new() };
    for message in messages {
        let message = message?;
        while sending.in_flight.len() >= RECORDS || sending.bytes >= BYTES {
            sending.take_reports()?;
        }
        sending.send(message)?;
    }
    sending.finish()?;
    // A batch is refused whole: each of its messages goes once more, alone.
    let mut too_large = 0;
    for message in std::mem::take(&mut sending.refused) {
        sending.send(message)?;
        sending.finish()?;
        too_large += std::mem::take(&mut sending.refused).len();
    }
    if too_large > 0 { Err(SendError::TooLarge(too_large)) } else { Ok(()) }
}

struct Sending<'a> {
    link: Link,
    kafka: &'a settings::Kafka,
    key: &'a str,
    in_flight: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
    sent: u64,
    /// What was too large, or stood in a batch with one that was.
    refused: Vec<Vec<u8>>,
}

impl Sending<'_> {
    fn send(&mut self, message: Vec<u8>) -> Result<(), SendError> {
        loop {
            let opaque = usize::try_from(self.sent).expect("numbers fit 64 bits");
            let record = BaseRecord::with_opaque_to(&self.kafka.topic, opaque).key(self.key).payload(&message);
            match self.link.producer.send(record).map_err(|(error, _)| error) {
                Ok(()) => break,
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => self.take_reports()?,
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)) => {
                    self.refused.push(message);
                    return Ok(());
                }
                Err(error) => return Err(self.failed(&error.to_string())),
            }
        }
        self.bytes += message.len();
        self.in_flight.insert(self.sent, message);
        self.sent += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SendError> {
        while !self.in_flight.is_empty() {
            self.take_reports()?;
        }
        Ok(())
    }

    /// Waits shortly for what the brokers say.
    fn take_reports(&mut self) -> Result<(), SendError> {
        self.link.producer.poll(Duration::from_millis(20));
        let reports = self.link.take_reports();
        for (number, report) in reports {
            let Some(message) = self.in_flight.remove(&number) else { continue };
            self.bytes -= message.len();
            match report {
                Ok(()) => {}
                Err(RDKafkaErrorCode::MessageSizeTooLarge) => self.refused.push(message),
                Err(code) => {
                    self.in_flight.insert(number, message);
                    let complaint = self.link.take_complaint().map(|failure| failure.text);
                    return Err(self.failed(&complaint.unwrap_or_else(|| code.to_string())));
                }
            }
        }
        match self.link.producer.client().fatal_error() {
            Some((_, error)) => Err(self.failed(&error)),
            None => Ok(()),
        }
    }

    fn failed(&self, error: &str) -> SendError {
        let unacknowledged = self.in_flight.len() + self.refused.len();
        SendError::Kafka { acknowledged: self.sent - unacknowledged as u64, error: error.to_owned() }
    }
}
