//! The files of an outbox belong to the owner of its directory, whichever user opens the outbox.
//!
//! To open an outbox is to write: its database makes files and replaces them. What root wrote, with an umask of 027, the
//! agent could not read on its next start.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Gid, Uid, getegid, geteuid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

/// While it lives, root's calling thread, and the threads that it starts, write as the owner of a directory. Anyone else
/// stays who they are.
#[derive(Debug)]
pub struct AsOwner {
    /// To whom the thread goes back.
    before: Option<(Uid, Gid)>,
}

impl AsOwner {
    /// Becomes the owner of the directory at `path`, where there is one.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn of(path: &Path) -> io::Result<AsOwner> {
        let owner = fs::metadata(path).ok().filter(|owner| geteuid().is_root() && owner.uid() != 0);
        let Some(owner) = owner else { return Ok(AsOwner { before: None }) };
        let before = (geteuid(), getegid());
        // The group first: afterwards the thread has no right to change it.
        set_thread_res_gid(None, Gid::from_raw(owner.gid()), None)?;
        let guard = AsOwner { before: Some(before) };
        set_thread_res_uid(None, Uid::from_raw(owner.uid()), None)?;
        Ok(guard)
    }
}

impl Drop for AsOwner {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.before {
            // The thread's real identity is still root's, so neither can fail.
            set_thread_res_uid(None, uid, None).ok();
            set_thread_res_gid(None, gid, None).ok();
        }
    }
}
