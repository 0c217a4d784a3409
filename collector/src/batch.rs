//! What passes from `consume` to `store`: messages of Kafka, each decoded once, and where they end.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::{Record, Rejection};

/// One message, as it came.
#[derive(Clone, Debug)]
pub struct Message {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

/// A message and what it says, or why it says nothing.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The message, kept whole for the case that it must be set aside.
    pub message: Message,
    /// What it says.
    pub decoded: Result<Record, Rejection>,
}

/// The messages that are stored in one transaction.
#[derive(Debug, Default)]
pub struct Batch {
    entries: Vec<Entry>,
    ends: BTreeMap<i32, i64>,
    bytes: usize,
}

impl Batch {
    /// Decodes a message and takes it in.
    pub fn push(&mut self, message: Message) {
        self.bytes += message.value.as_ref().map_or(0, Vec::len) + message.key.as_ref().map_or(0, Vec::len);
        self.ends.insert(message.partition, message.offset + 1);
        let decoded = Record::decode(message.value.as_deref());
        self.entries.push(Entry { message, decoded });
    }

    /// The messages, in the order of arrival.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// For each partition the offset that comes after this batch.
    pub fn ends(&self) -> &BTreeMap<i32, i64> {
        &self.ends
    }

    /// How many bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(partition: i32, offset: i64, value: &[u8]) -> Message {
        Message { topic: "t".into(), partition, offset, key: None, value: Some(value.into()) }
    }

    #[test]
    fn a_batch_ends_after_the_last_message_of_each_partition() {
        let mut batch = Batch::default();
        batch.push(message(0, 7, b"x"));
        batch.push(message(2, 1, b"yy"));
        batch.push(message(0, 8, b"z"));
        assert_eq!(batch.ends(), &BTreeMap::from([(0, 9), (2, 2)]));
        assert_eq!((batch.entries().len(), batch.bytes()), (3, 4));
        assert!(batch.entries().iter().all(|entry| entry.decoded.is_err()));
    }
}
