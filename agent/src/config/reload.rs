//! A configuration that is read while the agent runs: what of the running one stays.
//!
//! - What parts were started with (the agent's name, outbox, kafka, log) stays until a restart.
//! - A monitor whose entry was sound and is faulty now stays as it was: a slip of the pen must not end its watch. It is
//!   known by the `id`, else the `name`, else the `url` of the entry, as long as that still stands there.
//!
//! The revision is that of what runs, not of what stands in the file.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use settings::{Kafka, Log};

use super::{Config, Monitor, OutboxConfig, revision};

/// What an agent can't change while it runs.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// The agent's name.
    pub agent: String,
    /// Where results wait.
    pub outbox: OutboxConfig,
    /// Where they go.
    pub kafka: Kafka,
    /// Where it can be asked how it fares.
    pub http: Option<SocketAddr>,
    /// What is said on stderr, and how.
    pub log: Log,
}

/// What stays, against the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Options that another value stands for in the file.
    pub options: Vec<String>,
    /// Monitors, by id, whose entries in the file are faulty.
    pub monitors: Vec<String>,
}

impl Config {
    /// What can't change from now on.
    pub fn fixed(&self) -> Fixed {
        let (outbox, kafka) = (self.outbox.clone(), self.kafka.clone());
        Fixed { agent: self.agent.name.clone(), outbox, kafka, http: self.http, log: self.log }
    }

    /// Keeps of what runs what this configuration can't change, or has no sound entry for.
    pub fn keep(&mut self, fixed: &Fixed, running: &[Arc<Monitor>]) -> Kept {
        let options = differences(fixed, &self.fixed());
        let Fixed { agent, outbox, kafka, http, log } = fixed.clone();
        (self.agent.name, self.outbox, self.kafka, self.http, self.log) = (agent, outbox, kafka, http, log);
        let monitors = self.keep_monitors(running);
        self.revision = revision::of(self);
        Kept { options, monitors }
    }

    fn keep_monitors(&mut self, running: &[Arc<Monitor>]) -> Vec<String> {
        let sound: HashSet<&str> = self.monitors.iter().map(|monitor| monitor.id.as_str()).collect();
        let lost = |monitor: &&Arc<Monitor>| !sound.contains(monitor.id.as_str()) && self.skipped.contains(&monitor.id);
        let kept: Vec<Monitor> = running.iter().filter(lost).map(|monitor| Monitor::clone(monitor)).collect();
        let ids = kept.iter().map(|monitor| monitor.id.clone()).collect();
        self.monitors.extend(kept);
        ids
    }
}

/// The options in which they differ, as they are called in the file.
fn differences(old: &Fixed, new: &Fixed) -> Vec<String> {
    let (outbox, kafka) = ((&old.outbox, &new.outbox), (&old.kafka, &new.kafka));
    let plain = [
        ("agent.name", old.agent != new.agent),
        ("outbox.path", outbox.0.path != outbox.1.path),
        ("outbox.max_size", outbox.0.max_size != outbox.1.max_size),
        ("outbox.when_full", outbox.0.when_full != outbox.1.when_full),
        ("outbox.sync", outbox.0.sync != outbox.1.sync),
        ("kafka.topic", kafka.0.topic != kafka.1.topic),
        ("kafka.create_topic", kafka.0.create_topic != kafka.1.create_topic),
        ("kafka.partitions", kafka.0.partitions != kafka.1.partitions),
        ("kafka.replication_factor", kafka.0.replication_factor != kafka.1.replication_factor),
        ("http.listen", old.http != new.http),
        ("log.level", old.log.level != new.log.level),
        ("log.format", old.log.format != new.log.format),
    ];
    let plain = plain.into_iter().filter(|(_, differs)| *differs).map(|(option, _)| option.to_owned());
    plain.chain(property_differences(&kafka.0.client_properties(), &kafka.1.client_properties())).collect()
}

fn property_differences(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let names: HashSet<&String> = old.keys().chain(new.keys()).collect();
    let mut options: Vec<String> =
        names.into_iter().filter(|name| old.get(*name) != new.get(*name)).map(|name| option_of(name)).collect();
    options.sort_unstable();
    options
}

/// The option that sets a property of librdkafka.
fn option_of(property: &str) -> String {
    let option = match property {
        "bootstrap.servers" => "bootstrap_servers",
        "security.protocol" => "security_protocol",
        "ssl.ca.location" => "ssl.ca_file",
        "ssl.certificate.location" => "ssl.certificate_file",
        "ssl.key.location" => "ssl.key_file",
        "ssl.key.password" => "ssl.key_password",
        "sasl.mechanism" | "sasl.username" | "sasl.password" => property,
        other => return format!("kafka.properties.{other}"),
    };
    format!("kafka.{option}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.yaml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path).unwrap()
    }

    fn running(config: &Config) -> Vec<Arc<Monitor>> {
        config.monitors.iter().cloned().map(Arc::new).collect()
    }

    fn ids(config: &Config) -> Vec<&str> {
        config.monitors.iter().map(|monitor| monitor.id.as_str()).collect()
    }

    #[test]
    fn what_needs_a_restart_is_named_by_option_and_stays() {
        let old = config("interval: 5\nmonitors: []\nkafka: {topic: a}\noutbox: {path: /one}\n");
        let text = "interval: 5\nmonitors: []\nagent: {name: other, labels: {a: b}}\nworkers: 3\nlog: {level: debug}\n\
                    outbox: {path: /two, max_size: 16MiB, when_full: pause, sync: always}\n\
                    kafka: {bootstrap_servers: 'b:1', topic: b, partitions: 9, security_protocol: sasl_ssl, \
                    sasl: {username: u, password: s3cret}, properties: {linger.ms: 7}}\n";
        let mut new = config(text);
        let in_the_file = new.revision.clone();
        let kept = new.keep(&old.fixed(), &[]);
        assert_eq!(
            kept.options,
            [
                "agent.name",
                "outbox.path",
                "outbox.max_size",
                "outbox.when_full",
                "outbox.sync",
                "kafka.topic",
                "kafka.partitions",
                "log.level",
                "kafka.bootstrap_servers",
                "kafka.properties.linger.ms",
                "kafka.sasl.mechanism",
                "kafka.sasl.password",
                "kafka.sasl.username",
                "kafka.security_protocol",
            ]
        );
        assert_eq!((new.workers, new.agent.labels.len()), (3, 1), "these change at once");
        assert_eq!((new.kafka.topic.as_str(), new.outbox.path.as_path()), ("a", Path::new("/one")));
        assert_ne!(new.revision, in_the_file);
        assert_eq!(new.keep(&old.fixed(), &[]), Kept::default());
    }

    #[test]
    fn an_unchanged_file_is_an_unchanged_revision() {
        let text = "interval: 5\nmonitors: [{url: 'http://a/'}]\n";
        let (old, mut new) = (config(text), config(text));
        assert_eq!(new.keep(&old.fixed(), &running(&old)), Kept::default());
        assert_eq!(new.revision, old.revision);
    }

    #[test]
    fn a_monitor_whose_entry_became_faulty_stays_and_one_that_was_removed_goes() {
        let old = config(
            "interval: 5\nmonitors:\n- {name: shop, url: 'http://a/'}\n- {id: x, url: 'http://b/'}\n\
             - {url: 'http://user@c/'}\n- {name: gone, url: 'http://d/'}\n- {name: wrong, url: 'http://e/'}\n",
        );
        let mut new = config(
            "interval: 5\nmonitors:\n- {name: shop, url: nonsense}\n- {id: x, url: 'http://b/', pattern: '('}\n\
             - {url: 'http://user@c/', timeout: soon}\n- {name: wrnog, url: nonsense}\n- {name: new, url: 'http://f/'}\n",
        );
        let kept = new.keep(&old.fixed(), &running(&old));
        assert_eq!(kept.monitors, ["shop", "x", "http://c/"]);
        assert_eq!(ids(&new), ["new", "shop", "x", "http://c/"]);
        assert_eq!(new.monitors[1].url.as_str(), "http://a/");
        assert_eq!(new.faults.len(), 4);
    }
}
