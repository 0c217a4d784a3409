//! What a benchmark says, and how it ends.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};

pub(crate) fn ended(measured: Result<()>) -> ExitCode {
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "the benchmark ended early: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn say(line: &str) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("stdout is closed")
}
