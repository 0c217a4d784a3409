//! The command line.

use std::path::PathBuf;

use argh::FromArgs;

/// Checks websites, keeps each result in a local outbox, and delivers it to Kafka.
#[derive(FromArgs)]
pub(crate) struct Arguments {
    #[argh(subcommand)]
    pub(crate) command: Command,
}

#[derive(FromArgs)]
#[argh(subcommand)]
pub(crate) enum Command {
    Run(Run),
    CheckConfig(CheckConfig),
    Once(Once),
    Outbox(OutboxCommand),
    Version(Version),
}

/// check on schedule and deliver, until SIGTERM
#[derive(FromArgs)]
#[argh(subcommand, name = "run")]
pub(crate) struct Run {
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub(crate) config: PathBuf,
}

/// show what would run and every fault of the configuration; exit 1 when an entry is skipped, 78 when the file is refused
#[derive(FromArgs)]
#[argh(subcommand, name = "check-config")]
pub(crate) struct CheckConfig {
    /// table or json (default: table)
    #[argh(option, default = "Format::Table")]
    pub(crate) format: Format,
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub(crate) config: PathBuf,
}

/// check every monitor once, or those that are named, and print the results; needs no Kafka; exit 1 when a check fails
/// or an entry is skipped
#[derive(FromArgs)]
#[argh(subcommand, name = "once")]
pub(crate) struct Once {
    /// only this monitor, by id or name; may be given several times
    #[argh(option, short = 'm', long = "monitor", arg_name = "name")]
    pub(crate) monitors: Vec<String>,
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub(crate) config: PathBuf,
    /// table or json (default: table)
    #[argh(option, default = "Format::Table")]
    pub(crate) format: Format,
}

/// look into the outbox, and carry what waits in it to a place that reaches Kafka
#[derive(FromArgs)]
#[argh(subcommand, name = "outbox")]
pub(crate) struct OutboxCommand {
    #[argh(subcommand)]
    pub(crate) command: OutboxSubcommand,
}

#[derive(FromArgs)]
#[argh(subcommand)]
pub(crate) enum OutboxSubcommand {
    Status(OutboxStatus),
    Export(OutboxExport),
    Import(OutboxImport),
}

/// say what waits in the outbox, beside a running agent or after its death
#[derive(FromArgs)]
#[argh(subcommand, name = "status")]
pub(crate) struct OutboxStatus {
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub(crate) config: PathBuf,
    /// table or json (default: table)
    #[argh(option, default = "Format::Table")]
    pub(crate) format: Format,
}

/// write what waits in the outbox of a stopped agent to a file; the outbox stays as it is
#[derive(FromArgs)]
#[argh(subcommand, name = "export")]
pub(crate) struct OutboxExport {
    /// the file to write
    #[argh(positional)]
    pub(crate) file: PathBuf,
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub(crate) config: PathBuf,
}

/// send an exported file to the configuration's Kafka; exit 0 when all of it is acknowledged; again adds nothing
#[derive(FromArgs)]
#[argh(subcommand, name = "import")]
pub(crate) struct OutboxImport {
    /// the file to send
    #[argh(positional)]
    pub(crate) file: PathBuf,
    /// configuration file (default: /etc/website-monitor/agent.yaml)
    #[argh(option, short = 'c', long = "config", default = "default_config()")]
    pub(crate) config: PathBuf,
}

/// print the version
#[derive(FromArgs)]
#[argh(subcommand, name = "version")]
pub(crate) struct Version {}

pub(crate) use agent::command::Format;

fn default_config() -> PathBuf {
    "/etc/website-monitor/agent.yaml".into()
}
