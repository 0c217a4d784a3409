//! Finds partitions that no member of the group reads.
//!
//! A static member that comes back before the group misses it gets its old partitions back, and the group assigns nothing. Its
//! old partitions may be none: when the topic was away for a moment during an assignment, no member got any. The client of
//! such a member knows the topic as it is now, sees no change, and asks for no other assignment. Then no member reads the
//! topic until a member comes or goes.
//!
//! So every member compares the partitions of the topic with those of all members, now and then. When a partition stays
//! without a reader, the member leaves the group and joins it again, and the group assigns all partitions.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use settings::Kafka;

use super::client::Context;

/// The time between two comparisons. An assignment that is under way ends in this time.
const PAUSE: Duration = Duration::from_secs(10);
/// The longest time between two comparisons. All brokers are asked for the group, and the consumer waits for them, so after
/// each question that was not answered the next one comes later.
const LONGEST_PAUSE: Duration = Duration::from_secs(320);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);
/// The state of a group whose members have their partitions.
const STABLE: &str = "Stable";

/// Looks for partitions that no member reads.
pub(super) struct Unread {
    looked: Instant,
    pause: Duration,
    were_there: bool,
}

impl Unread {
    pub(super) fn new() -> Unread {
        Unread { looked: Instant::now(), pause: PAUSE, were_there: false }
    }

    /// Compares when it is time to, and returns whether some partition had no reader at the last two comparisons.
    pub(super) fn stays(&mut self, consumer: &BaseConsumer<Context>, kafka: &Kafka) -> bool {
        if self.looked.elapsed() < self.pause || consumer.context().is_in_doubt() {
            return false;
        }
        let answer = is_any(consumer, kafka);
        let pause = if answer.is_ok() { PAUSE } else { (2 * self.pause).min(LONGEST_PAUSE) };
        let are_there = answer.unwrap_or(false);
        let stays = are_there && self.were_there;
        *self = Unread { looked: Instant::now(), pause, were_there: are_there };
        stays
    }
}

/// Whether the group is at rest and some partition of the topic has no reader.
fn is_any(consumer: &BaseConsumer<Context>, kafka: &Kafka) -> KafkaResult<bool> {
    let metadata = consumer.fetch_metadata(Some(&kafka.topic), ANSWER)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id());
    let groups = consumer.fetch_group_list(Some(&kafka.group), ANSWER)?;
    let Some(group) = groups.groups().first().filter(|group| group.state() == STABLE) else { return Ok(false) };
    let assignments = group.members().iter().map(|member| member.assignment().unwrap_or_default());
    let read: Vec<i32> = assignments.flat_map(|assignment| partitions_of(assignment, &kafka.topic)).collect();
    Ok(partitions.into_iter().any(|partition| !read.contains(&partition)))
}

/// The partitions of a topic in a member's assignment, which has the form of ConsumerProtocolAssignment of Kafka's protocol:
/// a version, then topics, each with its name and its partitions. What is cut short has no more of them.
fn partitions_of(assignment: &[u8], topic: &str) -> Vec<i32> {
    let mut rest = Bytes(assignment);
    let mut found = Vec::new();
    let (Some(_version), Some(topics)) = (rest.i16(), rest.i32()) else { return found };
    for _ in 0..topics {
        let Some(name) = rest.i16().and_then(|length| rest.take(usize::try_from(length).ok()?)) else { break };
        let is_ours = name == topic.as_bytes();
        let Some(count) = rest.i32() else { break };
        for partition in (0..count).map_while(|_| rest.i32()) {
            if is_ours {
                found.push(partition);
            }
        }
    }
    found
}

/// Bytes that are read from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take(2)?.try_into().ok().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take(4)?.try_into().ok().map(i32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_TOPICS: &[u8] =
        b"\0\x01\0\0\0\x02\0\x01t\0\0\0\x02\0\0\0\x03\0\0\0\x07\0\x02uv\0\0\0\x01\0\0\0\x05\0\0\0\0";

    #[test]
    fn partitions_of_the_topic_are_found_among_those_of_others() {
        assert_eq!(partitions_of(TWO_TOPICS, "t"), [3, 7]);
        assert_eq!(partitions_of(TWO_TOPICS, "uv"), [5]);
        assert!(partitions_of(TWO_TOPICS, "w").is_empty());
        assert!(partitions_of(b"\0\0\0\0\0\0\0\0\0\0", "t").is_empty());
    }

    #[test]
    fn an_assignment_that_is_cut_or_no_assignment_is_read_as_far_as_it_goes() {
        for length in 0..TWO_TOPICS.len() {
            assert!(partitions_of(&TWO_TOPICS[..length], "t").len() <= 2);
        }
        assert!(partitions_of(&[0xff; 64], "t").is_empty());
    }
}
