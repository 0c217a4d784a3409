//! The command line.

use std::path::PathBuf;

use argh::FromArgs;

/// Stores what agents sent to Kafka in PostgreSQL, each result once, and proves it.
#[derive(Debug, FromArgs)]
pub struct Arguments {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
    /// what to do
    #[argh(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, FromArgs)]
#[argh(subcommand)]
pub enum Command {
    /// Consume and store.
    Run(Run),
    /// Tell all faults of the configuration.
    CheckConfig(CheckConfig),
    /// Bring the tables up to date.
    Migrate(Migrate),
    /// Prove that nothing is missing.
    Verify(Verify),
}

/// consume and store, until a signal to stop
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "run")]
pub struct Run {
    /// configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
}

/// tell all faults of the configuration; exit 0 or 78
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "check-config")]
pub struct CheckConfig {
    /// configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
}

/// create the schema and bring its tables up to date; exit 69 when the database is not there
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "migrate")]
pub struct Migrate {
    /// configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
}

/// prove from the tables that nothing is missing; exit 1 when something is, 69 when the database is not there
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "verify")]
pub struct Verify {
    /// configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
    /// table or json
    #[argh(option, default = "Format::Table", from_str_fn(format))]
    pub format: Format,
}

/// How a proof is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// One object a line.
    Json,
}

fn format(word: &str) -> Result<Format, String> {
    match word {
        "table" => Ok(Format::Table),
        "json" => Ok(Format::Json),
        other => Err(format!("{other} is no format; write table or json")),
    }
}

impl Arguments {
    /// The configuration file: the option counts before and after the command.
    pub fn config(&self) -> PathBuf {
        let after = match &self.command {
            Command::Run(Run { config }) => config,
            Command::CheckConfig(CheckConfig { config }) => config,
            Command::Migrate(Migrate { config }) => config,
            Command::Verify(Verify { config, .. }) => config,
        };
        let given = after.as_ref().or(self.config.as_ref());
        given.cloned().unwrap_or_else(|| "/etc/website-monitor/collector.yaml".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> PathBuf {
        Arguments::from_args(&["website-monitor-collector"], args).unwrap().config()
    }

    #[test]
    fn the_file_may_be_named_before_and_after_the_command() {
        assert_eq!(config(&["-c", "a.yaml", "run"]), PathBuf::from("a.yaml"));
        assert_eq!(config(&["verify", "-c", "a.yaml", "--format", "json"]), PathBuf::from("a.yaml"));
        assert_eq!(config(&["migrate"]), PathBuf::from("/etc/website-monitor/collector.yaml"));
    }
}
