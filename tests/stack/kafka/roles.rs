//! Which node of a cluster does what: so that a test can take away the one that hurts.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::Kafka;
use super::node::OFFSETS_PARTITIONS;

const BOUND: Duration = Duration::from_secs(10);

/// Where groups keep their offsets. The leader of a group's partition is the group's coordinator.
const OFFSETS: &str = "__consumer_offsets";

impl Kafka {
    /// The place among the nodes of the one that leads a partition.
    ///
    /// # Errors
    /// When the cluster does not answer, or no one leads it.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<usize> {
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", self.direct()).create()?;
        let metadata = client.fetch_metadata(Some(topic), BOUND)?;
        let partitions = metadata.topics().first().context("no such topic")?.partitions();
        let found = partitions.iter().find(|found| found.id() == partition).context("no such partition")?;
        usize::try_from(found.leader() - 1).context("it has no leader")
    }

    /// The same for the coordinator of a consumer group.
    ///
    /// # Errors
    /// When the cluster does not answer, or the group has none.
    pub fn coordinator(&self, group: &str) -> Result<usize> {
        // Java's hash of a string, and Kafka's notion of its absolute value.
        let hash = group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
        self.leader(OFFSETS, (hash & i32::MAX) % OFFSETS_PARTITIONS)
    }

    /// The same for the active controller.
    ///
    /// # Errors
    /// When no node knows it.
    pub fn controller(&self) -> Result<usize> {
        let found = self.nodes.iter().filter(|node| node.is_running()).find_map(|node| node.believed_controller());
        usize::try_from(found.context("no node knows the controller")? - 1).context("there is none")
    }

    /// Whether a node leads nothing any more of a topic and of the groups' offsets, and no one waits for its replicas.
    ///
    /// # Errors
    /// When it does.
    pub fn has_given_up(&self, node: usize, topic: &str) -> Result<()> {
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", self.direct()).create()?;
        for topic in [topic, OFFSETS] {
            let metadata = client.fetch_metadata(Some(topic), BOUND)?;
            for partition in metadata.topics().first().context("no such topic")?.partitions() {
                let waits = partition.isr().contains(&(node as i32 + 1)) || partition.leader() == node as i32 + 1;
                ensure!(!waits, "{topic} {}", partition.id());
            }
        }
        Ok(())
    }

    /// Whether every replica of a topic and of the groups' offsets has caught up.
    ///
    /// # Errors
    /// When one has not.
    pub fn is_in_sync(&self, topic: &str) -> Result<()> {
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", self.direct()).create()?;
        for topic in [topic, OFFSETS] {
            let metadata = client.fetch_metadata(Some(topic), BOUND)?;
            for partition in metadata.topics().first().context("no such topic")?.partitions() {
                let (there, all) = (partition.isr().len(), partition.replicas().len());
                ensure!(there == all, "{topic} {}: {there} of {all} replicas", partition.id());
            }
        }
        Ok(())
    }
}
