//! What each command does, and with which code it ends.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use crate::args::{Arguments, Command, Format};
use crate::config::Config;
use crate::{consume, run, store, verify};

/// What the command looks for was found: numbers are missing.
const FOUND: u8 = 1;
/// A part that is needed is not there.
const UNAVAILABLE: u8 = 69;
/// The configuration is bad.
const BAD_CONFIGURATION: u8 = 78;

/// Does what the command line says. `stop` ends a run.
///
/// # Errors
/// What keeps a command from its work and has no code of its own.
pub fn execute(arguments: &Arguments, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    let file = arguments.config();
    let config = match Config::read(&file) {
        Ok(config) => config,
        Err(faults) => {
            let mut stderr = stderr().lock();
            faults.iter().try_for_each(|fault| writeln!(stderr, "{fault}"))?;
            return Ok(ExitCode::from(BAD_CONFIGURATION));
        }
    };
    if let Err(refused) = consume::check(&config.kafka) {
        writeln!(stderr(), "{}: kafka: {refused}; correct kafka.properties", file.display())?;
        return Ok(ExitCode::from(BAD_CONFIGURATION));
    }
    config.log.init();
    match &arguments.command {
        Command::Run(_) => match run(config, stop) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => match error.downcast_ref() {
                Some(consume::Error::Refused(problem)) => {
                    writeln!(stderr(), "{}: kafka: {problem}; correct this section", file.display())?;
                    Ok(ExitCode::from(BAD_CONFIGURATION))
                }
                _ => Err(error),
            },
        },
        Command::CheckConfig(_) => {
            writeln!(stdout(), "{}: no faults", file.display())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Migrate(_) => match store::migrate(&config.database) {
            Ok(run) => {
                writeln!(stdout(), "{} is up to date; migrations run: {run}", config.database.schema)?;
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => unavailable(&config, &error),
        },
        Command::Verify(options) => match store::read_facts(&config.database) {
            Ok((facts, orphans)) => {
                let proof = verify::prove(&facts, orphans);
                let shown = match options.format {
                    Format::Table => proof.to_string(),
                    Format::Json => proof.to_json(),
                };
                stdout().write_all(shown.as_bytes())?;
                Ok(if proof.holds() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
            }
            Err(error) => unavailable(&config, &error),
        },
    }
}

fn unavailable(config: &Config, error: &store::Unavailable) -> anyhow::Result<ExitCode> {
    writeln!(stderr(), "database {}: {error}", config.database.address)?;
    Ok(ExitCode::from(UNAVAILABLE))
}
