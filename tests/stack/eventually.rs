//! Waiting on facts.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Two loaded cores are slow; who waits this long waits in vain.
pub const PATIENCE: Duration = Duration::from_secs(120);

const STEP: Duration = Duration::from_millis(50);

/// Asks until the answer is yes, and returns what came with it. The probe's error says what it saw instead.
///
/// # Panics
/// After [`PATIENCE`], with the last state that was seen.
#[track_caller]
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Result<T>) -> T {
    match within(PATIENCE, what, probe) {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}

/// The same with a bound of one's own, and an error in place of a panic.
///
/// # Errors
/// When the bound has passed: the last state that was seen.
pub fn within<T>(bound: Duration, what: &str, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(seen) if begin.elapsed() > bound => {
                return Err(seen.context(format!("not within {} s: {what}", bound.as_secs())));
            }
            Err(_) => thread::sleep(STEP),
        }
    }
}
