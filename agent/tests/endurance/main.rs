//! Checks in great number, and without a name service: nothing may be left behind, and nothing held up.
//!
//! A usual run does a few thousand checks; with `TORTURE=full` it does a hundred thousand. What a process holds is
//! counted, so each test has one for itself: this same program, told by [`CHILD`] to run that test's ignored half.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

mod many;
mod mute;
mod servers;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use agent::config::{Config, Monitor};
use procfs::process::Process;

/// Names the child's directory.
const CHILD: &str = "ENDURANCE_CHILD";

/// This program, to be run by [`run_child`].
fn this() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// Runs one of the ignored tests in a process of its own, which `program` starts, and passes on what it says.
fn run_child(mut program: Command, test: &str, directory: &Path) {
    let child = program
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, directory)
        .output()
        .unwrap();
    say(String::from_utf8_lossy(&child.stderr).trim_end());
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

/// The child's directory; none where no one started it.
fn child_directory() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Whether this is the long run.
fn is_full() -> bool {
    std::env::var("TORTURE").is_ok_and(|how| how == "full")
}

/// Says a result even when the test passes.
fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("stderr is open");
}

/// The monitors of a configuration that has these entries.
fn monitors(directory: &Path, entries: &str) -> Vec<Monitor> {
    let path = directory.join("agent.yaml");
    std::fs::write(&path, format!("interval: 30\nmonitors:\n{entries}")).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.faults, []);
    config.monitors
}

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    threads: u64,
    descriptors: usize,
}

impl Held {
    /// By this process, now.
    fn now() -> Held {
        let this = Process::myself().unwrap();
        let threads = this.status().unwrap().threads;
        // Listed and not counted: the kernel counts those too that a thread in `accept` has reserved. The directory that
        // is being read holds one itself.
        Held { threads, descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count() - 1 }
    }

    /// What is held once it is no more than `most`, or whatever it is when that takes too long.
    fn settled(most: Held) -> Held {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let held = Held::now();
            if (held.threads <= most.threads && held.descriptors <= most.descriptors) || Instant::now() > end {
                return held;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Memory of this process that is no file's, in KiB.
fn resident() -> u64 {
    Process::myself().unwrap().status().unwrap().rssanon.unwrap_or_default()
}
