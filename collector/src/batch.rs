//! What passes from `consume` to `store`: messages of Kafka, and where they end.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use wire::Rejection;

/// What a message says, in texts that are still the message's.
pub type Record<'a> = wire::Record<Cow<'a, str>>;

/// The result of a check, likewise.
pub type CheckResult<'a> = wire::CheckResult<Cow<'a, str>>;

/// One message, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
}

/// A message and what it says, which is decoded at most once.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The message, whole for the case that it must be set aside.
    pub message: Message<'a>,
    decoded: OnceCell<Result<Record<'a>, Rejection>>,
}

impl<'a> Entry<'a> {
    /// Of a message that was not yet read.
    pub fn new(message: Message<'a>) -> Entry<'a> {
        Entry { message, decoded: OnceCell::new() }
    }

    /// What it says, or why it says nothing.
    pub fn decoded(&self) -> &Result<Record<'a>, Rejection> {
        self.decoded.get_or_init(|| Record::decode(self.message.value))
    }
}

/// The messages that are stored in one transaction. Their bytes lie one after the other: a message costs no memory
/// of its own that one thread would take and another give back.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    places: Vec<Place>,
    topics: Vec<String>,
    ends: BTreeMap<i32, i64>,
}

/// Where the bytes of a message are: its key begins there, its value follows.
#[derive(Debug)]
struct Place {
    topic: usize,
    partition: i32,
    offset: i64,
    begin: usize,
    key: Option<usize>,
    value: Option<usize>,
}

impl Batch {
    /// An empty one, with room for so many messages of so many bytes together.
    pub fn with_room(messages: usize, bytes: usize) -> Batch {
        Batch { bytes: Vec::with_capacity(bytes), places: Vec::with_capacity(messages), ..Batch::default() }
    }

    /// Takes a message in.
    pub fn push(&mut self, message: Message<'_>) {
        let Message { topic, partition, offset, key, value } = message;
        if self.topics.last().is_none_or(|last| last != topic) {
            self.topics.push(topic.to_owned());
        }
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.insert(partition, offset + 1);
        self.places.push(Place {
            topic: self.topics.len() - 1,
            partition,
            offset,
            begin,
            key: key.map(<[u8]>::len),
            value: value.map(<[u8]>::len),
        });
    }

    /// The messages, in the order of arrival.
    pub fn entries(&self) -> Vec<Entry<'_>> {
        let entry = |place: &Place| {
            let (key, rest) = self.bytes[place.begin..].split_at(place.key.unwrap_or(0));
            let message = Message {
                topic: &self.topics[place.topic],
                partition: place.partition,
                offset: place.offset,
                key: place.key.map(|_| key),
                value: place.value.map(|len| &rest[..len]),
            };
            Entry::new(message)
        };
        self.places.iter().map(entry).collect()
    }

    /// How many messages.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// For each partition the offset that comes after this batch.
    pub fn ends(&self) -> &BTreeMap<i32, i64> {
        &self.ends
    }

    /// How many bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(partition: i32, offset: i64, value: &[u8]) -> Message<'_> {
        Message { topic: "t", partition, offset, key: None, value: Some(value) }
    }

    #[test]
    fn a_batch_ends_after_the_last_message_of_each_partition() {
        let mut batch = Batch::default();
        batch.push(message(0, 7, b"x"));
        batch.push(message(2, 1, b"yy"));
        batch.push(message(0, 8, b"z"));
        assert_eq!(batch.ends(), &BTreeMap::from([(0, 9), (2, 2)]));
        assert_eq!((batch.len(), batch.bytes()), (3, 4));
        assert!(batch.entries().iter().all(|entry| entry.decoded().is_err()));
    }

    #[test]
    fn messages_come_out_as_they_came_in() {
        let messages = [
            ("t", Some(&b"key"[..]), Some(&b"value"[..])),
            ("t", None, Some(b"")),
            ("u", Some(b""), None),
            ("t", None, None),
            ("t", Some(b"k"), Some(b"v")),
        ];
        let mut batch = Batch::default();
        for (offset, (topic, key, value)) in (0..).zip(messages) {
            batch.push(Message { topic, partition: 3, offset, key, value });
        }
        let out =
            batch.entries().iter().map(|it| (it.message.topic, it.message.key, it.message.value)).collect::<Vec<_>>();
        assert_eq!(out, messages);
    }
}
