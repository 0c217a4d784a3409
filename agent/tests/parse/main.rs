//! Whatever a site answers and whatever a file says: a check ends with a result that a collector takes, a file with a
//! configuration or with faults that show no secret, and a pattern is found, not found, or too costly. Nothing breaks
//! down.
//!
//! A usual run tries a few hundred cases of each; with `PARSE_SECONDS` it goes on for that long (`./dev torture parse`).

#![allow(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

mod answers;
mod configurations;
mod patterns;

use std::fmt::Debug;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

/// Cases of one round.
const CASES: u32 = 300;

/// Tries cases: one round, or as many as there is time for.
fn try_cases<S: Strategy>(name: &str, strategy: &S, test: impl Fn(S::Value) -> TestCaseResult)
where
    S::Value: Debug,
{
    let seconds = std::env::var("PARSE_SECONDS").ok().map(|seconds| seconds.parse().expect("a number of seconds"));
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let mut rounds = 0_u64;
    loop {
        // A runner that has had its cases would have no more.
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        runner.run(strategy, &test).unwrap_or_else(|failed| panic!("{name}: {failed}"));
        rounds += 1;
        if Instant::now() >= end {
            break;
        }
    }
    writeln!(io::stderr(), "{name}: {} cases", rounds * u64::from(CASES)).expect("stderr is open");
}
