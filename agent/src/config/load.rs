//! From a file to a checked configuration, or to everything that is wrong with it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::Value;
use settings::{Fault, Kafka, Log, Section};

use super::known::Known;
use super::monitor::pattern::Pattern;
use super::monitor::tls::TlsFiles;
use super::monitor::{Common, Draft, INTERVAL, Options};
use super::{Config, Identity, OutboxConfig, Sync, WhenFull, ids, include, lines, revision};

const LEAST_OUTBOX: u64 = 16 << 20;
const MOST_WORKERS: u64 = 4096;

/// A file that nothing can run on, with all of its faults, those of single entries included.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Refused {
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// The options of the main file, but for the entries, which are read one by one.
pub(super) struct Root {
    agent: Identity,
    common: Common,
    entries: Vec<Value>,
    included: Vec<PathBuf>,
    workers: usize,
    outbox: OutboxConfig,
    kafka: Kafka,
    http: Option<SocketAddr>,
    log: Log,
}

impl Config {
    /// Reads the file at `path` and those that it includes. Entries that are wrong are skipped and stand in `faults`.
    ///
    /// # Errors
    /// [`Refused`] when something outside of the entries is wrong.
    pub fn load(path: &Path) -> Result<Config, Refused> {
        Config::load_after(path, None)
    }

    /// The same, after these monitors ran; else after those that the outbox's directory tells.
    ///
    /// # Errors
    /// [`Refused`] when something outside of the entries is wrong.
    pub fn load_after(path: &Path, known: Option<Known>) -> Result<Config, Refused> {
        let value = settings::read(path).map_err(|fault| Refused { faults: vec![*fault] })?;
        let (root, mut refusals) = Section::read(path, None, value, read_root);
        let mut lists = vec![(path.to_path_buf(), root.entries)];
        for file in root.included {
            let entries = include::entries(&file, &mut refusals);
            lists.push((file, entries));
        }
        let (mut drafts, mut faults, mut skipped) = (Vec::new(), Vec::new(), HashSet::new());
        for (file, entries) in lists {
            for (index, value) in entries.into_iter().enumerate() {
                let apparent = ids::apparent(&value);
                match Draft::read(&file, index + 1, value, &root.common) {
                    Ok(draft) => drafts.push(draft),
                    Err(wrong) => {
                        faults.extend(wrong);
                        skipped.extend(apparent);
                    }
                }
            }
        }
        let known = known.or_else(|| Known::read(&root.outbox.path)).unwrap_or_default();
        let monitors = ids::assign(drafts, &known, &mut faults);
        let changes = known.changes(&monitors, &skipped);
        if !refusals.is_empty() {
            refusals.append(&mut faults);
            lines::add(&mut refusals);
            return Err(Refused { faults: refusals });
        }
        lines::add(&mut faults);
        let mut config = Config {
            file: path.to_path_buf(),
            agent: root.agent,
            monitors,
            workers: root.workers,
            outbox: root.outbox,
            kafka: root.kafka,
            http: root.http,
            log: root.log,
            faults,
            skipped,
            changes,
            revision: String::new(),
        };
        config.revision = revision::of(&config);
        Ok(config)
    }
}

pub(super) fn read_root(root: &mut Section<'_>) -> Root {
    root.require("interval", "say how often to check, such as `interval: 30`");
    if !root.has("include") {
        root.require("monitors", "list what to check, such as `monitors: [{url: \"https://example.org/\"}]`");
    }
    let defaults = root.section("defaults", Options::read);
    let tls_files = TlsFiles::new();
    let common = Common {
        // Where it is wrong nothing runs, but the entries are still read for their own faults.
        interval: root.duration("interval", INTERVAL).unwrap_or(Duration::from_secs(30)),
        url_regex: root.parse("url_regex", Pattern::compile),
        default_tls: tls_files.load(&defaults.tls, root, "defaults.tls"),
        tls_files,
        defaults,
    };
    Root {
        agent: root.section("agent", read_agent),
        common,
        entries: root.list("monitors").unwrap_or_default(),
        included: include::files(root),
        workers: root.integer("workers", 1..=MOST_WORKERS).unwrap_or(64),
        outbox: root.section("outbox", read_outbox),
        kafka: root.section("kafka", Kafka::of_agent),
        http: root.section("http", |http| settings::listen(http, None)),
        log: root.section("log", Log::of),
    }
}

fn read_agent(agent: &mut Section<'_>) -> Identity {
    Identity {
        name: agent.text_within("name", wire::limits::AGENT).unwrap_or_else(settings::host_name),
        labels: agent.texts("labels", wire::limits::ENTRIES, wire::limits::TEXT),
    }
}

fn read_outbox(outbox: &mut Section<'_>) -> OutboxConfig {
    let policies = [WhenFull::DropOldest, WhenFull::Pause].map(|policy| (policy.as_str(), policy));
    let syncs = [Sync::Interval, Sync::Always].map(|sync| (sync.as_str(), sync));
    let path = outbox.path("path").unwrap_or_else(|| PathBuf::from("/var/lib/website-monitor/outbox"));
    let usual = OutboxConfig::at(path);
    OutboxConfig {
        max_size: outbox.size("max_size", LEAST_OUTBOX..=i64::MAX as u64).unwrap_or(usual.max_size),
        when_full: outbox.choice("when_full", &policies).unwrap_or(usual.when_full),
        sync: outbox.choice("sync", &syncs).unwrap_or(usual.sync),
        path: usual.path,
    }
}
