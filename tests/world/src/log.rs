//! Kafka keeps the partitions of one topic. This file has what befalls them.
//!
//! ```text
//! offset          3    4    5  │  6    7
//! leader epoch    0    0    0  │  1    1        the tail from 6 on was lost, and another leader goes on from there
//!                 └ begin      └ end of epoch 0 └ …
//! ```
//! Each message bears the leader epoch that its partition had when it was appended. A partition that loses its tail goes
//! on under a higher one. A reader keeps the leader epoch of the last message that it read, and asks where that epoch ends.
//! The log lost what the reader has read where the epoch ends before the place of the reader.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::chance::mix;
use crate::common::Common;
use crate::group::Group;
use crate::truth::Number;

/// This is a message.
pub(crate) struct Message {
    pub(crate) number: Number,
    pub(crate) leader_epoch: u32,
    pub(crate) value: Vec<u8>,
}

/// This is a partition's log.
#[derive(Default)]
pub(crate) struct Partition {
    /// The oldest message that is kept has this offset.
    begin: i64,
    leader_epoch: u32,
    messages: VecDeque<Rc<Message>>,
}

impl Partition {
    pub(crate) const fn begin(&self) -> i64 {
        self.begin
    }

    pub(crate) fn end(&self) -> i64 {
        self.begin + self.messages.len() as i64
    }

    /// Answers whether a consumer can be at an offset.
    pub(crate) fn has_place(&self, offset: i64) -> bool {
        (self.begin..=self.end()).contains(&offset)
    }

    pub(crate) fn at(&self, offset: i64) -> Option<&Rc<Message>> {
        usize::try_from(offset - self.begin).ok().and_then(|index| self.messages.get(index))
    }

    /// Lists all messages with their offsets.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (i64, &Message)> {
        (self.begin..).zip(self.messages.iter().map(Rc::as_ref))
    }

    /// Tells where a leader epoch ends. That is where the first later one begins, or where the log ends.
    pub(crate) fn end_of_epoch(&self, leader_epoch: u32) -> i64 {
        let later = self.messages.partition_point(|message| message.leader_epoch <= leader_epoch);
        self.begin + later as i64
    }

    /// Loses the last messages up to a number, and answers whether there were any.
    pub(crate) fn lose_tail(&mut self, most: usize, common: &mut Common) -> bool {
        let left = self.messages.len().saturating_sub(most);
        let lost = self.messages.split_off(left);
        lost.iter().for_each(|message| common.truth.loses(message.number));
        self.leader_epoch += 1;
        !lost.is_empty()
    }

    /// Forgets the oldest messages up to a number, and answers whether there were any.
    pub(crate) fn retain(&mut self, most: usize, common: &mut Common) -> bool {
        let past = most.min(self.messages.len());
        self.messages.drain(..past).for_each(|message| common.truth.loses(message.number));
        self.begin += past as i64;
        past > 0
    }
}

/// This is the broker with its only topic and the groups of its consumers.
pub(crate) struct Kafka {
    /// The id of the topic changes when the topic is made again.
    topic: u64,
    pub(crate) partitions: Vec<Partition>,
    /// Each database has one. Only the first one is used where the collectors of all databases share a group.
    pub(crate) groups: [Group; 2],
    appended: u64,
}

/// The topic is given at most these many partitions.
const MOST_PARTITIONS: usize = 4;

impl Kafka {
    pub(crate) fn new(partitions: usize) -> Kafka {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        Kafka { topic: 1, partitions, groups: Default::default(), appended: 0 }
    }

    pub(crate) const fn topic(&self) -> u64 {
        self.topic
    }

    /// Counts the messages that were ever appended.
    pub(crate) const fn appended(&self) -> u64 {
        self.appended
    }

    pub(crate) fn partition(&self, partition: i32) -> &Partition {
        &self.partitions[partition as usize]
    }

    /// Appends a record to the partition to which the key leads, which is its sender's name.
    pub(crate) fn append(&mut self, key: &str, number: Number, payload: &[u8]) {
        let hash = key.bytes().fold(7, |hash, byte| mix(hash ^ u64::from(byte)));
        let count = self.partitions.len() as u64;
        let partition = &mut self.partitions[(hash % count) as usize];
        let value = wire::stamp(number.epoch, number.seq, payload);
        partition.messages.push_back(Rc::new(Message { number, leader_epoch: partition.leader_epoch, value }));
        self.appended += 1;
    }

    /// Deletes the topic, with what was committed for it, and makes it again.
    pub(crate) fn remake(&mut self, common: &mut Common) {
        let messages = self.partitions.iter().flat_map(|partition| &partition.messages);
        messages.for_each(|message| common.truth.loses(message.number));
        self.topic += 1;
        self.partitions.iter_mut().for_each(|partition| *partition = Partition::default());
        self.groups.iter_mut().for_each(Group::forget);
    }

    /// Adds a partition, whereby keys lead to others than before, and answers whether there was room for it.
    pub(crate) fn add_partition(&mut self) -> bool {
        let has_room = self.partitions.len() < MOST_PARTITIONS;
        if has_room {
            self.partitions.push(Partition::default());
            self.groups.iter_mut().for_each(Group::rebalance);
        }
        has_room
    }
}
