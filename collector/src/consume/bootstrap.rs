//! Finds out whether librdkafka still knows an address that leads to Kafka.
//!
//! Since 2.10 librdkafka removes a broker that Kafka does not name, also those of the configuration once Kafka has named its
//! own. When all brokers that are left are down, it adds those of the configuration again. It fails to do so in two cases, and
//! then asks no broker, or only brokers that are gone, until the program ends:
//!
//! - A broker that is about to stop answers that there are no brokers (confluentinc/librdkafka#5301).
//! - An answer with the brokers is read just after the last connection was lost. The answer cancels the step that adds the
//!   configured brokers, but the note that this step is under way stays for ever (confluentinc/librdkafka#5606).
//!
//! The statistics show both cases. The caller then tells librdkafka the configured addresses again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::statistics::Statistics;

/// The port of an address that names none.
const PORT: u16 = 9092;

/// The configured addresses, and whether librdkafka lost them.
pub(super) struct Bootstrap {
    addresses: BTreeSet<String>,
    is_lost: AtomicBool,
}

impl Bootstrap {
    /// Takes the text of `bootstrap.servers`: addresses `host:port` or `host`, separated by commas.
    pub(super) fn new(servers: &str) -> Bootstrap {
        let node = |address: &str| {
            // librdkafka takes a protocol before an address, and names the broker without it.
            let address = address.rsplit_once("://").map_or(address, |(_, node)| node);
            let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            if has_port { address.to_owned() } else { format!("{address}:{PORT}") }
        };
        let addresses = servers.split([',', ' ']).filter(|address| !address.is_empty()).map(node).collect();
        Bootstrap { addresses, is_lost: AtomicBool::default() }
    }

    /// Takes the brokers that librdkafka knows now.
    pub(super) fn hears(&self, statistics: &Statistics) {
        self.is_lost.store(!self.knows_a_way(statistics), Ordering::Relaxed);
    }

    /// Returns whether librdkafka knew no way to Kafka at its last statistics. The next call returns false until then.
    pub(super) fn take_is_lost(&self) -> bool {
        self.is_lost.swap(false, Ordering::Relaxed)
    }

    /// Returns whether a way to Kafka is known. A way is a broker that is connected, or an address of the
    /// configuration. The coordinator of the group does not count as a way: it has an address only while its broker is
    /// known.
    fn knows_a_way(&self, statistics: &Statistics) -> bool {
        statistics.brokers.values().any(|broker| match broker.source.as_str() {
            "configured" => true,
            "learned" => broker.state == "UP" || self.addresses.contains(&broker.nodename),
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::Broker;

    use super::*;

    /// Returns whether a way is known from these brokers, each with its source, state and address.
    fn knows(brokers: &[(&str, &str, &str)]) -> bool {
        let broker = |&(source, state, node): &(&str, &str, &str)| {
            let broker = Broker {
                source: source.to_owned(),
                state: state.to_owned(),
                nodename: node.to_owned(),
                ..Broker::default()
            };
            (node.to_owned(), broker)
        };
        let statistics = Statistics { brokers: brokers.iter().map(broker).collect(), ..Statistics::default() };
        Bootstrap::new("SASL_SSL://kafka-1:9093, kafka-2").knows_a_way(&statistics)
    }

    #[test]
    fn a_broker_that_the_configuration_names_or_that_is_connected_is_a_way() {
        assert!(knows(&[("configured", "INIT", "kafka-1:9093")]));
        assert!(knows(&[("logical", "DOWN", ""), ("learned", "UP", "10.0.0.1:9092")]));
        assert!(knows(&[("learned", "DOWN", "kafka-1:9093")]));
        assert!(knows(&[("learned", "TRY_CONNECT", "kafka-2:9092")]));
    }

    #[test]
    fn a_lost_connection_to_an_address_that_only_kafka_named_is_no_way() {
        assert!(!knows(&[]));
        assert!(!knows(&[("internal", "UP", ":0"), ("logical", "DOWN", "")]));
        assert!(!knows(&[("learned", "TRY_CONNECT", "10.0.0.1:9092"), ("learned", "DOWN", "10.0.0.2:9092")]));
    }

    #[test]
    fn a_loss_is_told_once_for_each_statistics() {
        let bootstrap = Bootstrap::new("kafka-1");
        assert!(!bootstrap.take_is_lost());
        bootstrap.hears(&Statistics::default());
        assert!(bootstrap.take_is_lost());
        assert!(!bootstrap.take_is_lost());
    }
}
