//! The agent's program: arguments, logging, signals.

mod arguments;
mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    settings::keep_openssl_at_exit();
    program::main(argh::from_env())
}
