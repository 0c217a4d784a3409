//! The account of tests that could not run.

use std::fs::File;
use std::io::Write;

/// Names the file of the account. `./dev test` sets it, and reads the file at the end.
pub const RECORD: &str = "WEBSITE_MONITOR_NOT_RUN";

/// Writes down that a test could not run on this machine, and why.
///
/// # Panics
/// When no account is kept: a test that did not run must not count as passed.
pub fn not_run(test: &str, why: &str) {
    let Some(record) = std::env::var_os(RECORD) else { panic!("{test} could not run: {why}") };
    let line = format!("{test}: {}\n", why.trim().replace('\n', " "));
    let written = File::options().create(true).append(true).open(record);
    let written = written.and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("{test} could not run ({why}), and that could not be written down: {error}");
    }
}
