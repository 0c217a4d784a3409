//! The `kafka` section: which cluster, which topic, and how to be let in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde_yaml::Value;

use crate::Section;
use crate::quantity::shown;
use crate::section::Wrong;

/// The `kafka` section with its defaults applied.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Where to learn of the cluster: `host:port`, several with commas.
    pub bootstrap_servers: String,
    /// Where records go.
    pub topic: String,
    /// Whether the topic is made when it is absent.
    pub create_topic: bool,
    /// Partitions of a topic that is made.
    pub partitions: i32,
    /// Replicas of a topic that is made.
    pub replication_factor: i32,
    /// The collectors that share the work; only they have this option.
    pub group: String,
    /// Encryption and login.
    pub security: Security,
    /// librdkafka properties that are passed through. Values are not shown: one may be a secret.
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

/// How connections to brokers are encrypted, and how the client logs in.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`.
    pub protocol: Protocol,
    /// The authorities that sign the brokers' certificates; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate.
    pub certificate_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Its key's password.
    pub key_password: Option<SecretString>,
    /// The login.
    pub sasl: Option<Sasl>,
}

/// A login by SASL.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: &'static str,
    /// The user.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// librdkafka's `security.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Neither encryption nor login.
    #[default]
    Plaintext,
    /// Encryption.
    Ssl,
    /// Login.
    SaslPlaintext,
    /// Both.
    SaslSsl,
}

impl Protocol {
    const ALL: [(&'static str, Protocol); 4] = [
        ("plaintext", Protocol::Plaintext),
        ("ssl", Protocol::Ssl),
        ("sasl_plaintext", Protocol::SaslPlaintext),
        ("sasl_ssl", Protocol::SaslSsl),
    ];

    /// The protocol's word.
    pub fn as_str(self) -> &'static str {
        Protocol::ALL.iter().find(|(_, protocol)| *protocol == self).map_or("plaintext", |(word, _)| word)
    }

    fn is_encrypted(self) -> bool {
        matches!(self, Protocol::Ssl | Protocol::SaslSsl)
    }

    fn has_login(self) -> bool {
        matches!(self, Protocol::SaslPlaintext | Protocol::SaslSsl)
    }
}

/// librdkafka properties that are passed through.
#[derive(Clone, Default)]
pub struct Properties(pub BTreeMap<String, String>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Kafka {
    /// Reads an agent's `kafka` section. It has no `group`.
    pub fn of_agent(section: &mut Section<'_>) -> Kafka {
        let default = Kafka::default();
        let properties = section.section("properties", read_properties);
        Kafka {
            bootstrap_servers: read_servers(section).unwrap_or(default.bootstrap_servers),
            topic: section.parse("topic", check_topic).unwrap_or(default.topic),
            create_topic: section.boolean("create_topic").unwrap_or(default.create_topic),
            partitions: section.integer("partitions", 1..=10_000).unwrap_or(default.partitions),
            replication_factor: section.integer("replication_factor", 1..=100).unwrap_or(default.replication_factor),
            security: read_security(section, &properties),
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

    /// The librdkafka properties of the section, secrets included: for the client, never for a log. The group is not
    /// among them.
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

/// `bootstrap_servers`, or `host` and `port` of older set-ups.
fn read_servers(section: &mut Section<'_>) -> Option<String> {
    if section.has("bootstrap_servers") && (section.has("host") || section.has("port")) {
        section.fault("bootstrap_servers", "stands beside `host` or `port`", "keep bootstrap_servers alone");
    }
    let servers = section.text("bootstrap_servers");
    let host = section.text("host");
    let port: Option<u16> = section.integer("port", 1..=65_535);
    if servers.is_some() || (host.is_none() && port.is_none()) {
        return servers;
    }
    let host = host.as_deref().unwrap_or("localhost");
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.into() };
    Some(format!("{host}:{}", port.unwrap_or(9092)))
}

fn check_topic(topic: &str) -> Result<String, Wrong> {
    let legal = topic.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !legal || topic.len() > 249 || topic == "." || topic == ".." {
        let mend = "use at most 249 letters, digits, `.`, `_` and `-`";
        return Err(Wrong::new(format!("{topic:?} is no name of a topic"), mend));
    }
    Ok(topic.into())
}

fn read_security(section: &mut Section<'_>, properties: &Properties) -> Security {
    let (has_ssl, has_sasl) = (section.has("ssl"), section.has("sasl"));
    let protocol = section.choice("security_protocol", &Protocol::ALL).unwrap_or_default();
    let mut security = Security { protocol, ..Security::default() };
    section.section("ssl", |ssl| {
        security.ca_file = ssl.path("ca_file");
        security.certificate_file = ssl.path("certificate_file");
        security.key_file = ssl.path("key_file");
        security.key_password = ssl.secret("key_password");
        if security.certificate_file.is_some() != security.key_file.is_some() {
            ssl.fault("certificate_file", "stands without key_file, or the reverse", "give both or neither");
        }
    });
    security.sasl = section.section("sasl", |sasl| {
        let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].map(|mechanism| (mechanism, mechanism));
        if has_sasl {
            sasl.require("username", "name the user");
            if !sasl.has("password_file") {
                sasl.require("password", "give password_file (or password)");
            }
        }
        let mechanism = sasl.choice("mechanism", &mechanisms).unwrap_or("PLAIN");
        let (username, password) = (sasl.text("username"), sasl.secret("password"));
        Some(Sasl { mechanism, username: username?, password: password? })
    });
    let word = protocol.as_str();
    if has_ssl && !protocol.is_encrypted() {
        section.fault(
            "ssl",
            format!("has no effect with security_protocol {word}"),
            "set security_protocol to ssl or sasl_ssl",
        );
    }
    if has_sasl && !protocol.has_login() {
        section.fault(
            "sasl",
            format!("has no effect with security_protocol {word}"),
            "set security_protocol to sasl_ssl or sasl_plaintext",
        );
    }
    // Mechanisms without a password (OAUTHBEARER) are set up by properties alone.
    let by_properties = ["sasl.mechanism", "sasl.mechanisms"].iter().any(|name| properties.0.contains_key(*name));
    if !has_sasl && protocol.has_login() && !by_properties {
        section.fault(
            "sasl",
            format!("is missing for security_protocol {word}"),
            "give sasl with username and password_file",
        );
    }
    security
}

/// Properties that this software sets itself since its promises hang on them, each with the reason.
const REFUSED: [(&[&str], &str, &str); 7] = [
    (
        &["acks", "request.required.acks"],
        "is always `all`: an acknowledgement of fewer replicas can be lost",
        "remove it",
    ),
    (
        &["enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store"],
        "is always off: offsets follow the database's transaction",
        "remove it",
    ),
    (&["auto.offset.reset"], "is always `earliest`: otherwise records would be skipped", "remove it"),
    (&["delivery.report.only.error"], "is always off: only a delivery report frees a record", "remove it"),
    (&["bootstrap.servers", "metadata.broker.list"], "is an option of its own", "use kafka.bootstrap_servers"),
    (&["group.id"], "is an option of its own", "use kafka.group in the collector's file"),
    (
        &[
            "security.protocol",
            "ssl.ca.location",
            "ssl.certificate.location",
            "ssl.key.location",
            "ssl.key.password",
            "sasl.username",
            "sasl.password",
        ],
        "is an option of its own",
        "use kafka.security_protocol, kafka.ssl and kafka.sasl",
    ),
];

fn read_properties(section: &mut Section<'_>) -> Properties {
    let mut properties = BTreeMap::new();
    for name in section.names() {
        let refused = REFUSED.iter().find(|(names, ..)| names.contains(&name.as_str()));
        if let Some((_, problem, mend)) = refused {
            section.convert(&name, |_| Err::<(), _>(Wrong::new(*problem, *mend)));
            continue;
        }
        let value = section.convert(&name, |value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(_) | Value::Bool(_) => Ok(shown(value)),
            other => Err(Wrong::new(format!("{} stands where one value is expected", shown(other)), "write one value")),
        });
        properties.extend(value.map(|value| (name, value)));
    }
    Properties(properties)
}
