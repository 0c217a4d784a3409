//! `packaging/fleet/roll-out` on a booted machine, which stands for each host of a fleet. In place of ssh a command of
//! the same name enters the machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::directory::directory;
use e2e::eventually::within;
use e2e::process::{Finished, Process};

use crate::debian::run;
use crate::host::AGENT;
use crate::machine::Machine;
use crate::packages::{LATER, bring};

const BOUND: Duration = Duration::from_secs(600);

#[test]
#[ignore = "boots a machine, as root: ./dev test-hosts"]
fn a_fleet_takes_what_is_sound_and_goes_on_without_what_is_not() -> Result<()> {
    let fleet = Fleet::new()?;
    fleet.takes("agent.deb", "1 monitor; ")?;
    let first = fleet.process()?;

    let again = fleet.roll_out("agent.deb")?;
    ensure!(again.status.success() && again.stdout.contains("as it should be"), "{}{}", again.stdout, again.stderr);
    ensure!(fleet.process()? == first, "it was restarted for nothing");

    fleet.monitor("- {name: new, url: \"http://127.0.0.1:1/\", interval: never}\n")?;
    let faulty = fleet.roll_out("agent.deb")?;
    ensure!(faulty.code() == Some(1) && faulty.stdout.contains("interval"), "{}{}", faulty.stdout, faulty.stderr);
    ensure!(fleet.process()? == first, "it was restarted with a fault");
    ensure!(!fleet.machine.path("/etc/website-monitor/monitors.d/new.yaml").exists(), "the fault is in place");
    ensure!(!fleet.machine.path("/etc/website-monitor.new").exists(), "files are left over");

    fleet.monitor("- {name: new, url: \"http://127.0.0.1:1/\"}\n")?;
    fleet.takes("agent-later.deb", "2 monitors; ")?;
    let version = fleet.machine.ok(&["dpkg-query", "-W", "-f", "${Version}", AGENT])?;
    ensure!(version == LATER, "{version} is installed");
    Ok(())
}

struct Fleet {
    machine: Machine,
    files: PathBuf,
    /// Where the command `ssh` is.
    path: PathBuf,
}

impl Fleet {
    /// The example as it is, with one host: its name, a variable, a secret.
    fn new() -> Result<Fleet> {
        let machine = Machine::boot()?;
        bring(&machine)?;
        let (files, path) = (directory("fleet")?.join("files"), directory("path")?);
        run("cp", &["-R"], [&example(), &files])?;
        fs::remove_dir_all(files.join("hosts"))?;
        let credentials = files.join("hosts/edge-1/agent-credentials");
        fs::create_dir_all(&credentials)?;
        fs::write(credentials.join("kafka-password"), "s3cret")?;
        fs::write(files.join("hosts/edge-1/default"), "SITE=north\n")?;
        let ssh = path.join("ssh");
        let inside = machine.entrance().join(" ");
        fs::write(&ssh, format!("#!/bin/sh\nshift 3\nexec {inside} sh -c \"$*\"\n"))?;
        fs::set_permissions(&ssh, Permissions::from_mode(0o755))?;
        Ok(Fleet { machine, files, path })
    }

    fn roll_out(&self, package: &str) -> Result<Finished> {
        let mut command = Command::new(example().join("roll-out"));
        command.arg(self.machine.path(&format!("/root/{package}"))).arg(&self.files);
        command.env("PATH", format!("{}:{}", self.path.display(), std::env::var("PATH")?));
        Process::run("roll-out", command, BOUND)
    }

    /// Rolls out what has to be taken, under the host's name, with its variables and its secret.
    fn takes(&self, package: &str, status: &str) -> Result<()> {
        let ended = self.roll_out(package)?;
        let said = &ended.stdout;
        ensure!(ended.status.success() && said.contains("no faults"), "{said}{}", ended.stderr);
        ensure!(said.lines().any(|line| line.starts_with("agent ") && line.contains(" edge-1 ")), "{said}");
        within(BOUND, "the agent runs with what it was brought", || {
            let state = self.machine.property(AGENT, "ActiveState")?;
            let seen = self.machine.property(AGENT, "StatusText")?;
            ensure!(state == "active" && seen.contains(status), "{state}: {seen}\n{}", self.machine.journal(AGENT)?);
            Ok(())
        })?;
        let secret = self.machine.path("/etc/website-monitor/agent-credentials/kafka-password");
        ensure!(fs::metadata(secret)?.permissions().mode() & 0o777 == 0o600, "others may read the secret");
        Ok(())
    }

    fn monitor(&self, list: &str) -> Result<()> {
        Ok(fs::write(self.files.join("monitors.d/new.yaml"), list)?)
    }

    fn process(&self) -> Result<String> {
        self.machine.property(AGENT, "MainPID")
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/fleet")
}
