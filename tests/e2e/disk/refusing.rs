//! Makes a disk that refuses when a test tells it to. A library is loaded into the agent and answers some of the
//! agent's calls itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::agent::Agent;
use e2e::directory::directory;
use e2e::process::Process;
use e2e::shared::Shared;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/disk/refuse.c");
const BOUND: Duration = Duration::from_secs(60);

/// How a disk refuses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// `fsync` and similar calls fail with EIO. What was written can still be read for now.
    FailingSync,
    /// Calls that write fail with EIO.
    FailingWrites,
    /// Calls that write fail with ENOSPC, long ones after a part was written. Making files and directories fails with
    /// ENOSPC, too.
    Full,
    /// All calls that would change something fail with EROFS.
    ReadOnly,
}

impl Refusal {
    pub(super) const ALL: [Refusal; 4] =
        [Refusal::FailingSync, Refusal::FailingWrites, Refusal::Full, Refusal::ReadOnly];

    /// Returns the refusal in the format that `refuse.c` reads.
    fn orders(self) -> String {
        use rustix::io::Errno;
        let (error, calls) = match self {
            Refusal::FailingSync => (Errno::IO, "s"),
            Refusal::FailingWrites => (Errno::IO, "w"),
            Refusal::Full => (Errno::NOSPC, "wm"),
            Refusal::ReadOnly => (Errno::ROFS, "swmo"),
        };
        format!("{} {calls}", error.raw_os_error())
    }
}

/// The disk of an agent's outbox.
pub(super) struct RefusingDisk {
    library: PathBuf,
    outbox: PathBuf,
    orders: PathBuf,
    refused: PathBuf,
}

impl RefusingDisk {
    pub(super) fn new(agent: &Agent) -> Result<RefusingDisk> {
        static LIBRARY: Shared<PathBuf> = Shared::new();
        let library = LIBRARY.get(|| compile().context("the disk that refuses can't be made"))?;
        let at = |name: &str| agent.directory().join(name);
        Ok(RefusingDisk {
            library: library.to_path_buf(),
            outbox: at("outbox"),
            orders: at("refuses"),
            refused: at("refused"),
        })
    }

    pub(super) fn preloaded_into(&self, mut agent: Command) -> Command {
        agent.env("LD_PRELOAD", &self.library).env("DISK", &self.outbox);
        agent.env("DISK_REFUSES", &self.orders).env("DISK_REFUSED", &self.refused);
        agent
    }

    pub(super) fn refuse(&self, refusal: Refusal) -> Result<()> {
        let new = self.orders.with_extension("new");
        fs::write(&new, refusal.orders())?;
        Ok(fs::rename(new, &self.orders)?)
    }

    pub(super) fn heal(&self) -> Result<()> {
        Ok(fs::remove_file(&self.orders)?)
    }

    /// Returns how many calls were refused.
    pub(super) fn refusals(&self) -> u64 {
        fs::metadata(&self.refused).map_or(0, |metadata| metadata.len())
    }
}

fn compile() -> Result<PathBuf> {
    let library = directory("library")?.join("refuse.so");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(Path::new(SOURCE));
    let ended = Process::run("cc", cc, BOUND)?;
    ensure!(ended.status.success(), "{}", ended.stderr);
    Ok(library)
}
