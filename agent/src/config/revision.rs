//! A short hash of what runs, so that people and the centre see whether two agents, or one before and after, run the
//! same. Secrets are not part of it: a hash of a short password gives it away.

use std::fmt::Write as _;

use super::Config;

/// The revision of a configuration.
pub(super) fn of(config: &Config) -> String {
    // Strings are written quoted, so that no two configurations are written alike.
    let mut text = format!("{:?} {:?} {} {:?}", config.agent.name, config.agent.labels, config.workers, config.outbox);
    let kafka = &config.kafka;
    let mut add = |part: &dyn std::fmt::Debug| write!(text, " {part:?}").expect("a String takes everything");
    add(&(&kafka.bootstrap_servers, &kafka.topic, kafka.create_topic, kafka.partitions, kafka.replication_factor));
    add(&(kafka.security.protocol, &kafka.properties, &config.log));
    for monitor in &config.monitors {
        add(&(&monitor.id, &monitor.name, monitor.url.as_str(), &monitor.target));
        add(&(&monitor.pattern, &monitor.expect, monitor.interval, monitor.timeout));
        add(&(monitor.follow_redirects, monitor.retries, monitor.max_body, &monitor.tags));
        add(&(&monitor.tls, monitor.ip));
    }
    let hash = openssl::sha::sha256(text.as_bytes());
    hash[..6].iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
