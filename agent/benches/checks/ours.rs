//! The check engine, fed with a monitor of a configuration.

use std::fs;
use std::path::Path;
use std::process::Command;

use agent::check::Checker;
use agent::config::Config;
use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde_json::json;
use wire::Outcome;

use crate::process;
use crate::site::{Site, Target};

const TASK: &str = "ours";

pub(crate) fn command(directory: &Path, site: &Site, target: &Target) -> Result<Command> {
    let path = directory.join("agent.yaml");
    let monitor = json!({"name": "site", "url": target.url, "pattern": "Welcome"});
    // JSON is YAML.
    fs::write(&path, json!({"interval": 1, "monitors": [monitor]}).to_string())?;
    let mut command = process::myself(TASK)?;
    command.env("CONFIG", path).env("SSL_CERT_FILE", &site.roots).env("CHECKS", target.cheap.to_string());
    Ok(command)
}

pub(crate) fn child() -> Result<()> {
    let config = Config::load(Path::new(&std::env::var("CONFIG")?))?;
    let checker = Checker::new()?;
    let monitor = &config.monitors[0];
    process::repeat(std::env::var("CHECKS")?.parse()?, || {
        let result = checker.check(monitor, Timestamp::now());
        ensure!(result.outcome == Outcome::Success, "{result:?}");
        Ok(())
    })
}
