//! Reads the `kafka` section: which cluster, which topic, and how the client logs in.

mod failure;
mod properties;
mod security;
mod topic;

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use secrecy::ExposeSecret;

pub use properties::Properties;
pub use security::{Protocol, Sasl, Security};

use crate::Section;
use crate::options::fault::Wrong;

/// The `kafka` section with its defaults applied.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// The addresses from which the client learns about the cluster: `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// The topic of the records.
    pub topic: String,
    /// Whether the topic is created when it is absent.
    pub create_topic: bool,
    /// The number of partitions of a topic that is created.
    pub partitions: i32,
    /// The number of replicas of a topic that is created.
    pub replication_factor: i32,
    /// The consumer group of the collectors that share the work. Only collectors have this option.
    pub group: String,
    /// Encryption and login.
    pub security: Security,
    /// The librdkafka properties that are passed through. Their values are not shown, because one may be a secret.
    pub properties: Properties,
}

impl Default for Kafka {
    fn default() -> Kafka {
        Kafka {
            bootstrap_servers: "localhost:9092".into(),
            topic: "website-monitor".into(),
            create_topic: true,
            partitions: 4,
            replication_factor: 1,
            group: "website-monitor-collector".into(),
            security: Security::default(),
            properties: Properties::default(),
        }
    }
}

impl Kafka {
    /// Reads an agent's `kafka` section. It has no `group`.
    pub fn of_agent(section: &mut Section<'_>) -> Kafka {
        let default = Kafka::default();
        let properties = section.section("properties", properties::read_properties);
        Kafka {
            bootstrap_servers: read_servers(section).unwrap_or(default.bootstrap_servers),
            topic: section.parse("topic", check_topic).unwrap_or(default.topic),
            create_topic: section.boolean("create_topic").unwrap_or(default.create_topic),
            partitions: section.integer("partitions", 1..=10_000).unwrap_or(default.partitions),
            replication_factor: section.integer("replication_factor", 1..=100).unwrap_or(default.replication_factor),
            security: security::read_security(section, &properties),
            properties,
            group: default.group,
        }
    }

    /// Reads a collector's `kafka` section.
    pub fn of_collector(section: &mut Section<'_>) -> Kafka {
        let group = section.text_within("group", 255);
        let kafka = Kafka::of_agent(section);
        Kafka { group: group.unwrap_or(kafka.group), ..kafka }
    }

    /// Returns the librdkafka properties of the section with the secrets. They are for the client, and never for a log.
    /// The group is not among them.
    pub fn client_properties(&self) -> BTreeMap<String, String> {
        let mut properties = self.properties.0.clone();
        let mut set = |name: &str, value: &str| properties.insert(name.into(), value.into());
        set("bootstrap.servers", &self.bootstrap_servers);
        set("security.protocol", self.security.protocol.as_str());
        let security = &self.security;
        for (name, file) in [
            ("ssl.ca.location", &security.ca_file),
            ("ssl.certificate.location", &security.certificate_file),
            ("ssl.key.location", &security.key_file),
        ] {
            if let Some(file) = file {
                set(name, &file.to_string_lossy());
            }
        }
        if let Some(password) = &security.key_password {
            set("ssl.key.password", password.expose_secret());
        }
        if let Some(sasl) = &security.sasl {
            set("sasl.mechanism", sasl.mechanism);
            set("sasl.username", &sasl.username);
            set("sasl.password", sasl.password.expose_secret());
        }
        properties
    }
}

/// Reads `bootstrap_servers`, or `host` and `port` of older set-ups.
fn read_servers(section: &mut Section<'_>) -> Option<String> {
    if section.has("bootstrap_servers") && (section.has("host") || section.has("port")) {
        section.fault("bootstrap_servers", "stands beside `host` or `port`", "keep bootstrap_servers alone");
    }
    let servers = section.parse("bootstrap_servers", check_servers);
    let host = section.text("host");
    let port: Option<u16> = section.integer("port", 1..=65_535);
    if servers.is_some() || (host.is_none() && port.is_none()) {
        return servers;
    }
    let host = host.as_deref().unwrap_or("localhost");
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.into() };
    Some(format!("{host}:{}", port.unwrap_or(9092)))
}

/// Checks the addresses of brokers. librdkafka would take a port beyond the range for another port.
fn check_servers(servers: &str) -> Result<String, Wrong> {
    for server in servers.split(',').map(str::trim) {
        let place = server.rsplit_once("://").map_or(server, |(_, place)| place);
        let port = match place.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => Some(port),
            _ => None,
        };
        if place.is_empty() || port.is_some_and(|port| port.parse::<NonZeroU16>().is_err()) {
            let mend = "write host:port with a port within 1..=65535, several with commas";
            return Err(Wrong::new(format!("{server:?} is no address of a broker"), mend));
        }
    }
    Ok(servers.into())
}

fn check_topic(topic: &str) -> Result<String, Wrong> {
    let legal = topic.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !legal || topic.len() > 249 || topic == "." || topic == ".." {
        let mend = "use at most 249 letters, digits, `.`, `_` and `-`";
        return Err(Wrong::new(format!("{topic:?} is no name of a topic"), mend));
    }
    Ok(topic.into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Kafka {
        let value = serde_yaml::from_str(text).unwrap();
        let (kafka, faults) = Section::read(Path::new("/etc/c.yaml"), None, value, Kafka::of_collector);
        assert_eq!(faults, [], "{text}");
        kafka
    }

    #[test]
    fn nothing_configured_means_a_plaintext_broker_on_this_host() {
        let kafka = read("{}");
        assert_eq!((kafka.topic.as_str(), kafka.create_topic), ("website-monitor", true));
        assert_eq!((kafka.partitions, kafka.replication_factor), (4, 1));
        assert_eq!(kafka.group, "website-monitor-collector");
        let properties = kafka.client_properties();
        assert_eq!(properties["bootstrap.servers"], "localhost:9092");
        assert_eq!(properties["security.protocol"], "plaintext");
        assert_eq!(properties.len(), 2);
    }

    #[test]
    fn host_and_port_of_older_set_ups_name_the_broker() {
        for (text, servers) in [
            ("{host: k.example, port: 1234}", "k.example:1234"),
            ("{host: k.example}", "k.example:9092"),
            ("{port: '1234'}", "localhost:1234"),
            ("{host: '::1'}", "[::1]:9092"),
        ] {
            assert_eq!(read(text).bootstrap_servers, servers);
        }
    }

    #[test]
    fn security_and_properties_reach_the_client_and_not_the_log() {
        let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let kafka = read(&format!(
            "{{group: g, security_protocol: sasl_ssl, ssl: {{ca_file: {pem}, certificate_file: {pem}, key_file: {pem}, \
             key_password: s3cret1}}, sasl: {{mechanism: SCRAM-SHA-256, username: u, password: s3cret2}}, \
             properties: {{linger.ms: 5, socket.keepalive.enable: true, ssl.keystore.password: s3cret3}}}}",
        ));
        let properties: Vec<_> =
            kafka.client_properties().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            properties,
            [
                "bootstrap.servers=localhost:9092",
                "linger.ms=5",
                "sasl.mechanism=SCRAM-SHA-256",
                "sasl.password=s3cret2",
                "sasl.username=u",
                "security.protocol=sasl_ssl",
                "socket.keepalive.enable=true",
                &format!("ssl.ca.location={pem}"),
                &format!("ssl.certificate.location={pem}"),
                &format!("ssl.key.location={pem}"),
                "ssl.key.password=s3cret1",
                "ssl.keystore.password=s3cret3",
            ]
        );
        let shown = format!("{kafka:?}");
        assert!(!shown.contains("s3cret") && shown.contains("linger.ms"), "{shown}");
    }

    #[test]
    fn brokers_have_a_name_and_a_port_that_exists() {
        for servers in ["kafka", "kafka:9092", "k1:9092, k2:9093", "[::1]:9092", "SSL://kafka:9093"] {
            assert_eq!(check_servers(servers).as_deref(), Ok(servers));
        }
        for servers in ["kafka:99999", "kafka:0", "kafka:port", "kafka:9092,", "k1:9092,k2:99999"] {
            assert!(check_servers(servers).is_err(), "{servers}");
        }
    }

    #[test]
    fn a_file_of_tls_that_is_not_there_is_a_fault() {
        let value = serde_yaml::from_str("{security_protocol: ssl, ssl: {ca_file: /nope/ca.pem}}").unwrap();
        let (_, faults) = Section::read(Path::new("c.yaml"), None, value, Kafka::of_agent);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].to_string().contains("ssl.ca_file: /nope/ca.pem can't be read"), "{}", faults[0]);
    }

    #[test]
    fn a_login_without_a_password_is_set_up_by_properties() {
        let kafka = read("{security_protocol: sasl_ssl, properties: {sasl.mechanism: OAUTHBEARER}}");
        assert_eq!(kafka.client_properties()["sasl.mechanism"], "OAUTHBEARER");
    }

    #[test]
    fn no_property_that_a_promise_hangs_on_is_passed_through() {
        for name in properties::REFUSED.iter().flat_map(|(names, ..)| *names) {
            let value = serde_yaml::from_str(&format!("properties: {{{name}: s3cret}}")).unwrap();
            let (kafka, faults) = Section::read(Path::new("c.yaml"), None, value, Kafka::of_collector);
            assert_eq!(faults.len(), 1, "{name}");
            assert!(kafka.properties.0.is_empty() && !faults[0].to_string().contains("s3cret"), "{name}");
        }
    }
}
