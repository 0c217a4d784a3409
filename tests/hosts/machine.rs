//! A booted Debian 12: debootstrapped once and kept, copied for each test, run by systemd-nspawn.
//!
//! It shares this machine's network, so that it reaches the servers of the stack at 127.0.0.1, and the distribution's
//! archive as this machine does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::directory::directory;
use e2e::eventually::within;
use e2e::process::{Finished, Process, Signal};
use rustix::process::{Pid, kill_process};

const RELEASE: &str = "bookworm";
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
        run("cp", &["-a", "--reflink=auto"], [&base()?, &root])?;
        for file in ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"] {
            if Path::new(file).exists() {
                fs::copy(file, root.join(&file[1..]))?;
            }
        }
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
        let machine = Machine { root, nspawn, init };
        within(BOUND, "the machine is up", || {
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

    /// Runs a command to its end, however it ends.
    pub(crate) fn run(&self, command: &[&str]) -> Result<Finished> {
        let mut enter = Command::new("nsenter");
        enter.args(["-t", &self.init.as_raw_nonzero().to_string(), "-m", "-u", "-i", "-n", "-p", "--"]);
        enter.args([
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
            "DEBIAN_FRONTEND=noninteractive",
        ]);
        enter.args(command);
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

/// The system as it comes, made once.
fn base() -> Result<PathBuf> {
    let base = target()?.join("hosts/base");
    if !base.exists() {
        eprintln!("debootstrapping {RELEASE}, once");
        let new = base.with_extension("new");
        fs::remove_dir_all(&new).ok();
        fs::create_dir_all(&new)?;
        let options = ["--variant=minbase", "--include=systemd,systemd-sysv,dbus", RELEASE];
        run("debootstrap", &options, [&new])?;
        fs::rename(new, &base)?;
    }
    Ok(base)
}

/// Where packages and what is kept are: the build's directory.
pub(crate) fn target() -> Result<PathBuf> {
    let ourselves = std::env::current_exe()?;
    Ok(ourselves.ancestors().nth(3).context("a test lies in target/debug/deps")?.to_owned())
}

fn run<const N: usize>(program: &str, options: &[&str], paths: [&PathBuf; N]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(options).args(paths);
    let ended = Process::run("outside", command, BOUND)?;
    ensure!(ended.status.success(), "{program}: {}{}", ended.stdout, ended.stderr);
    Ok(())
}

fn child_of(parent: u32) -> Result<Pid> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
    let first = children.split_whitespace().next().context("no child yet")?;
    Pid::from_raw(first.parse()?).context("no process id")
}
