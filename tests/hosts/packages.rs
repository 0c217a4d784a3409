//! The packages that `./dev package` made, and a later version of them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::directory::directory;
use e2e::process::Process;

use crate::debian::target;
use crate::machine::Machine;

/// The version that the second packages say they are.
pub(crate) const LATER: &str = "99.0-1";

const BOUND: Duration = Duration::from_secs(120);

/// Puts the packages into the machine: `/root/agent.deb`, `/root/collector.deb`, and `-later` of both.
pub(crate) fn bring(machine: &Machine) -> Result<()> {
    for name in ["agent", "collector"] {
        fs::copy(newest(name)?, machine.path(&format!("/root/{name}.deb")))?;
        make_later(machine, name)?;
    }
    Ok(())
}

/// The program of a package.
pub(crate) fn program(name: &str, to: &Path) -> Result<()> {
    let tree = directory("package")?;
    dpkg_deb(&["-x".as_ref(), &newest(name)?, &tree])?;
    fs::rename(tree.join(format!("usr/bin/website-monitor-{name}")), to)?;
    Ok(())
}

/// The same programs, another version, another default configuration.
fn make_later(machine: &Machine, name: &str) -> Result<()> {
    let tree = machine.path(&format!("/root/{name}-later"));
    dpkg_deb(&["-R".as_ref(), &machine.path(&format!("/root/{name}.deb")), &tree])?;
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control)?;
    let lines = text.lines().map(|line| match line.strip_prefix("Version: ") {
        Some(_) => format!("Version: {LATER}\n"),
        None => format!("{line}\n"),
    });
    fs::write(control, lines.collect::<String>())?;
    let configuration = tree.join(format!("etc/website-monitor/{name}.yaml"));
    fs::write(&configuration, fs::read_to_string(&configuration)? + "# of a later version\n")?;
    dpkg_deb(&["-b".as_ref(), &tree, &machine.path(&format!("/root/{name}-later.deb"))])
}

fn dpkg_deb(arguments: &[&Path]) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command.args(arguments);
    let ended = Process::run("dpkg-deb", command, BOUND)?;
    ensure!(ended.status.success(), "dpkg-deb: {}{}", ended.stdout, ended.stderr);
    Ok(())
}

fn newest(name: &str) -> Result<PathBuf> {
    let directory = match env::var_os("PACKAGES") {
        Some(directory) => PathBuf::from(directory),
        None => target()?.join("debian"),
    };
    let prefix = format!("website-monitor-{name}_");
    let made = fs::read_dir(&directory).with_context(|| format!("{}: run `./dev package`", directory.display()))?;
    let packages = made.filter_map(|entry| Some(entry.ok()?.path()));
    let ours = packages.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)));
    ours.max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok()).context("run `./dev package`")
}
