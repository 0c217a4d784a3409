//! What a daemon takes of the machine.

use anyhow::{Context, Result};
use procfs::process::Process;

pub(crate) struct Usage {
    /// Seconds.
    pub(crate) cpu: f64,
    /// Bytes.
    pub(crate) resident: u64,
    /// The most since its start.
    pub(crate) most: u64,
}

pub(crate) fn usage(id: Option<u32>) -> Result<Usage> {
    let process = Process::new(id.context("a daemon has ended")?.try_into()?)?;
    let (stat, status) = (process.stat()?, process.status()?);
    Ok(Usage {
        cpu: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
        resident: status.vmrss.unwrap_or(0) * 1_024,
        most: status.vmhwm.unwrap_or(0) * 1_024,
    })
}
