//! What passes from `consume` to `store`: messages of Kafka, and where they end.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use jiff::Timestamp;
use wire::Rejection;

use crate::clock_skew::{Passage, Reading};
use crate::position::{Position, Positions};

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
    /// How it came, where that is known.
    pub passage: Option<Passage<'a>>,
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

/// The messages of a topic that are stored in one transaction. Their bytes lie one after the other: a message costs no memory
/// of its own that one thread would take and another give back.
#[derive(Debug, Default)]
pub struct Batch {
    topic: Arc<str>,
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// Few: what comes together lies together.
    readings: Vec<Reading>,
    ends: Positions,
}

/// Where the bytes of a message are: its key begins there, its value follows.
#[derive(Debug)]
struct Place {
    partition: i32,
    offset: i64,
    begin: usize,
    key: Option<usize>,
    value: Option<usize>,
    sent: Option<Timestamp>,
    /// Which of the readings.
    reading: usize,
}

impl Batch {
    /// An empty one of a topic, with room for this many messages of this many bytes together.
    pub fn with_room(topic: Arc<str>, messages: usize, bytes: usize) -> Batch {
        let (bytes, places) = (Vec::with_capacity(bytes), Vec::with_capacity(messages));
        Batch { topic, bytes, places, ..Batch::default() }
    }

    /// Takes messages in that are read together, from now on.
    pub fn read(&mut self, reading: Reading) {
        if self.readings.last() != Some(&reading) {
            self.readings.push(reading);
        }
    }

    /// Takes a message in; when it was sent, where that is known.
    pub fn push(
        &mut self,
        partition: i32,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        sent: Option<Timestamp>,
    ) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.insert(partition, Position { next: offset + 1, leader_epoch: None });
        let (key, value) = (key.map(<[u8]>::len), value.map(<[u8]>::len));
        self.places.push(Place {
            partition,
            offset,
            begin,
            key,
            value,
            sent,
            reading: self.readings.len().saturating_sub(1),
        });
    }

    /// The messages, in the order of arrival.
    pub fn entries(&self) -> Vec<Entry<'_>> {
        let entry = |place: &Place| {
            let (key, rest) = self.bytes[place.begin..].split_at(place.key.unwrap_or(0));
            let message = Message {
                topic: &self.topic,
                partition: place.partition,
                offset: place.offset,
                key: place.key.map(|_| key),
                value: place.value.map(|len| &rest[..len]),
                passage: place
                    .sent
                    .zip(self.readings.get(place.reading))
                    .map(|(sent, reading)| Passage { sent, reading }),
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

    /// The last message of a partition was written under this leader epoch.
    pub fn led(&mut self, partition: i32, leader_epoch: Option<i32>) {
        if let Some(end) = self.ends.get_mut(&partition) {
            end.leader_epoch = leader_epoch;
        }
    }

    /// For each partition the position that comes after this batch.
    pub fn ends(&self) -> &Positions {
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

    #[test]
    fn a_batch_ends_after_the_last_message_of_each_partition() {
        let mut batch = Batch::default();
        for (partition, offset, value) in [(0, 7, &b"x"[..]), (2, 1, b"yy"), (0, 8, b"z")] {
            batch.push(partition, offset, None, Some(value), None);
        }
        batch.led(0, Some(4));
        let end = |next, leader_epoch| Position { next, leader_epoch };
        assert_eq!(batch.ends(), &Positions::from([(0, end(9, Some(4))), (2, end(2, None))]));
        assert_eq!((batch.len(), batch.bytes()), (3, 4));
        assert!(batch.entries().iter().all(|entry| entry.decoded().is_err()));
    }

    #[test]
    fn messages_come_out_as_they_came_in() {
        let messages = [
            (Some(&b"key"[..]), Some(&b"value"[..])),
            (None, Some(b"")),
            (Some(b""), None),
            (None, None),
            (Some(b"k"), Some(b"v")),
        ];
        let mut batch = Batch::with_room("t".into(), 1, 1);
        for (offset, (key, value)) in (0..).zip(messages) {
            batch.push(3, offset, key, value, None);
        }
        let entries = batch.entries();
        assert_eq!(entries.iter().map(|it| (it.message.key, it.message.value)).collect::<Vec<_>>(), messages);
        let places = entries.iter().map(|it| (it.message.topic, it.message.partition, it.message.offset));
        assert!(places.eq((0..5).map(|offset| ("t", 3, offset))));
    }
}
