//! A Debian as a tree of files: debootstrapped once, and kept where builds are.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::process::Process;

const BOUND: Duration = Duration::from_secs(600);

/// Which Debian is tested: the one that `./dev` was asked for, or this machine's.
fn release() -> Result<String> {
    if let Ok(release) = env::var("RELEASE") {
        return Ok(release);
    }
    let system = fs::read_to_string("/etc/os-release")?;
    let name = system.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("this system has no name: say which Debian to test in the variable RELEASE")?.to_owned())
}

/// The smallest system with these packages, under a name of its own.
pub(crate) fn debian(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let release = release()?;
    let tree = target()?.join("hosts").join(format!("{name}-{release}"));
    if !tree.exists() {
        eprintln!("debootstrapping {release}, once");
        let new = tree.with_extension("new");
        fs::remove_dir_all(&new).ok();
        fs::create_dir_all(&new)?;
        let include = format!("--include={}", packages.join(","));
        let mut options = vec!["--variant=minbase"];
        options.extend((!packages.is_empty()).then_some(&*include));
        options.push(&release);
        run("debootstrap", &options, [&new])?;
        fs::rename(new, &tree)?;
    }
    Ok(tree)
}

/// Where packages and what is kept are: the build's directory.
pub(crate) fn target() -> Result<PathBuf> {
    let ourselves = std::env::current_exe()?;
    Ok(ourselves.ancestors().nth(3).context("a test lies in target/debug/deps")?.to_owned())
}

/// Runs a program that has to succeed.
pub(crate) fn run<const N: usize>(program: &str, options: &[&str], paths: [&PathBuf; N]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(options).args(paths);
    let ended = Process::run("outside", command, BOUND)?;
    ensure!(ended.status.success(), "{program}: {}{}", ended.stdout, ended.stderr);
    Ok(())
}
