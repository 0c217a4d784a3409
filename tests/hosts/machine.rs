//! A booted Debian: a copy of the one that is kept, run by systemd-nspawn.
//!
//! It shares this machine's network, so that it reaches the servers of the stack at 127.0.0.1. Its packages come from
//! where debootstrap took its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::directory::directory;
use e2e::eventually::within;
use e2e::process::{Finished, Process, Signal};
use rustix::process::{Pid, kill_process};

use crate::debian::{debian, run};

const BOUND: Duration = Duration::from_secs(600);

/// A running machine. It ends when dropped.
pub(crate) struct Machine {
    root: PathBuf,
    nspawn: Process,
    init: Pid,
}

impl Machine {
    /// A new one, booted.
    pub(crate) fn boot() -> Result<Machine> {
        let kept = directory("machine")?;
        let root = kept.join("root");
        run("cp", &["-a", "--reflink=auto"], [&debian("base", &["systemd", "systemd-sysv", "dbus"])?, &root])?;
        fs::write(root.join("etc/hostname"), "edge-1\n")?;
        let mut nspawn = Command::new("systemd-nspawn");
        nspawn.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1").arg("-D").arg(&root).args([
            "-q",
            "-b",
            "--register=no",
            "--keep-unit",
            "--hostname=edge-1",
            "--resolv-conf=replace-host",
            "--capability=all",
            "--system-call-filter=bpf",
        ]);
        let nspawn = Process::start_with("nspawn", &kept, nspawn, Signal::TERM)?;
        let init = within(BOUND, "the machine has a first process", || {
            ensure!(nspawn.is_running(), "{}", nspawn.tail());
            child_of(nspawn.id())
        })?;
        let mut machine = Machine { root, nspawn, init };
        within(BOUND, "the machine is up", || {
            // Looked for again: the first child that is seen need not be the machine's first process, and ends.
            machine.init = child_of(machine.nspawn.id())?;
            let state = machine.run(&["systemctl", "is-system-running"])?;
            ensure!(["running\n", "degraded\n"].contains(&&*state.stdout), "{}{}", state.stdout, machine.nspawn.tail());
            Ok(())
        })?;
        Ok(machine)
    }

    /// A path of the machine, seen from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// Writes a file of root's.
    pub(crate) fn write(&self, inside: &str, content: impl AsRef<[u8]>) -> Result<()> {
        fs::write(self.path(inside), content).with_context(|| format!("cannot write {inside}"))
    }

    /// The words before a command that is run inside.
    pub(crate) fn entrance(&self) -> Vec<String> {
        let namespaces = format!("nsenter -t {} -m -u -i -n -p --", self.init.as_raw_nonzero());
        let environment = "env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive";
        [&*namespaces, environment].iter().flat_map(|words| words.split(' ')).map(str::to_owned).collect()
    }

    /// Runs a command to its end, however it ends.
    pub(crate) fn run(&self, command: &[&str]) -> Result<Finished> {
        let entrance = self.entrance();
        let mut enter = Command::new(&entrance[0]);
        enter.args(&entrance[1..]).args(command);
        Process::run("inside", enter, BOUND)
    }

    /// Runs a command that has to succeed; what it said.
    pub(crate) fn ok(&self, command: &[&str]) -> Result<String> {
        let ended = self.run(command)?;
        ensure!(ended.status.success(), "{command:?}: {}{}", ended.stdout, ended.stderr);
        Ok(ended.stdout + &ended.stderr)
    }

    /// A property of a unit.
    pub(crate) fn property(&self, unit: &str, property: &str) -> Result<String> {
        Ok(self.ok(&["systemctl", "show", "--value", "-p", property, unit])?.trim().to_owned())
    }

    /// What a unit has logged.
    pub(crate) fn journal(&self, unit: &str) -> Result<String> {
        self.ok(&["journalctl", "--no-pager", "-o", "cat", "-u", unit])
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The end of its first process is that of all others.
        kill_process(self.init, Signal::KILL).ok();
        self.nspawn.wait(BOUND).ok();
    }
}

fn child_of(parent: u32) -> Result<Pid> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
    let first = children.split_whitespace().next().context("no child yet")?;
    Pid::from_raw(first.parse()?).context("no process id")
}
