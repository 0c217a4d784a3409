//! Which connections a process has.

use std::collections::BTreeSet;

use anyhow::Result;
use procfs::process::{FDTarget, Process};

/// The local ports of a process's TCP connections.
///
/// # Errors
/// When there is no such process, or it is somebody else's.
pub fn local_ports(process: u32) -> Result<BTreeSet<u16>> {
    let process = Process::new(i32::try_from(process)?)?;
    let of = |target| if let FDTarget::Socket(inode) = target { Some(inode) } else { None };
    let sockets: BTreeSet<u64> = process.fd()?.flatten().filter_map(|fd| of(fd.target)).collect();
    let ours = process.tcp()?.into_iter().filter(|entry| sockets.contains(&entry.inode));
    Ok(ours.map(|entry| entry.local_address.port()).collect())
}
