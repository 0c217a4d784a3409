//! The CPU seconds of a server that is many processes.

use anyhow::{Context, Result};
use procfs::process::all_processes;

/// The CPU seconds of a process and all its children, those included that have ended.
pub(crate) fn of_family(id: Option<u32>) -> Result<f64> {
    let head: i32 = id.context("a server has ended")?.try_into()?;
    let mut ticks = 0;
    for process in all_processes()? {
        // Processes come and go.
        let Ok(stat) = process.and_then(|process| process.stat()) else { continue };
        if stat.pid == head {
            ticks += stat.utime as i64 + stat.stime as i64 + stat.cutime + stat.cstime;
        } else if stat.ppid == head {
            ticks += stat.utime as i64 + stat.stime as i64;
        }
    }
    Ok(ticks as f64 / procfs::ticks_per_second() as f64)
}
