//! Kafka's leader epoch, which rdkafka hands out only through the C library.
//!
//! Each message bears the number of the leader under which it was written. A consumer that names it beside the position
//! from which it goes on learns from the broker where that leader's messages ended: before the position, when the log was
//! cut since. librdkafka then goes on from there (`rd_kafka_offset_validate`).

use std::ffi::CString;

use rdkafka::TopicPartitionList;
use rdkafka::bindings::{
    rd_kafka_message_leader_epoch, rd_kafka_topic_partition_list_find, rd_kafka_topic_partition_set_leader_epoch,
};
use rdkafka::message::BorrowedMessage;

/// The leader epoch of a message; none where the broker gives none.
#[allow(unsafe_code, reason = "the pointer is the message's own, and the function only reads")]
pub(super) fn of(message: &BorrowedMessage<'_>) -> Option<i32> {
    // SAFETY: the message is alive, and so is what its pointer leads to.
    let epoch = unsafe { rd_kafka_message_leader_epoch(message.ptr()) };
    (epoch >= 0).then_some(epoch)
}

/// Sets the leader epoch of a partition in a list.
#[allow(unsafe_code, reason = "the pointers are those of the list and of its element, which live as long as it")]
pub(super) fn set(list: &mut TopicPartitionList, topic: &str, partition: i32, epoch: i32) {
    let Ok(topic) = CString::new(topic) else { return };
    // SAFETY: the list is alive and borrowed alone; the element is looked for, and not kept.
    unsafe {
        let element = rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), partition);
        if !element.is_null() {
            rd_kafka_topic_partition_set_leader_epoch(element, epoch);
        }
    }
}
