//! The agent's program: arguments, logging, signals.

mod arguments;
mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main(argh::from_env())
}
