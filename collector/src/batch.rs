//! What passes from `consume` to `store`: messages of Kafka, each decoded at most once, and where they end.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use uuid::Uuid;
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

/// A message and what it says.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The message, kept whole for the case that it must be set aside.
    pub message: Message,
    known: Option<(Uuid, u64)>,
    decoded: OnceLock<Result<Record, Rejection>>,
}

impl Entry {
    /// Epoch and number, when they were known to be stored as the message came. Its body is then not yet read, and
    /// need not be, if they still are.
    pub fn known(&self) -> Option<(Uuid, u64)> {
        self.known
    }

    /// What it says, or why it says nothing.
    pub fn decoded(&self) -> &Result<Record, Rejection> {
        self.decoded.get_or_init(|| Record::decode(self.message.value.as_deref()))
    }
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
        self.push_unless_known(message, |_, _| false);
    }

    /// The same, but reads of a message whose number is known no more than that.
    pub fn push_unless_known(&mut self, message: Message, is_known: impl Fn(&Uuid, u64) -> bool) {
        self.bytes += message.value.as_ref().map_or(0, Vec::len) + message.key.as_ref().map_or(0, Vec::len);
        self.ends.insert(message.partition, message.offset + 1);
        let value = message.value.as_deref();
        let known = value.and_then(|value| wire::known_number(value, is_known));
        let decoded = match known {
            Some(_) => OnceLock::new(),
            None => OnceLock::from(Record::decode(value)),
        };
        self.entries.push(Entry { message, known, decoded });
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
        assert!(batch.entries().iter().all(|entry| entry.decoded().is_err()));
    }
    #[test]
    fn of_a_known_number_no_more_is_read_until_somebody_asks() {
        let epoch = Uuid::from_u128(1);
        let mut batch = Batch::default();
        for seq in 1..=2 {
            let value = format!(r#"{{"epoch":"{epoch}","seq":{seq},"v":1,"kind":"poem","agent":"a"}}"#);
            batch.push_unless_known(message(0, seq, value.as_bytes()), |_, seq| seq == 1);
        }
        batch.push_unless_known(message(0, 3, format!(r#"{{"epoch":"{epoch}","seq":1,"#).as_bytes()), |_, _| true);
        let [known, other, broken] = batch.entries() else { panic!() };
        assert_eq!(broken.known(), None, "it is set aside, whatever it says first");
        assert_eq!((known.known(), other.known()), (Some((epoch, 1)), None));
        assert!(known.decoded.get().is_none());
        assert_eq!(known.decoded().as_ref().unwrap_err().fault, other.decoded().as_ref().unwrap_err().fault);
    }
}
