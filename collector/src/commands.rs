//! Executes each command, and chooses the code with which it ends.

use std::io::{Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use settings::terminal::write_line;

use super::{consume, report, run, store, verify};
use crate::arguments::{Arguments, Command, Format, Report, ReportFormat, Run, Verify};
use crate::config::Config;
use crate::figures::{Begin, Query, Window};
use crate::unavailable::Unavailable;

mod agents;
mod alerts;
mod rejected;

/// The length of time that a report is about when the command line does not say it.
const LAST: Duration = Duration::from_secs(86_400);

/// The exit code when what the command looks for was found, such as missing numbers.
const FOUND: u8 = 1;
/// The exit code when the database or a receiver cannot be reached.
const UNAVAILABLE: u8 = 69;
/// The exit code when the configuration is bad.
const BAD_CONFIGURATION: u8 = 78;

/// Pieces of memory from this size on are given back at once. With glibc's own bound, the batches of 10,000 agents for
/// two writers took 210 MiB; with this bound they took 184. With half of this bound they took 160, and a replay took a
/// fifth longer.
const LARGE: i32 = 8 * 1024 * 1024;
/// The memory that the records of a batch take. They are made again for the next batch.
const RECORDS: i32 = 8 * 1024 * 1024;

/// Executes the command of the command line. `stop` ends a run.
///
/// # Errors
/// Fails when something keeps a command from its work and has no exit code of its own.
pub fn execute(arguments: &Arguments, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Run(of) => with_config(&of.config, |config| consume_until(config, of, stop)),
        Command::CheckConfig(of) => with_config(&of.config, |config| {
            for warning in config.warnings() {
                write_line(&mut stderr(), format_args!("{}: {warning}", of.config.display()))?;
            }
            write_line(&mut stdout(), format_args!("{}: no faults", of.config.display()))?;
            Ok(ExitCode::SUCCESS)
        }),
        Command::ConfigSchema(_) => {
            writeln!(stdout(), "{:#}", Config::schema())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Migrate(of) => with_config(&of.config, |config| match store::migrate(&config.database) {
            Ok(run) => {
                let schema = &config.database.schema;
                write_line(&mut stdout(), format_args!("{schema} is up to date; migrations run: {run}"))?;
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => unavailable(&config, &error),
        }),
        Command::Upkeep(of) => with_config(&of.config, |config| {
            match store::Store::new(&config.database, config.retention).upkeep(config.retention).run_or_tell() {
                Ok(()) => Ok(ExitCode::SUCCESS),
                Err(error) => unavailable(&config, &error),
            }
        }),
        Command::Verify(of) => with_config(&of.config, |config| prove(&config, of)),
        Command::Report(of) => with_config(&of.config, |config| tell(&config, of)),
        Command::Rejected(of) => rejected::execute(&of.command),
        Command::Agents(of) => agents::execute(&of.command),
        Command::Alerts(of) => alerts::execute(&of.command),
        Command::Version(_) => {
            writeln!(stdout(), "website-monitor-collector {}", env!("CARGO_PKG_VERSION"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs a command with a configuration. When the configuration has faults, it writes all of them.
fn with_config(file: &Path, command: impl FnOnce(Config) -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    match Config::read(file) {
        Ok(config) => match consume::check(&config.kafka) {
            Ok(()) => {
                config.log.init();
                command(config)
            }
            Err(refused) => {
                bad_configuration(&[format!("{}: kafka: {refused}; correct kafka.properties", file.display())])
            }
        },
        Err(faults) => bad_configuration(&faults),
    }
}

fn consume_until(config: Config, of: &Run, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    settings::give_back_pieces_from(LARGE);
    settings::keep_free(RECORDS);
    let (file, group) = (of.config.display(), config.kafka.group.clone());
    let Err(error) = run(config, of.take_over_group, stop) else { return Ok(ExitCode::SUCCESS) };
    match error.downcast_ref() {
        Some(consume::Error::Refused(problem)) => {
            bad_configuration(&[format!("{file}: kafka: {problem}; correct this section")])
        }
        Some(others @ consume::Error::OthersGroup { .. }) => {
            bad_configuration(&[format!("{file}: kafka.group {group}: {others}")])
        }
        _ => Err(error),
    }
}

fn prove(config: &Config, of: &Verify) -> anyhow::Result<ExitCode> {
    let scope = store::Scope { since: of.since, agents: of.agent.clone() };
    match store::read_facts(&config.database, &scope) {
        Ok((facts, orphans)) => {
            let proof = verify::prove(&facts, orphans);
            if proof.accounts.is_empty() && scope != store::Scope::default() {
                writeln!(stderr(), "no run of such an agent is known: there is nothing to prove")?;
                return Ok(ExitCode::from(FOUND));
            }
            let shown = match of.format {
                Format::Table => proof.to_string(),
                Format::Json => proof.to_json(),
            };
            stdout().write_all(shown.as_bytes())?;
            Ok(if proof.holds() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
        }
        Err(error) => unavailable(config, &error),
    }
}

fn tell(config: &Config, of: &Report) -> anyhow::Result<ExitCode> {
    let begin = match (of.from, of.last) {
        (Some(_), Some(_)) => anyhow::bail!("--from and --last exclude each other; keep one of the two"),
        (Some(from), None) => Begin::At(from),
        (None, last) => Begin::BeforeEnd(last.unwrap_or(LAST)),
    };
    let (monitors, agents) = (of.monitor.clone(), of.agent.clone());
    let query = Query { begin, until: of.to, monitors, agents, by_agent: of.by_agent };
    let answer = match store::Reader::new(&config.database).figures(&query) {
        Ok(answer) => answer?,
        Err(error) => return unavailable(config, &error),
    };
    if answer.figures.is_empty() && !(of.monitor.is_empty() && of.agent.is_empty()) {
        let Window { since, until } = answer.window;
        writeln!(stderr(), "nothing is known of such a monitor or agent from {since} to {until}")?;
        return Ok(ExitCode::from(FOUND));
    }
    let shown = match of.format {
        ReportFormat::Table => report::table(&answer),
        ReportFormat::Csv => report::csv(&answer),
        ReportFormat::Json => report::json(&answer),
    };
    stdout().write_all(shown.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn bad_configuration(faults: &[impl std::fmt::Display]) -> anyhow::Result<ExitCode> {
    let mut stderr = stderr().lock();
    faults.iter().try_for_each(|fault| write_line(&mut stderr, fault))?;
    Ok(ExitCode::from(BAD_CONFIGURATION))
}

fn unavailable(config: &Config, error: &Unavailable) -> anyhow::Result<ExitCode> {
    write_line(&mut stderr(), format_args!("database {}: {error}", config.database.address))?;
    Ok(ExitCode::from(UNAVAILABLE))
}
