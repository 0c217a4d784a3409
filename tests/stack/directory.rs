//! Where a run keeps its files: one directory per test process, gone when that process is gone.
//!
//! Statics are never dropped and a process that is killed drops nothing, so no one inside of the process can be
//! the one who cleans up. A small shell is: it waits for the end of a pipe that only this process holds.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

/// Servers that end at the same moment may still write, hence the repetition.
const JANITOR: &str = "trap '' INT TERM HUP; read -r _; until rm -rf \"$1\" 2>/dev/null; do sleep 0.2; done";

struct Run {
    root: PathBuf,
    _janitor: ChildStdin,
}

/// A new, empty directory for one part of the stack.
///
/// # Errors
/// When it can't be made.
pub fn directory(name: &str) -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let path = root()?.join(format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    // There are passwords in some.
    DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

/// Copies a directory with all that is in it, owners included.
///
/// # Errors
/// When it can't be copied.
pub fn copy_all(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").args([from, to]).output().context("cannot start cp")?;
    ensure!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    Ok(())
}

fn root() -> Result<&'static Path> {
    static RUN: OnceLock<Result<Run, String>> = OnceLock::new();
    match RUN.get_or_init(|| begin().map_err(|error| format!("{error:#}"))) {
        Ok(run) => Ok(&run.root),
        Err(error) => Err(anyhow::anyhow!("{error}")),
    }
}

fn begin() -> Result<Run> {
    let root = tempfile::Builder::new().prefix("website-monitor-").tempdir().context("no temporary directory")?.keep();
    // PostgreSQL may run as another user, who must be able to pass.
    fs::set_permissions(&root, fs::Permissions::from_mode(0o711))?;
    let mut janitor = Command::new("sh")
        .args(["-c", JANITOR, "janitor"])
        .arg(&root)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot start sh")?;
    let pipe = janitor.stdin.take().context("the janitor has no pipe")?;
    Ok(Run { root, _janitor: pipe })
}
