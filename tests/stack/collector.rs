//! A collector as a black box.

use std::fs;
use std::ops::Deref;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::daemon::{Daemon, Settings};
use crate::ports::free_port;
use crate::postgres::Database;

/// The program's name.
pub const PROGRAM: &str = "website-monitor-collector";

/// A collector that is being configured.
#[must_use]
pub struct CollectorSetup {
    settings: Settings,
    password: String,
}

impl CollectorSetup {
    /// For a topic at a broker, and a database.
    pub fn new(bootstrap_servers: &str, topic: &str, group: &str, database: &Database) -> CollectorSetup {
        let settings = json!({
            "kafka": {
                "bootstrap_servers": bootstrap_servers,
                "topic": topic,
                "group": group,
                // How long the partitions of one that was killed wait for an heir.
                "properties": {"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"},
            },
            "database": {
                "host": "127.0.0.1",
                "port": database.proxy.port(),
                "name": database.name(),
                "user": database.user(),
            },
            // Many run at once: a test that asks over HTTP names a port.
            "http": {"listen": "none"},
        });
        CollectorSetup { settings: Settings(settings), password: database.password().into() }
    }

    /// Its consumer group.
    pub fn group(self, group: &str) -> CollectorSetup {
        self.set("kafka.group", group)
    }

    /// Its database by a url, in place of parts.
    pub fn at(mut self, url: &str) -> CollectorSetup {
        self.settings.0["database"] = json!({"url": url});
        self.password.clear();
        self
    }

    /// Any option by its path, such as `batch.max_wait`. A librdkafka property has dots of its own: set the whole
    /// `kafka.properties`.
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> CollectorSetup {
        self.settings.set(path, value);
        self
    }

    /// Has it show pages, at a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn with_pages(self) -> Result<CollectorSetup> {
        Ok(self.set("http.listen", format!("127.0.0.1:{}", free_port()?)))
    }

    /// The collector, not yet running.
    ///
    /// # Errors
    /// When its program isn't built.
    pub fn build(mut self) -> Result<Collector> {
        let directory = crate::directory::directory("collector")?;
        let password = directory.join("password");
        fs::write(&password, &self.password)?;
        if !self.password.is_empty() {
            self.settings.set("database.password_file", password.to_string_lossy());
        }
        let group = self.settings.0["kafka"]["group"].as_str().unwrap_or_default().to_owned();
        Ok(Collector { daemon: Daemon::new_in(PROGRAM, directory, &self.settings)?, group })
    }

    /// The collector, running.
    ///
    /// # Errors
    /// When its program isn't built.
    pub fn start(self) -> Result<Collector> {
        let collector = self.build()?;
        collector.start()?;
        Ok(collector)
    }
}

/// A collector. Like a [`Daemon`] it is started, killed, stopped.
pub struct Collector {
    daemon: Daemon,
    /// Its consumer group.
    pub group: String,
}

impl Deref for Collector {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl Collector {
    /// What `verify` proves.
    ///
    /// # Errors
    /// When the command gives no verdict.
    pub fn verify(&self) -> Result<Verification> {
        let ended = self.command(&["verify", "--format", "json"])?;
        let read = || -> Result<Verification> {
            let mut epochs: Vec<Verdict> = ended.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            let total = epochs.pop().filter(|last| last.total).context("the last line is not the total")?;
            Ok(Verification { code: ended.code(), epochs, total })
        };
        read().with_context(|| format!("verify: {:?} {}{}", ended.code(), ended.stdout, ended.stderr))
    }

    /// The table that `verify` prints for people.
    ///
    /// # Errors
    /// When the command can't be run.
    pub fn verify_table(&self) -> Result<String> {
        Ok(self.command(&["verify"])?.stdout)
    }
}

/// What `verify` said.
#[derive(Clone, Debug)]
pub struct Verification {
    /// 0 when nothing is missing, 1 when something is.
    pub code: Option<i32>,
    /// Epoch by epoch.
    pub epochs: Vec<Verdict>,
    /// The sums.
    pub total: Verdict,
}

/// How the numbers of an epoch, or of all, are accounted for.
#[derive(Clone, Debug, Deserialize)]
pub struct Verdict {
    /// Whether these are the sums.
    #[serde(default)]
    pub total: bool,
    /// The epoch.
    #[serde(default)]
    pub epoch: String,
    /// Its agent.
    #[serde(default)]
    pub agent: String,
    /// Whether its end is known.
    #[serde(default)]
    pub closed: bool,
    /// Numbers that were given out.
    pub issued: u64,
    /// Records that are in the tables.
    pub stored: u64,
    /// Numbers that the agent declared dropped.
    pub dropped: u64,
    /// Messages that were set aside.
    pub rejected: u64,
    /// Numbers that wait in the agent's outbox.
    pub pending: u64,
    /// Numbers of which nothing is known.
    pub missing: u64,
    /// Which.
    #[serde(default)]
    pub missing_ranges: Value,
    /// Those of them that were in an outbox with which their agent no longer runs.
    pub given_up: u64,
}
