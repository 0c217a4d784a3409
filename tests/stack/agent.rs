//! An agent as a black box.

use std::ops::Deref;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::daemon::{Daemon, Settings};

/// The program's name.
pub const PROGRAM: &str = "website-monitor-agent";

/// An agent that is being configured.
#[must_use]
pub struct AgentSetup {
    settings: Settings,
    monitors: Vec<Value>,
}

impl AgentSetup {
    /// For a topic at a broker.
    pub fn new(bootstrap_servers: &str, topic: &str) -> AgentSetup {
        let kafka = json!({"bootstrap_servers": bootstrap_servers, "topic": topic});
        let settings = json!({"interval": 1, "agent": {"name": "edge-1"}, "kafka": kafka, "outbox": {"path": null}});
        AgentSetup { settings: Settings(settings), monitors: Vec::new() }
    }

    /// Its name; `edge-1` if not said.
    pub fn name(self, name: &str) -> AgentSetup {
        self.set("agent.name", name)
    }

    /// How often it checks, such as `200ms`; every second if not said.
    pub fn interval(self, interval: &str) -> AgentSetup {
        self.set("interval", interval)
    }

    /// Any option by its path, such as `outbox.max_size`.
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> AgentSetup {
        self.settings.set(path, value);
        self
    }

    /// One more monitor.
    pub fn monitor(mut self, name: &str, url: impl AsRef<str>) -> AgentSetup {
        self.monitors.push(json!({"name": name, "url": url.as_ref()}));
        self
    }

    /// The pattern of the last monitor.
    pub fn pattern(self, pattern: &str) -> AgentSetup {
        self.option("pattern", pattern)
    }

    /// An option of the last monitor.
    pub fn option(mut self, name: &str, value: impl Into<Value>) -> AgentSetup {
        if let Some(monitor) = self.monitors.last_mut() {
            monitor[name] = value.into();
        }
        self
    }

    /// The agent, not yet running. Its outbox is in its directory unless it was set.
    ///
    /// # Errors
    /// When its program isn't built.
    pub fn build(mut self) -> Result<Agent> {
        let directory = crate::directory::directory("agent")?;
        if self.settings.0["outbox"]["path"].is_null() {
            self.settings.set("outbox.path", directory.join("outbox").to_string_lossy());
        }
        self.settings.set("monitors", self.monitors);
        Ok(Agent { daemon: Daemon::new_in(PROGRAM, directory, &self.settings)?, settings: self.settings })
    }

    /// The agent, running.
    ///
    /// # Errors
    /// When its program isn't built.
    pub fn start(self) -> Result<Agent> {
        let agent = self.build()?;
        agent.start()?;
        Ok(agent)
    }
}

/// An agent. Like a [`Daemon`] it is started, killed, stopped.
pub struct Agent {
    daemon: Daemon,
    /// What it was configured with.
    pub settings: Settings,
}

impl Deref for Agent {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl Agent {
    /// What `outbox status` says, beside the running agent or after its death.
    ///
    /// # Errors
    /// When the command fails.
    pub fn outbox_status(&self) -> Result<OutboxStatus> {
        let ended = self.command(&["outbox", "status", "--format", "json"])?;
        ensure!(ended.status.success(), "outbox status: {}{}", ended.stdout, ended.stderr);
        serde_json::from_str(&ended.stdout).with_context(|| format!("not the expected status: {}", ended.stdout))
    }
}

/// How an outbox stands.
#[derive(Clone, Debug, Deserialize)]
pub struct OutboxStatus {
    /// The last epoch.
    pub epoch: Option<Uuid>,
    /// Its highest number.
    pub highest_seq: u64,
    /// Records ever appended, over all epochs.
    pub position: u64,
    /// Records that Kafka has.
    pub acknowledged_position: u64,
    /// Records that wait.
    pub pending: u64,
    /// Results that a killed agent left in its journal.
    pub in_journal: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Numbers that were given up.
    pub dropped: u64,
}
