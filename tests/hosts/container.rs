//! A container of one of the images, as closed as docs/operating.md runs it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::eventually::within;
use serde_json::Value;

use crate::engine::Engine;

/// Health is looked at each second, and a busy machine is slow.
const BOUND: Duration = Duration::from_secs(120);

pub(crate) struct Container<'e> {
    engine: &'e Engine,
    id: String,
}

impl<'e> Container<'e> {
    /// Runs an image with these options. The network is this machine's, where the servers of the stack are.
    pub(crate) fn run(engine: &'e Engine, image: &str, options: &[&str]) -> Result<Container<'e>> {
        let closed = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host"];
        let often = ["--health-interval", "1s", "--health-timeout", "3s", "--health-retries", "2"];
        let id = engine.ok(&[&["run", "--detach"], &closed[..], &often, options, &[image]].concat())?;
        Ok(Container { engine, id })
    }

    /// Runs a command inside that has to succeed; what it said.
    pub(crate) fn exec(&self, command: &[&str]) -> Result<String> {
        self.engine.ok(&[&["exec", &*self.id], command].concat())
    }

    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        self.engine.ok(&["kill", "--signal", signal, &self.id]).map(drop)
    }

    /// SIGTERM, and SIGKILL ten seconds later; the exit code tells which of them ended it.
    pub(crate) fn stop(self) -> Result<i64> {
        self.engine.ok(&["stop", "--time", "10", &self.id])?;
        let code = self.state("ExitCode")?.as_i64().context("no exit code")?;
        self.remove()?;
        Ok(code)
    }

    /// SIGKILL.
    pub(crate) fn kill(self) -> Result<()> {
        self.signal("KILL")?;
        self.engine.ok(&["wait", &self.id])?;
        self.remove()
    }

    pub(crate) fn await_health(&self, health: &str) -> Result<()> {
        within(BOUND, &format!("it is {health}"), || {
            let seen = self.state("Health")?;
            ensure!(seen["Status"] == health, "{seen:#}\n{}", self.log()?);
            Ok(())
        })
    }

    /// A field of how the engine sees it.
    pub(crate) fn state(&self, field: &str) -> Result<Value> {
        let state = self.engine.ok(&["inspect", "--format", "{{json .State}}", &self.id])?;
        Ok(serde_json::from_str::<Value>(&state)?[field].take())
    }

    fn log(&self) -> Result<String> {
        Ok(self.engine.run(&["logs", "--tail", "40", &self.id])?.stderr)
    }

    fn remove(self) -> Result<()> {
        self.engine.ok(&["rm", &self.id]).map(drop)
    }
}
