//! The command line.

use std::path::PathBuf;

use argh::FromArgs;

/// Stores what agents sent to Kafka in PostgreSQL, each result once, and proves it.
#[derive(Debug, FromArgs)]
pub struct Arguments {
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
    /// Tell the version.
    Version(Version),
}

/// consume and store, until a signal to stop
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "run")]
pub struct Run {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
}

/// tell all faults of the configuration; exit 0 or 78
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "check-config")]
pub struct CheckConfig {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
}

/// create the schema and bring its tables up to date; exit 69 when the database is not there
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "migrate")]
pub struct Migrate {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
}

/// prove from the tables that nothing is missing; exit 1 when something is, 69 when the database is not there
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "verify")]
pub struct Verify {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
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

/// print the version
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "version")]
pub struct Version {}

fn default_config() -> PathBuf {
    "/etc/website-monitor/collector.yaml".into()
}
