//! The batch of messages that `consume` passes to `store`, and the positions where it ends.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use jiff::Timestamp;
use wire::Rejection;

use crate::clock_skew::{Passage, Reading};
use crate::position::{Position, Positions};

/// A decoded record, whose texts borrow from the message where possible.
pub type Record<'a> = wire::Record<Cow<'a, str>>;

/// The result of a check, whose texts borrow from the message where possible.
pub type CheckResult<'a> = wire::CheckResult<Cow<'a, str>>;

/// One message as it came from Kafka.
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
    /// The moments of its way, where they are known.
    pub passage: Option<Passage<'a>>,
}

/// A message and its record, which is decoded at most once.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The message. It is whole, so that it can be set aside.
    pub message: Message<'a>,
    decoded: OnceCell<Result<Record<'a>, Rejection>>,
}

impl<'a> Entry<'a> {
    /// Creates the entry of a message that was not yet decoded.
    pub fn new(message: Message<'a>) -> Entry<'a> {
        Entry { message, decoded: OnceCell::new() }
    }

    /// Returns the record of the message, or why it has none.
    pub fn decoded(&self) -> &Result<Record<'a>, Rejection> {
        self.decoded.get_or_init(|| Record::decode(self.message.value))
    }
}

/// The messages of a topic that are stored in one transaction. Their bytes lie one after the other, so a message has no
/// memory of its own that one thread would allocate and another free.
#[derive(Debug, Default)]
pub struct Batch {
    topic: Arc<str>,
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// The moments of reading. They are few, because messages that come together lie together.
    readings: Vec<Reading>,
    ends: Positions,
}

/// The place of a message in the bytes: its key begins at `begin`, and its value follows.
#[derive(Debug)]
struct Place {
    partition: i32,
    offset: i64,
    begin: usize,
    key: Option<usize>,
    value: Option<usize>,
    sent: Option<Timestamp>,
    /// The index of its reading in `readings`.
    reading: usize,
}

impl Batch {
    /// Creates an empty batch of a topic, with room for this number of messages and for this number of bytes of all of
    /// them.
    pub fn with_room(topic: Arc<str>, messages: usize, bytes: usize) -> Batch {
        let (bytes, places) = (Vec::with_capacity(bytes), Vec::with_capacity(messages));
        Batch { topic, bytes, places, ..Batch::default() }
    }

    /// Sets the moments of the messages that are pushed from now on.
    pub fn read(&mut self, reading: Reading) {
        if self.readings.last() != Some(&reading) {
            self.readings.push(reading);
        }
    }

    /// Adds a message. `sent` is when it was sent, where that is known.
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

    /// Returns the messages in the order of arrival.
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

    /// Returns the number of messages.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Notes the leader epoch under which the last message of a partition was written.
    pub fn led(&mut self, partition: i32, leader_epoch: Option<i32>) {
        if let Some(end) = self.ends.get_mut(&partition) {
            end.leader_epoch = leader_epoch;
        }
    }

    /// Returns the position after this batch for each partition.
    pub fn ends(&self) -> &Positions {
        &self.ends
    }

    /// Returns the number of bytes of all keys and values.
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
