//! Gives an agent a small disk of its own. The disk is a tmpfs in a mount namespace that ends with the agent, so no
//! other process sees it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::agent::Agent;
use e2e::filler::{FILLER, fill};
use e2e::process::Process;
use serde_json::Value;

const BOUND: Duration = Duration::from_secs(60);
const MOUNT: &str = "mount -t tmpfs -o size=24m,mode=700 tmpfs \"$1\" && shift && exec \"$@\"";

pub(super) struct SmallDisk {
    /// The directory at which the disk is mounted.
    at: PathBuf,
}

impl SmallDisk {
    /// Tries to mount the disk. Returns an error where nothing may be mounted.
    pub(super) fn try_new(agent: &Agent) -> Result<SmallDisk> {
        let at = agent.directory().join("disk");
        fs::create_dir(&at)?;
        let disk = SmallDisk { at };
        let tried = Process::run("mount", disk.mounted_for(Command::new("true"))?, BOUND)?;
        ensure!(tried.status.success(), "{}", tried.stderr.trim());
        let mut settings = agent.settings.clone();
        settings.set("outbox.path", disk.at.join("outbox").to_string_lossy());
        agent.configure(&settings)?;
        Ok(disk)
    }

    /// Returns the command that mounts the disk and then runs this command. The process id stays the same, because each
    /// program in between replaces itself by the next one.
    pub(super) fn mounted_for(&self, command: Command) -> Result<Command> {
        let mut mounted = ground::privately(MOUNT).map_err(anyhow::Error::msg)?;
        mounted.arg(&self.at).arg(command.get_program()).args(command.get_args());
        Ok(mounted)
    }

    /// Takes all the space that is left on the disk.
    pub(super) fn fill(&self, agent: &Agent) -> Result<()> {
        fill(&self.seen_by(agent)?)
    }

    pub(super) fn make_room(&self, agent: &Agent) -> Result<()> {
        Ok(fs::remove_file(self.seen_by(agent)?.join(FILLER))?)
    }

    /// Reads the status that the running agent writes for other processes.
    pub(super) fn status(&self, agent: &Agent) -> Result<Value> {
        let text = fs::read(self.seen_by(agent)?.join("outbox/status.json"))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Returns the path through which the test reaches the disk that the agent sees.
    fn seen_by(&self, agent: &Agent) -> Result<PathBuf> {
        let id = agent.id().context("it does not run")?;
        Ok(PathBuf::from(format!("/proc/{id}/root")).join(self.at.strip_prefix("/")?))
    }
}
