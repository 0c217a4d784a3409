//! Calls functions of the C library that rdkafka does not offer, or does not offer safely.
//!
//! *The leader epoch.* Each message bears the number of the leader under which it was written. A consumer names it
//! beside the position from which it goes on. The broker then answers where the messages of that leader ended. That is
//! before the position when the log was cut since then. librdkafka then goes on from there
//! (`rd_kafka_offset_validate`).
//!
//! *More brokers.* A client can be told brokers in addition to those of its configuration.
//!
//! *The metadata of a committed offset* may be any bytes, since any program may have committed it. rdkafka panics when
//! they are not UTF-8.

use std::ffi::CString;
use std::slice;

use rdkafka::bindings::{
    rd_kafka_brokers_add, rd_kafka_message_leader_epoch, rd_kafka_topic_partition_list_find,
    rd_kafka_topic_partition_set_leader_epoch, rd_kafka_topic_partition_t,
};
use rdkafka::client::Client;
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientContext, TopicPartitionList};

/// Returns the leader epoch of a message. It is none where the broker gives none.
#[allow(unsafe_code, reason = "the pointer is the message's own, and the function only reads")]
pub(super) fn leader_epoch(message: &BorrowedMessage<'_>) -> Option<i32> {
    // SAFETY: the message is alive, and so is the memory that its pointer leads to.
    let epoch = unsafe { rd_kafka_message_leader_epoch(message.ptr()) };
    (epoch >= 0).then_some(epoch)
}

/// Sets the leader epoch of a partition in a list.
#[allow(unsafe_code, reason = "the element lives as long as its list, and is not kept")]
pub(super) fn set_leader_epoch(list: &mut TopicPartitionList, topic: &str, partition: i32, epoch: i32) {
    if let Some(element) = find(list, topic, partition) {
        // SAFETY: the list is alive and borrowed alone.
        unsafe { rd_kafka_topic_partition_set_leader_epoch(element, epoch) };
    }
}

/// Returns the metadata of a partition in a list. They are empty where there are none.
#[allow(unsafe_code, reason = "the element lives as long as its list, and is copied")]
pub(super) fn metadata(list: &TopicPartitionList, topic: &str, partition: i32) -> Vec<u8> {
    let Some(element) = find(list, topic, partition) else { return Vec::new() };
    // SAFETY: the list is alive; librdkafka sets pointer and size together.
    unsafe {
        let (bytes, size) = ((*element).metadata.cast::<u8>(), (*element).metadata_size);
        if bytes.is_null() { Vec::new() } else { slice::from_raw_parts(bytes, size).to_vec() }
    }
}

/// Tells a client brokers in addition to those that it knows: addresses `host:port`, separated by commas.
#[allow(unsafe_code, reason = "the client lives, and the text is copied")]
pub(super) fn add_brokers(client: &Client<impl ClientContext>, addresses: &str) {
    let Ok(addresses) = CString::new(addresses) else { return };
    // SAFETY: the client is alive, and the text ends with a zero.
    unsafe { rd_kafka_brokers_add(client.native_ptr(), addresses.as_ptr()) };
}

#[allow(unsafe_code, reason = "the list's pointer is its own, and the function only reads")]
fn find(list: &TopicPartitionList, topic: &str, partition: i32) -> Option<*mut rd_kafka_topic_partition_t> {
    let topic = CString::new(topic).ok()?;
    // SAFETY: the list is alive, and the name ends with a zero.
    let element = unsafe { rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), partition) };
    (!element.is_null()).then_some(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_are_read_and_those_of_an_absent_partition_are_empty() {
        let mut list = TopicPartitionList::new();
        list.add_partition("t", 0).set_metadata("mark");
        list.add_partition("t", 1);
        let of = |partition| metadata(&list, "t", partition);
        assert_eq!([of(0), of(1), of(2)], [b"mark".to_vec(), vec![], vec![]]);
    }
}
