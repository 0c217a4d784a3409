//! The stack that tests and the demo run on: real servers, real daemons, and hands to break them.
//!
//! A test has its own database, its own topic and its own web server. The PostgreSQL and the Kafka that they are in
//! are shared by the tests of a process, except for tests that stop them.

pub mod agent;
pub mod browser;
pub mod certificates;
pub mod collector;
pub mod daemon;
pub mod directory;
pub mod eventually;
pub mod filler;
pub mod kafka;
pub mod mail;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod scene;
pub mod shared;
pub mod sockets;
pub mod systemd;
pub mod web;

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::agent::{Agent, AgentSetup};
use crate::certificates::Authority;
use crate::collector::{Collector, CollectorSetup};
pub use crate::eventually::{eventually, within};
use crate::kafka::{Kafka, Topic};
use crate::postgres::{Database, Postgres};
use crate::web::Web;

/// What one test stands on.
pub struct Stack {
    /// The sites to check.
    pub web: Web,
    /// The test's own topic.
    pub topic: Topic,
    /// The test's own database.
    pub database: Database,
    /// The Kafka that the topic is in.
    pub kafka: Arc<Kafka>,
}

/// What a test asks for.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Needs {
    partitions: i32,
    own_nodes: Option<usize>,
    own_postgres: bool,
}

impl Stack {
    /// Shared servers.
    ///
    /// # Errors
    /// When a server can't be started: says what is missing.
    pub fn start() -> Result<Stack> {
        Stack::with().start()
    }

    /// More than that.
    pub fn with() -> Needs {
        Needs { partitions: 4, own_nodes: None, own_postgres: false }
    }

    /// A Kafka and a PostgreSQL of the test's own that also let in by TLS, with certificates of this authority.
    ///
    /// # Errors
    /// When a server can't be started: says what is missing.
    pub fn start_secured(authority: &Authority) -> Result<Stack> {
        let kafka = Arc::new(Kafka::start_secured(authority)?);
        let postgres = Arc::new(Postgres::start_secured(authority)?);
        let (topic, database) = (kafka.topic(4)?, postgres.database()?);
        Ok(Stack { web: Web::start()?, topic, database, kafka })
    }

    /// An agent that reports to this topic.
    pub fn agent(&self) -> AgentSetup {
        AgentSetup::new(self.kafka.bootstrap_servers(), self.topic.name())
    }

    /// A collector from this topic into this database. All of them are one group unless told otherwise.
    pub fn collector(&self) -> CollectorSetup {
        let group = format!("{}-collectors", self.topic.name());
        CollectorSetup::new(self.kafka.bootstrap_servers(), self.topic.name(), &group, &self.database)
    }

    /// Waits until all that is in the agent's outbox is in Kafka, and all of that has been committed by the collector.
    #[track_caller]
    pub fn await_arrival(&self, agent: &Agent, collector: &Collector) {
        let all = eventually("the outbox tells how far it is", || Ok(agent.outbox_status()?.position));
        eventually("what is in the outbox is delivered", || {
            let status = agent.outbox_status()?;
            ensure!(status.acknowledged_position >= all, "{status:?}");
            Ok(())
        });
        eventually("the collector has read the whole topic", || {
            let lag = self.topic.lag(&collector.group)?;
            ensure!(lag == 0, "{lag} messages are still to be read");
            Ok(())
        });
    }

    /// Makes the database say that nothing of the topic was read: collectors read it again from its beginning.
    ///
    /// # Errors
    /// When the database is away, or has no tables.
    pub fn read_again(&self) -> Result<()> {
        self.database.execute(&format!("delete from website_monitor.positions where topic = '{}'", self.topic.name()))
    }

    /// Rows of results of a url.
    ///
    /// # Errors
    /// When the database is away.
    pub fn rows(&self, url: &str) -> Result<u64> {
        self.database.count(&format!("website_monitor.website_status where url = '{url}'"))
    }
}

impl Needs {
    /// A Kafka that this test may stop.
    pub fn own_kafka(self) -> Needs {
        Needs { own_nodes: Some(1), ..self }
    }

    /// The same with this many nodes.
    pub fn own_kafka_nodes(self, nodes: usize) -> Needs {
        Needs { own_nodes: Some(nodes), ..self }
    }

    /// A PostgreSQL that this test may stop.
    pub fn own_postgres(self) -> Needs {
        Needs { own_postgres: true, ..self }
    }

    /// This many partitions in place of four.
    pub fn partitions(self, partitions: i32) -> Needs {
        Needs { partitions, ..self }
    }

    /// Starts it all.
    ///
    /// # Errors
    /// When a server can't be started: says what is missing.
    pub fn start(self) -> Result<Stack> {
        let postgres = if self.own_postgres { Arc::new(Postgres::start_own()?) } else { Postgres::shared()? };
        self.start_on(&postgres)
    }

    /// Starts the rest beside a PostgreSQL that is there.
    ///
    /// # Errors
    /// When a server can't be started: says what is missing.
    pub fn start_on(self, postgres: &Arc<Postgres>) -> Result<Stack> {
        let kafka = match self.own_nodes {
            Some(nodes) => Arc::new(Kafka::start_own(nodes)?),
            None => Kafka::shared()?,
        };
        let (topic, database) = (kafka.topic(self.partitions)?, postgres.database()?);
        Ok(Stack { web: Web::start()?, topic, database, kafka })
    }
}
