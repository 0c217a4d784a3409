//! `outbox export` writes the records that wait to a file. It does not acknowledge them: the outbox stays as it is.

use std::io::{self, Write};
use std::path::Path;

use settings::terminal::write_line;

use super::{CONFIGURATION, LOCKED, UNAVAILABLE};
use crate::config::Config;
use crate::export::Export;
use crate::outbox::{AsOwner, OpenError, Outbox};

/// Records that are read at a time, and their bytes.
const RECORDS: usize = 10_000;
const BYTES: usize = 8 * 1024 * 1024;

/// Writes the file. Returns 0; 69 when there is no outbox or a disk refuses; 75 beside a running agent, which has the
/// outbox; 78 when a later version wrote it.
///
/// # Errors
/// When `out` takes no more.
pub fn run(config: &Config, file: &Path, out: &mut impl Write) -> io::Result<u8> {
    let refused = |error: io::Error| {
        log::error!("{} can't be written: {error}", file.display());
        Ok(UNAVAILABLE)
    };
    // The file is that of the person who asks for it, what is written beside the outbox is its owner's.
    let mut export = match Export::begin(file, &config.agent.name) {
        Ok(export) => export,
        Err(error) => return refused(error),
    };
    let results = match export_all(config, &mut export) {
        Ok(results) => results,
        Err(Failed::Open(error)) => {
            log::error!("{error}");
            return Ok(match error {
                OpenError::Locked { .. } => {
                    log::error!("stop the agent, export, and start it again");
                    LOCKED
                }
                OpenError::LaterVersion { .. } => CONFIGURATION,
                OpenError::Io { .. } | OpenError::Absent { .. } => UNAVAILABLE,
            });
        }
        Err(Failed::Copy(error)) => return refused(error),
    };
    match export.finish() {
        Ok((records, bytes)) => {
            write_line(out, format_args!("{}: {records} records in {bytes} bytes", file.display()))?;
            if results > 0 {
                log::warn!(results; "the agent was killed: results in its journal have no number yet and are not exported; its next start takes them up");
            }
            Ok(0)
        }
        Err(error) => refused(error),
    }
}

/// Why not all of an outbox is in the file.
enum Failed {
    Open(OpenError),
    Copy(io::Error),
}

/// Writes what waits into the file. How many results lie in the journal beside it.
fn export_all(config: &Config, export: &mut Export) -> Result<u64, Failed> {
    let _owner = AsOwner::of(&config.outbox.path).map_err(Failed::Copy)?;
    let outbox = Outbox::open_existing(&config.outbox).map_err(Failed::Open)?;
    let mut after = outbox.acknowledged();
    loop {
        let entries = outbox.read(after, RECORDS, BYTES).map_err(Failed::Copy)?;
        let Some(last) = entries.last() else { return Ok(outbox.status().in_journal) };
        after = last.position;
        for entry in entries {
            export.add(&wire::stamp(entry.epoch, entry.seq, &entry.payload)).map_err(Failed::Copy)?;
        }
    }
}
