//! The checked configuration: what the rest of the agent runs on.
//!
//! ```text
//! file ──▶ load ──▶ include      more files with monitors
//!                └▶ monitor      one entry at a time: target (url), request, pattern, what to expect, tls, …
//!                └▶ ids          a unique id for each, exact repeats refused; known: those of the last run stay
//! lines      of faults
//! reload     what stays of the running configuration when the file is read again
//! ```
//!
//! Two kinds of fault: one inside of an entry of `monitors` skips that entry, any other refuses the file. Either way
//! reading goes on to the end, so that all faults are told at once.

mod ids;
mod include;
mod known;
mod lines;
mod load;
mod monitor;
mod reload;
mod revision;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

pub use known::{Changes, Known};
pub use load::Refused;
pub use monitor::expect::Expect;
pub use monitor::family::IpFamily;
pub(crate) use monitor::pattern::Search;
pub use monitor::pattern::{Pattern, TooCostly};
pub use monitor::request::Request;
pub(crate) use monitor::status::is_redirect;
pub use monitor::target::{Port, Question, Target};
pub use monitor::tls::{Authorities, Identity as TlsIdentity, Tls, TlsVersion};
pub use reload::{Fixed, Kept};
pub use schema::schema;

/// Everything that the agent needs to know.
#[derive(Debug)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// Who the agent is.
    pub agent: Identity,
    /// What it checks.
    pub monitors: Vec<Monitor>,
    /// Most checks at once.
    pub workers: usize,
    /// Where results wait.
    pub outbox: OutboxConfig,
    /// Where they go.
    pub kafka: settings::Kafka,
    /// Where it can be asked how it fares; nowhere when none.
    pub http: Option<SocketAddr>,
    /// What is said on stderr, and how.
    pub log: settings::Log,
    /// Entries that were skipped since they are wrong.
    pub faults: Vec<settings::Fault>,
    /// What their monitors would be called, where that can be told.
    pub skipped: HashSet<String>,
    /// How the ids of monitors differ from those that ran last.
    pub changes: Changes,
    /// A short hash of what runs: it changes whenever that changes.
    pub revision: String,
}

impl Config {
    /// Logs the entries that are skipped, and that there is nothing to check where that is so.
    pub fn log_faults(&self) {
        for fault in &self.faults {
            log::error!("skipped: {fault}");
        }
        if self.monitors.is_empty() {
            log::warn!("there is no monitor: nothing is checked");
        }
    }

    /// Logs how the ids of monitors differ from those that ran last.
    pub fn log_changes(&self) {
        let changes = self.changes.to_string();
        let (mut each, count) = (changes.lines(), changes.lines().count());
        each.by_ref().take(MOST_CHANGES).for_each(|change| log::info!("beside what ran last, {change}"));
        if count > MOST_CHANGES {
            log::info!(more = count - MOST_CHANGES; "beside what ran last, other ids differ, too: see check-config");
        }
    }
}

/// This many changes of ids are logged one by one.
const MOST_CHANGES: usize = 20;

/// Who an agent is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name: the host's unless configured.
    pub name: String,
    /// Labels for people and reports.
    pub labels: BTreeMap<String, String>,
}

/// Where results wait until Kafka has them.
#[derive(Clone, Debug)]
pub struct OutboxConfig {
    /// The directory.
    pub path: PathBuf,
    /// The bound of its size on disk, in bytes.
    pub max_size: u64,
    /// What happens at the bound.
    pub when_full: WhenFull,
    /// When results are synced to the disk.
    pub sync: Sync,
}

impl OutboxConfig {
    /// The outbox in a directory, as far as nothing else is configured.
    pub fn at(path: PathBuf) -> OutboxConfig {
        OutboxConfig { path, max_size: 1 << 30, when_full: WhenFull::DropOldest, sync: Sync::Interval }
    }
}

/// When results are synced to the disk, so that a power cut does not take them. A killed agent loses none either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Together, at most ten times a second.
    Interval,
    /// Each as soon as it is handed in, together with those that come during the sync before.
    Always,
}

impl Sync {
    /// The choice's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Sync::Interval => "interval",
            Sync::Always => "always",
        }
    }
}

/// The policy of a full outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest records make room, and a record declares them dropped.
    DropOldest,
    /// No new checks until there is room.
    Pause,
}

impl WhenFull {
    /// The policy's word.
    pub fn as_str(self) -> &'static str {
        match self {
            WhenFull::DropOldest => "drop_oldest",
            WhenFull::Pause => "pause",
        }
    }
}

/// One thing to check, with every default applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    /// Unique in the configuration: `id`, else `name`, else `url`.
    pub id: String,
    /// For people: `name`, else `url`.
    pub name: String,
    /// What to check, without user and password.
    pub url: Url,
    /// What the url leads to.
    pub target: Target,
    /// What the answer must hold.
    pub pattern: Option<Pattern>,
    /// What else the answer must be like.
    pub expect: Expect,
    /// From slot to slot.
    pub interval: Duration,
    /// The deadline of one attempt, redirects included.
    pub timeout: Duration,
    /// Most redirects that are followed.
    pub follow_redirects: u32,
    /// Most attempts after the first that fails.
    pub retries: u32,
    /// Most decoded bytes of a body that are read.
    pub max_body: u64,
    /// Whom to trust, and how to introduce oneself.
    pub tls: Tls,
    /// Which addresses to connect to.
    pub ip: IpFamily,
    /// Sent along with each result.
    pub tags: BTreeMap<String, String>,
}
