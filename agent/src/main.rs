//! The agent's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    settings::keep_openssl_at_exit();
    agent::commands::execute(argh::from_env())
}
