//! A real Apache Kafka: one node, or three, in KRaft mode on free ports of 127.0.0.1.
//!
//! Each node has two listeners. The one that daemons know is behind a proxy, whose address the node advertises;
//! tests look at the topic through the other one, also while the daemons' network is cut.

mod deal;
mod group;
mod jars;
mod java;
mod node;
mod producer;
mod roles;
mod secured;
mod topic;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use parking_lot::{Condvar, Mutex};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

pub use group::{Described, Group};
pub use jars::jars;
pub use node::Node;
pub use producer::Producer;
pub use secured::{PASSWORD, USER, Way};
pub use topic::{Message, Topic};

use java::Java;

use crate::certificates::Authority;
use crate::eventually::within;
use crate::shared::Shared;

/// Set to `host:port` of a broker, tests don't start one of their own, except for tests that stop it.
pub const EXISTING: &str = "WEBSITE_MONITOR_TEST_KAFKA";

const BOUND: Duration = Duration::from_secs(240);

/// A Kafka cluster.
pub struct Kafka {
    bootstrap_servers: String,
    direct: String,
    nodes: Vec<Node>,
    room: Option<Room>,
}

impl Kafka {
    /// The broker that all tests of this process share: the existing one if the environment names one.
    ///
    /// # Errors
    /// When it can't be started: says what is missing.
    pub fn shared() -> Result<Arc<Kafka>> {
        static SHARED: Shared<Kafka> = Shared::new();
        SHARED.get(|| match std::env::var(EXISTING) {
            Ok(address) => {
                Ok(Kafka { bootstrap_servers: address.clone(), direct: address, nodes: Vec::new(), room: None })
            }
            Err(_) => Kafka::start_nodes(1, None, None),
        })
    }

    /// A cluster of one's own with this many nodes, that can be stopped. Waits while too many others run.
    ///
    /// # Errors
    /// When it can't be started: says what is missing.
    pub fn start_own(nodes: usize) -> Result<Kafka> {
        Kafka::start_nodes(nodes, Some(Room::take(nodes)), None)
    }

    /// A node of one's own that also lets in by TLS, by certificate and by login: see [`Node::secured`].
    ///
    /// # Errors
    /// When it can't be started: says what is missing.
    pub fn start_secured(authority: &Authority) -> Result<Kafka> {
        Kafka::start_nodes(1, Some(Room::take(1)), Some(authority))
    }

    fn start_nodes(count: usize, room: Option<Room>, authority: Option<&Authority>) -> Result<Kafka> {
        let java = Java::ready(|making| {
            let kafka = Kafka::start_by(making, 1, None, None)?;
            kafka.nodes.iter().try_for_each(Node::stop)
        })?;
        Kafka::start_by(&java, count, room, authority)
    }

    fn start_by(java: &Java, count: usize, room: Option<Room>, authority: Option<&Authority>) -> Result<Kafka> {
        let mut tries = 0;
        let nodes = loop {
            tries += 1;
            let nodes = Node::cluster(count, java, authority)?;
            match nodes.iter().try_for_each(Node::start_unawaited).and_then(|()| await_all(&nodes)) {
                Ok(()) => break nodes,
                // Another process may have taken a port between our look at it and the node's.
                Err(error) if tries == 3 || !format!("{error:#}").contains("Address already in use") => {
                    return Err(error);
                }
                Err(_) => {}
            }
        };
        let list = |port: fn(&Node) -> u16| {
            let all: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", port(node))).collect();
            all.join(",")
        };
        let (bootstrap_servers, direct) = (list(Node::port), list(Node::direct_port));
        Ok(Kafka { bootstrap_servers, direct, nodes, room })
    }

    /// What daemons connect to, through the proxies.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// What tests and people connect to, past the proxies.
    pub fn direct(&self) -> &str {
        &self.direct
    }

    /// A new topic with this many partitions, as many replicas as nodes, and a name of its own.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn topic(self: &Arc<Kafka>, partitions: i32) -> Result<Topic> {
        Topic::create(self.clone(), partitions)
    }

    /// The nodes, to stop them one by one.
    ///
    /// # Errors
    /// When others use them too.
    pub fn nodes(&self) -> Result<&[Node]> {
        ensure!(self.room.is_some(), "this Kafka is shared: a test that stops it needs Stack::with().own_kafka()");
        Ok(&self.nodes)
    }

    /// Stops all nodes as an administrator does.
    ///
    /// # Errors
    /// When they are shared, or don't stop.
    pub fn stop(&self) -> Result<()> {
        // First all, then wait for each: nodes that go together needn't hand over to each other.
        self.nodes()?.iter().for_each(Node::ask_to_stop);
        self.nodes()?.iter().try_for_each(Node::stop)
    }

    /// SIGKILL for all nodes.
    ///
    /// # Errors
    /// When they are shared.
    pub fn kill(&self) -> Result<()> {
        self.nodes()?.iter().for_each(Node::kill);
        Ok(())
    }

    /// Starts all nodes again that don't run, with the data that they had, and waits until they answer.
    ///
    /// # Errors
    /// When they are shared, or don't come up.
    pub fn start(&self) -> Result<()> {
        self.nodes()?.iter().try_for_each(Node::start_unawaited)?;
        await_all(&self.nodes)
    }
}

fn await_all(nodes: &[Node]) -> Result<()> {
    for node in nodes {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", format!("127.0.0.1:{}", node.direct_port()));
        let client: BaseConsumer = config.create()?;
        within(BOUND, "Kafka answers", || {
            if !node.is_running() {
                return Ok(Err(anyhow::anyhow!("Kafka ended\n{}", node.tail())));
            }
            let metadata = client.fetch_metadata(None, Duration::from_secs(1))?;
            let there = metadata.brokers().len();
            ensure!(there == nodes.len(), "{there} of {} brokers", nodes.len());
            Ok(Ok(()))
        })
        .map_err(|error| error.context(node.tail()))??;
    }
    Ok(())
}

/// Room for a test's own cluster in memory: each node takes 350 MB, and tests run many at a time.
struct Room {
    nodes: usize,
}

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();
const MOST: usize = 6;

impl Room {
    fn take(nodes: usize) -> Room {
        let mut taken = TAKEN.lock();
        while *taken > 0 && *taken + nodes > MOST {
            FREED.wait(&mut taken);
        }
        *taken += nodes;
        Room { nodes }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        *TAKEN.lock() -= self.nodes;
        FREED.notify_all();
    }
}
