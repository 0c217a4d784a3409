//! Defines the command line: its commands and their options. argh makes the help from the comments of this file.

use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;
use jiff::Timestamp;

use crate::store::Place;

/// Stores what agents sent to Kafka in PostgreSQL, each result once, and proves it.
#[derive(Debug, FromArgs)]
pub struct Arguments {
    /// what to do
    #[argh(subcommand)]
    pub command: Command,
}

/// The command to execute.
#[derive(Debug, FromArgs)]
#[argh(subcommand)]
pub enum Command {
    /// Consume and store.
    Run(Run),
    /// Tell all faults of the configuration.
    CheckConfig(CheckConfig),
    /// Print the JSON Schema of the configuration.
    ConfigSchema(ConfigSchema),
    /// Bring the tables up to date.
    Migrate(Migrate),
    /// Make and drop partitions, once.
    Upkeep(Upkeep),
    /// Prove that nothing is missing.
    Verify(Verify),
    /// Tell how monitors fared.
    Report(Report),
    /// Look at what was set aside, and store it after a fix.
    Rejected(Rejected),
    /// Tell of agents, and say that one is gone.
    Agents(Agents),
    /// Tell what fires, and whether receivers can be told.
    Alerts(Alerts),
    /// Tell the version.
    Version(Version),
}

/// consume and store, until a signal to stop
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "run")]
pub struct Run {
    /// go on though the consumer group fills another database, which is given up
    #[argh(switch)]
    pub take_over_group: bool,
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

/// print the JSON Schema of the configuration, for editors
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "config-schema")]
pub struct ConfigSchema {}

/// create the schema and bring its tables up to date; exit 69 when the database is not there
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "migrate")]
pub struct Migrate {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
}

/// make partitions for the days ahead and drop what is past its retention, once: for the owner of tables that collectors
/// may not drop; exit 69 when the database is not there
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "upkeep")]
pub struct Upkeep {
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
    /// only runs of agents that were heard of since then: 7d, 2026-11-24, 2026-11-24T10:00:00Z
    #[argh(option, from_str_fn(moment))]
    pub since: Option<Timestamp>,
    /// only runs of this agent; may be given several times
    #[argh(option)]
    pub agent: Vec<String>,
    /// table or json
    #[argh(option, default = "Format::Table", from_str_fn(format))]
    pub format: Format,
}

/// tell how monitors fared: uptime, coverage, outages, response times; exit 1 when nothing is known of those asked for, 69 when the database is not there
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "report")]
pub struct Report {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
    /// from when on: 7d (ago), 2026-11-24, 2026-11-24T10:00:00Z
    #[argh(option, from_str_fn(moment))]
    pub from: Option<Timestamp>,
    /// until when, but not beyond now (default: now)
    #[argh(option, from_str_fn(moment))]
    pub to: Option<Timestamp>,
    /// how long before the end, in place of --from (default: 24h)
    #[argh(option, from_str_fn(duration))]
    pub last: Option<Duration>,
    /// only the monitor with this id; may be given several times
    #[argh(option)]
    pub monitor: Vec<String>,
    /// only what this agent saw; may be given several times
    #[argh(option)]
    pub agent: Vec<String>,
    /// each agent's view on its own
    #[argh(switch)]
    pub by_agent: bool,
    /// table, csv or json
    #[argh(option, default = "ReportFormat::Table", from_str_fn(report_format))]
    pub format: ReportFormat,
}

/// The format in which a report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// A table for people.
    Table,
    /// CSV: one line for each monitor, below a line with the names of the fields.
    Csv,
    /// JSON: one object a line.
    Json,
}

fn report_format(word: &str) -> Result<ReportFormat, String> {
    match word {
        "table" => Ok(ReportFormat::Table),
        "csv" => Ok(ReportFormat::Csv),
        "json" => Ok(ReportFormat::Json),
        other => Err(format!("{other} is no format; write table, csv or json")),
    }
}

/// look at the messages that were set aside, and store them after a fix
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "rejected")]
pub struct Rejected {
    /// what to do with them
    #[argh(subcommand)]
    pub command: RejectedCommand,
}

/// The command for messages that were set aside.
#[derive(Debug, FromArgs)]
#[argh(subcommand)]
pub enum RejectedCommand {
    /// List them.
    List(RejectedList),
    /// Show whole messages.
    Show(RejectedShow),
    /// Store them.
    Replay(RejectedReplay),
}

/// tell which messages were set aside, and why, the latest first
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "list")]
pub struct RejectedList {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
    /// only those of this reason, such as unknown_version
    #[argh(option)]
    pub reason: Option<String>,
    /// the most messages to list (default: 100)
    #[argh(option, default = "100")]
    pub limit: u32,
    /// table or json
    #[argh(option, default = "Format::Table", from_str_fn(format))]
    pub format: Format,
}

/// show messages whole; exit 1 when there is none at a place
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "show")]
pub struct RejectedShow {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
    /// table or json
    #[argh(option, default = "Format::Table", from_str_fn(format))]
    pub format: Format,
    /// which: topic/partition/offset, as `list` says
    #[argh(positional)]
    pub places: Vec<Place>,
}

/// store messages that can be read or stored now; exit 1 when one still can't be
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "replay")]
pub struct RejectedReplay {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
    /// those of this reason, such as unknown_version
    #[argh(option)]
    pub reason: Option<String>,
    /// all of them
    #[argh(switch)]
    pub all: bool,
    /// which: topic/partition/offset, as `list` says
    #[argh(positional)]
    pub places: Vec<Place>,
}

/// tell which agents there are, and say that one is gone for good
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "agents")]
pub struct Agents {
    /// what to do
    #[argh(subcommand)]
    pub command: AgentsCommand,
}

/// The command for agents.
#[derive(Debug, FromArgs)]
#[argh(subcommand)]
pub enum AgentsCommand {
    /// List them.
    List(AgentsList),
    /// Say that an agent is gone for good.
    Retire(AgentsRetire),
}

/// tell which agents there are, their states, and when they were last heard of; exit 69 when the database is not there
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "list")]
pub struct AgentsList {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
    /// table or json
    #[argh(option, default = "Format::Table", from_str_fn(format))]
    pub format: Format,
}

/// say that an agent is gone for good: nothing is due from it any more, until it reports again; what it stored stays, and
/// what waits in its outbox is still accepted; exit 1 when it is not known, 69 when the database is not there
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "retire")]
pub struct AgentsRetire {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
    /// since when: 7d (ago), 2026-11-24, 2026-11-24T10:00:00Z (default: when it was last seen)
    #[argh(option, from_str_fn(moment))]
    pub since: Option<Timestamp>,
    /// its name, as `list` says
    #[argh(positional)]
    pub name: String,
}

/// tell what fires now, and see whether messages arrive
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "alerts")]
pub struct Alerts {
    /// what to do
    #[argh(subcommand)]
    pub command: AlertsCommand,
}

/// The command for alerts.
#[derive(Debug, FromArgs)]
#[argh(subcommand)]
pub enum AlertsCommand {
    /// Tell what fires.
    List(AlertsList),
    /// See whether messages arrive.
    Test(AlertsTest),
}

/// tell what fires now, the longest first; exit 1 when anything does, 69 when the database is not there
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "list")]
pub struct AlertsList {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
    /// table or json
    #[argh(option, default = "Format::Table", from_str_fn(format))]
    pub format: Format,
}

/// send a test message to receivers, without the database; exit 69 when one can't be told
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "test")]
pub struct AlertsTest {
    /// configuration file (default: /etc/website-monitor/collector.yaml)
    #[argh(option, short = 'c', default = "default_config()")]
    pub config: PathBuf,
    /// only to this receiver; may be given several times
    #[argh(option)]
    pub receiver: Vec<String>,
}

/// Reads a moment: a length of time before now, the beginning of a day in UTC, or a time.
fn moment(word: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = duration(word) {
        return Timestamp::now().checked_sub(ago).map_err(|_| format!("{word} is too long ago"));
    }
    let time = if word.contains('T') { word.to_owned() } else { format!("{word}T00:00:00Z") };
    time.parse().map_err(|_| format!("{word} is no time; write 7d, 2026-11-24 or 2026-11-24T10:00:00Z"))
}

fn duration(word: &str) -> Result<Duration, String> {
    settings::duration(&word.into())
}

/// The format in which a command other than `report` shows its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table for people.
    Table,
    /// JSON: one object a line.
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
