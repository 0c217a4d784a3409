//! Tests that need the rights of root.

use std::env;
use std::process::Command;

use crate::not_run;

/// What a test that runs as root takes along from the environment.
const KEPT: &str = "--preserve-env=PATH,HOME,CI,TORTURE,RUSTUP_HOME,CARGO_HOME,WEBSITE_MONITOR_NOT_RUN";

/// Whether this process has the rights of root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a test of this program again, as root, where `sudo` asks for no password; elsewhere it counts as not run, as it
/// does for a root that may not do what the test needs, which `why` says.
///
/// # Panics
/// When the test fails.
pub fn again_as_root(test: &str, why: &str) {
    if is_root() {
        return not_run(test, why);
    }
    let sudo = |words: &[&str]| Command::new("sudo").arg("-n").args(words).output();
    if !sudo(&["true"]).is_ok_and(|tried| tried.status.success()) {
        return not_run(test, &format!("it needs root, or a sudo that asks for no password ({})", why.trim()));
    }
    let this = env::current_exe().expect("a test knows its program");
    let this = this.to_str().expect("paths of tests are text");
    let ended = sudo(&[KEPT, this, "--exact", test, "--nocapture", "--test-threads=1"]).expect("sudo was there");
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(ended.status.success() && said.contains("1 passed"), "as root: {said}");
    eprintln!("as root: {said}");
}
