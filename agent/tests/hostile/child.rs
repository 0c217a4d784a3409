//! What the child does: it checks every monitor of a configuration, one by one, and tells what came out.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use agent::check::Checker;
use agent::config::Config;
use jiff::Timestamp;
use procfs::process::Process;
use serde::{Deserialize, Serialize};
use wire::CheckResult;

/// The environment variable that makes this program the child: the configuration.
pub(crate) const TASK: &str = "HOSTILE_CHILD";

/// As much as the threads that make checks have.
const STACK: usize = 256 * 1024;

/// A check, and the most memory that was in use meanwhile.
#[derive(Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) result: CheckResult,
    pub(crate) peak_kib: u64,
}

/// Runs the child, which trusts this root.
pub(crate) fn run(config: &Path, root: &Path) -> Vec<Told> {
    let ended = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["the_child_of_the_other", "--exact", "--ignored", "--nocapture"])
        .env(TASK, config)
        .env("SSL_CERT_FILE", root)
        .output()
        .expect("this program can be started");
    let lines = String::from_utf8(ended.stderr).expect("text");
    assert!(ended.status.success(), "{lines}");
    lines
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("what was told"))
        .collect()
}

pub(crate) fn main() {
    let Some(config) = std::env::var_os(TASK) else { return };
    let config = Config::load(Path::new(&config)).unwrap();
    assert!(config.faults.is_empty(), "{:?}", config.faults);
    let checker = Checker::new().unwrap();
    let work = || {
        for monitor in &config.monitors {
            fs::write("/proc/self/clear_refs", "5").expect("the peak can be forgotten");
            let result = checker.check(monitor, Timestamp::now());
            let peak_kib = Process::myself().unwrap().status().unwrap().vmhwm.unwrap();
            crate::say(&serde_json::to_string(&Told { result, peak_kib }).unwrap());
        }
    };
    thread::scope(|scope| {
        thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).unwrap();
    });
}
