//! The demo's Kafka: the real one, or the one that librdkafka brings along.

use std::sync::Arc;

use anyhow::Result;
use e2e::kafka::{Kafka, jars};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::screen::Screen;
use crate::{PARTITIONS, TOPIC};

const ONLY_BROKER: i32 = 1;

pub(crate) enum Broker {
    Kafka(Arc<Kafka>),
    Embedded(MockCluster<'static, DefaultProducerContext>),
}

impl Broker {
    /// Starts Apache Kafka; where it can't be had, says so and starts the other one.
    pub(crate) fn start(screen: &mut Screen, embedded: bool) -> Result<Broker> {
        if embedded {
            return Broker::embedded();
        }
        match jars() {
            Ok(_) => Ok(Broker::Kafka(Arc::new(Kafka::start_own(1)?))),
            Err(error) => {
                screen.say(&format!("{error:#}"))?;
                screen.say("Without Apache Kafka the demo goes on with librdkafka's built-in broker.")?;
                Broker::embedded()
            }
        }
    }

    fn embedded() -> Result<Broker> {
        let mock = MockCluster::new(1)?;
        mock.create_topic(TOPIC, PARTITIONS, 1)?;
        Ok(Broker::Embedded(mock))
    }

    pub(crate) fn address(&self) -> String {
        match self {
            Broker::Kafka(kafka) => kafka.bootstrap_servers().into(),
            Broker::Embedded(mock) => mock.bootstrap_servers(),
        }
    }

    /// Whether it can be asked to create a topic.
    pub(crate) fn creates_topics(&self) -> bool {
        matches!(self, Broker::Kafka(_))
    }

    pub(crate) fn take_away(&self) -> Result<()> {
        match self {
            Broker::Kafka(kafka) => kafka.stop(),
            Broker::Embedded(mock) => Ok(mock.broker_down(ONLY_BROKER)?),
        }
    }

    pub(crate) fn give_back(&self) -> Result<()> {
        match self {
            Broker::Kafka(kafka) => kafka.start(),
            Broker::Embedded(mock) => Ok(mock.broker_up(ONLY_BROKER)?),
        }
    }
}
