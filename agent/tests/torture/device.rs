//! A disk of our own whose power can be cut: ext4 on a loop device without a cache between it and its file.
//!
//! ext4's own shutdown, without a flush of its journal, is the cut: from then on nothing reaches the device. All mounts
//! are in a mount namespace of the calling thread and end with it, however the test ends.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Advice, fadvise};
use rustix::ioctl::{Setter, ioctl, opcode};

/// `EXT4_IOC_SHUTDOWN`, and its argument that keeps the journal from being flushed.
const SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
const NO_LOG_FLUSH: u32 = 2;

/// A mounted file system in a file.
pub(crate) struct Device {
    image: PathBuf,
    mount: PathBuf,
}

impl Device {
    /// An empty file system.
    pub(crate) fn make(image: &Path, bytes: u64) -> Result<(), String> {
        let made = File::create(image).and_then(|file| file.set_len(bytes));
        made.map_err(|error| format!("{}: {error}", image.display()))?;
        run("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", text(image)])?;
        leave_to_the_disk(image)
    }

    pub(crate) fn mount(image: &Path, mount: &Path) -> Result<Device, String> {
        std::fs::create_dir_all(mount).map_err(|error| format!("{}: {error}", mount.display()))?;
        let looped = output("losetup", &["--find", "--show", "--direct-io=on", text(image)])?;
        let mounted = run("mount", &["-t", "ext4", looped.trim(), text(mount)]);
        // The kernel keeps it for as long as it is mounted.
        run("losetup", &["--detach", looped.trim()])?;
        mounted.map(|()| Device { image: image.to_owned(), mount: mount.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// Cuts the power, and keeps what the device then has in a file of its own.
    pub(crate) fn cut(&self, kept: &Path) -> io::Result<()> {
        let root = File::open(&self.mount)?;
        #[expect(unsafe_code, reason = "there is no safe call for this ioctl")]
        // SAFETY: the kernel reads one u32 and keeps no pointer.
        unsafe {
            ioctl(root, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH))?;
        }
        copy(&self.image, kept).map_err(io::Error::other)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &[text(&self.mount)])
            && !std::thread::panicking()
        {
            panic!("{error}");
        }
    }
}

/// Copies an image without filling its holes.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    leave_to_the_disk(from)?;
    run("cp", &["--sparse=always", text(from), text(to)])?;
    leave_to_the_disk(to)
}

/// Drops what the system remembers of an image. The loop device writes past that memory, so a copy could else have a
/// page from before.
fn leave_to_the_disk(image: &Path) -> Result<(), String> {
    let left = File::open(image).and_then(|file| {
        file.sync_all()?;
        Ok(fadvise(&file, 0, None, Advice::DontNeed)?)
    });
    left.map_err(|error| format!("{}: {error}", image.display()))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    output(program, arguments).map(drop)
}

fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let done = Command::new(program).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
    let done = done.map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(if done.status.success() { &done.stdout } else { &done.stderr }).into_owned();
    if done.status.success() { Ok(said) } else { Err(format!("{program} {}: {said}", arguments.join(" "))) }
}
