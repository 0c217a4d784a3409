//! What a daemon's threads take, by what they are for.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use procfs::process::Process;

/// What the names of an agent's threads begin with, and what they do. The rest waits for signals, ticks, and writes the
/// outbox's status.
const GROUPS: [(&str, &str); 5] =
    [("worker", "checks"), ("outbox", "committer"), ("sled", "sled"), ("publish", "publisher"), ("rdk:", "librdkafka")];

/// CPU seconds of each thread by its id, and what it does.
pub(crate) struct Threads(BTreeMap<i32, (&'static str, f64)>);

/// The threads of an agent, as they are now.
pub(crate) fn threads(id: Option<u32>) -> Result<Threads> {
    let process = Process::new(id.context("a daemon has ended")?.try_into()?)?;
    let mut threads = BTreeMap::new();
    for task in process.tasks()?.flatten() {
        // Threads come and go.
        let (Ok(stat), Ok(taken)) = (task.stat(), task.schedstat()) else { continue };
        let group = GROUPS.iter().find(|(begin, _)| stat.comm.starts_with(begin)).map_or("rest", |(_, does)| does);
        threads.insert(task.tid, (group, taken.sum_exec_runtime as f64 / 1e9));
    }
    Ok(Threads(threads))
}

impl Threads {
    /// CPU seconds since an earlier look, by what was done; threads that have ended meanwhile are missing.
    pub(crate) fn since(&self, earlier: &Threads) -> BTreeMap<&'static str, f64> {
        let mut groups = BTreeMap::new();
        for (id, (group, cpu)) in &self.0 {
            *groups.entry(*group).or_default() += cpu - earlier.0.get(id).map_or(0.0, |(_, before)| *before);
        }
        groups
    }
}
