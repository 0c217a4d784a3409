//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use argh::FromArgs;

/// Checks websites, keeps each result in a local outbox, and delivers it to Kafka.
#[derive(FromArgs)]
pub struct Arguments {
    /// what to do
    #[argh(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(FromArgs)]
#[argh(subcommand)]
pub enum Command {
    /// Check on schedule and deliver.
    Run(Run),
    /// Show what would run.
    CheckConfig(CheckConfig),
    /// Print the JSON Schema of the configuration.
    ConfigSchema(ConfigSchema),
    /// Check every monitor once.
    Once(Once),
    /// Tell of an outbox, or take it elsewhere.
    Outbox(OutboxCommand),
    /// Tell the version.
    Version(Version),
}

/// check on schedule and deliver, until SIGTERM
#[derive(FromArgs)]
#[argh(subcommand, name = "run")]
pub struct Run {
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub config: PathBuf,
}

/// show what would run and every fault of the configuration; exit 1 when an entry is skipped, 78 when the file is refused
#[derive(FromArgs)]
#[argh(subcommand, name = "check-config")]
pub struct CheckConfig {
    /// table or json (default: table)
    #[argh(option, default = "Format::Table")]
    pub format: Format,
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub config: PathBuf,
}

/// print the JSON Schema of the configuration, for editors
#[derive(FromArgs)]
#[argh(subcommand, name = "config-schema")]
pub struct ConfigSchema {}

/// check every monitor once, or those that are named, and print the results; needs no Kafka; exit 1 when a check fails
/// or an entry is skipped
#[derive(FromArgs)]
#[argh(subcommand, name = "once")]
pub struct Once {
    /// only this monitor, by id or name; may be given several times
    #[argh(option, short = 'm', long = "monitor", arg_name = "name")]
    pub monitors: Vec<String>,
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub config: PathBuf,
    /// table or json (default: table)
    #[argh(option, default = "Format::Table")]
    pub format: Format,
}

/// look into the outbox, and carry what waits in it to a place that reaches Kafka
#[derive(FromArgs)]
#[argh(subcommand, name = "outbox")]
pub struct OutboxCommand {
    /// what to do
    #[argh(subcommand)]
    pub command: OutboxSubcommand,
}

/// What to do with an outbox.
#[derive(FromArgs)]
#[argh(subcommand)]
pub enum OutboxSubcommand {
    /// Tell what waits.
    Status(OutboxStatus),
    /// Write what waits to a file.
    Export(OutboxExport),
    /// Send what such a file has.
    Import(OutboxImport),
}

/// say what waits in the outbox, beside a running agent or after its death
#[derive(FromArgs)]
#[argh(subcommand, name = "status")]
pub struct OutboxStatus {
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub config: PathBuf,
    /// table or json (default: table)
    #[argh(option, default = "Format::Table")]
    pub format: Format,
}

/// write what waits in the outbox of a stopped agent to a file; the outbox stays as it is
#[derive(FromArgs)]
#[argh(subcommand, name = "export")]
pub struct OutboxExport {
    /// the file to write
    #[argh(positional)]
    pub file: PathBuf,
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub config: PathBuf,
}

/// send an exported file to the configuration's Kafka; exit 0 when all of it is acknowledged; again adds nothing
#[derive(FromArgs)]
#[argh(subcommand, name = "import")]
pub struct OutboxImport {
    /// the file to send
    #[argh(positional)]
    pub file: PathBuf,
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub config: PathBuf,
}

/// print the version
#[derive(FromArgs)]
#[argh(subcommand, name = "version")]
pub struct Version {}

fn default_config() -> PathBuf {
    "/etc/website-monitor/agent.yaml".into()
}

/// How a command shows what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// One JSON object a line.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "table" => Ok(Format::Table),
            "json" => Ok(Format::Json),
            other => Err(format!("{other:?} is no format; use table or json")),
        }
    }
}
