//! Mounts that only a test and its children see, and that end with them.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{chdir, chroot, fchdir};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::is_root;

/// More than a tree has levels.
const LEVELS: usize = 64;

/// Gives the calling thread, and what it starts, a mount namespace of its own, from which no mount gets out. Takes the
/// rights of root. It makes system calls only, so that a child may call it before it runs its program.
///
/// # Errors
/// What the kernel answered.
pub fn private_mounts() -> io::Result<()> {
    #[expect(unsafe_code, reason = "no descriptors change: only the mounts of this thread and its children do")]
    // SAFETY: a new mount namespace takes no memory or descriptor away from other threads.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    match make_private() {
        // In a chroot whose root is no mount point, the mount that it lies on is above it.
        Err(Errno::INVAL) => Ok(outside_of_chroot(make_private)?),
        made => Ok(made?),
    }
}

fn make_private() -> rustix::io::Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
}

/// Does something at the root of the mount namespace, and returns to the root that was before. Root can leave a
/// chroot: one that changes its root to a directory below stays outside of that, and can go up from where it is.
fn outside_of_chroot(work: fn() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    let directory = |path: &str| open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let (root, here) = (directory("/")?, directory(".")?);
    chroot("/usr")?;
    fchdir(&root)?;
    for _ in 0..LEVELS {
        chdir("..")?;
    }
    chroot(".")?;
    let worked = work();
    fchdir(&root)?;
    chroot(".")?;
    fchdir(&here)?;
    worked
}

/// A shell that runs `script` where it may mount what no other process sees: `$1` and so on are the arguments that the
/// caller adds. Each program that the script ends with `exec` has the shell's process id.
///
/// # Errors
/// When neither root nor a user namespace may mount: says why.
pub fn privately(script: &str) -> Result<Command, String> {
    let make = if is_root() { as_root } else { in_a_user_namespace };
    // Some systems allow the namespace and forbid the mount.
    let tried = make("mount -t tmpfs tmpfs /tmp").stdin(Stdio::null()).output();
    match tried {
        Ok(tried) if tried.status.success() => Ok(make(script)),
        Ok(tried) => Err(format!("nothing can be mounted here: {}", String::from_utf8_lossy(&tried.stderr).trim())),
        Err(error) => Err(format!("no mount namespace can be had: {error}")),
    }
}

fn as_root(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]);
    #[expect(unsafe_code, reason = "between fork and exec it makes system calls, nothing else")]
    // SAFETY: `private_mounts` takes no lock and no memory.
    unsafe {
        shell.pre_exec(private_mounts)
    };
    shell
}

/// Mounts of a namespace with fewer rights never get out of it.
fn in_a_user_namespace(script: &str) -> Command {
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "--propagation", "unchanged", "sh", "-c", script, "sh"]);
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_mounts_is_seen_by_no_other_process() {
        let directory = std::env::temp_dir().join(format!("ground-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let script = "mount -t tmpfs tmpfs \"$1\" && touch \"$1/inside\" && ls \"$1\"";
        match privately(script) {
            Err(why) => crate::again_as_root(crate::this_test!(), &why),
            Ok(mut shell) => {
                let listed = shell.arg(&directory).output().unwrap();
                assert_eq!(String::from_utf8_lossy(&listed.stdout), "inside\n", "{listed:?}");
                assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
            }
        }
        std::fs::remove_dir(&directory).unwrap();
    }
}
