//! Clients as processes of their own, so that the system counts what each of them takes.

use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};
use procfs::process::Process;

use crate::AT_ONCE;

/// Set to the name of what this program is to be.
pub(crate) const TASK: &str = "BENCH_CHECKS_TASK";

/// This program again, as something else.
pub(crate) fn myself(task: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(TASK, task);
    Ok(command)
}

/// Runs a client to its end; CPU seconds per 1,000 of its checks.
pub(crate) fn cpu(command: Command, checks: usize) -> Result<f64> {
    let before = of_children()?;
    output(command)?;
    Ok(per_thousand(of_children()? - before, checks))
}

/// Runs a process to its end; what it says.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8(done.stdout)?)
}

/// Ticks for checks as seconds for 1,000 of them.
pub(crate) fn per_thousand(ticks: u64, checks: usize) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64 * 1_000.0 / checks as f64
}

/// Does something so often, some at once; the first fault ends it.
pub(crate) fn repeat(times: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..AT_ONCE).map(|_| scope.spawn(|| (0..times / AT_ONCE).try_for_each(|_| work()))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no client panics"))
    })
}

/// How a client ends.
pub(crate) fn ending(done: Result<()>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    writeln!(io::stderr(), "{error:#}").ok();
    ExitCode::FAILURE
}

/// Ticks that the processes took which were waited for, and theirs.
fn of_children() -> Result<u64> {
    let stat = Process::myself()?.stat()?;
    Ok(u64::try_from(stat.cutime + stat.cstime)?)
}
