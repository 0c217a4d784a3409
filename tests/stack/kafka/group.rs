//! A consumer group, seen from outside: its state, who has which partitions, and what it has committed.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::Topic;
use super::topic::BOUND;

/// One who looks at a group without being in it.
pub struct Group {
    consumer: BaseConsumer,
    name: String,
    topic: String,
    partitions: i32,
}

/// How a group is.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`, `Dead`.
    pub state: String,
    /// The partitions of each member, by its `client.id`. Known only while the group is stable.
    pub members: BTreeMap<String, Vec<i32>>,
}

impl Described {
    /// Whether its partitions are being dealt out again.
    pub fn is_rebalancing(&self) -> bool {
        self.state.ends_with("Rebalance")
    }
}

impl Topic {
    /// A group that reads this topic.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn group(&self, name: &str) -> Result<Group> {
        let consumer = self.client().set("group.id", name).create()?;
        Ok(Group { consumer, name: name.into(), topic: self.name().into(), partitions: self.partitions() })
    }
}

impl Group {
    /// How it is now.
    ///
    /// # Errors
    /// When the broker is away.
    pub fn describe(&self) -> Result<Described> {
        let groups = self.consumer.fetch_group_list(Some(&self.name), BOUND)?;
        let Some(group) = groups.groups().first() else { return Ok(Described::default()) };
        let mut members: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for member in group.members() {
            let assigned = member.assignment().and_then(partitions).unwrap_or_default();
            members.entry(member.client_id().into()).or_default().extend(assigned);
        }
        Ok(Described { state: group.state().into(), members })
    }

    /// What it has committed for each partition; 0 where nothing.
    ///
    /// # Errors
    /// When the broker is away.
    pub fn committed(&self) -> Result<Vec<i64>> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(&self.topic, 0, self.partitions - 1);
        let known = self.consumer.committed_offsets(asked, BOUND).context("what is committed is not known")?;
        Ok(known.elements().iter().map(|element| element.offset().to_raw().unwrap_or(0).max(0)).collect())
    }
}

/// The partitions in an assignment of Kafka's consumer protocol: a version, then topics, each a name and numbers.
fn partitions(assignment: &[u8]) -> Option<Vec<i32>> {
    let mut rest = assignment.get(2..)?;
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count)?;
        rest = left;
        Some(taken)
    };
    let mut found = Vec::new();
    let topics = i32::from_be_bytes(take(4)?.try_into().ok()?);
    for _ in 0..topics {
        let name = i16::from_be_bytes(take(2)?.try_into().ok()?);
        take(usize::try_from(name).ok()?)?;
        let count = i32::from_be_bytes(take(4)?.try_into().ok()?);
        for _ in 0..count {
            found.push(i32::from_be_bytes(take(4)?.try_into().ok()?));
        }
    }
    Some(found)
}
