//! A file that takes all the room on a small disk.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::Result;

/// Its name; anyone who takes it away makes room.
pub const FILLER: &str = "filler";

/// Writes it until the disk has no byte left.
///
/// # Errors
/// When the disk refuses for another reason.
pub fn fill(directory: &Path) -> Result<()> {
    let mut filler = File::create(directory.join(FILLER))?;
    for size in [64 * 1024, 1] {
        loop {
            match filler.write(&vec![0; size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
