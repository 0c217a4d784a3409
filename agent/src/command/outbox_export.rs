//! `outbox export`: what waits, as a file. It is not acknowledged thereby: the outbox stays as it is.

use std::io::{self, Write};
use std::path::Path;

use settings::terminal::write_line;

use super::{CONFIGURATION, LOCKED, UNAVAILABLE};
use crate::config::Config;
use crate::export::Export;
use crate::outbox::{OpenError, Outbox};

/// Records that are read at a time, and their bytes.
const RECORDS: usize = 10_000;
const BYTES: usize = 8 * 1024 * 1024;

/// Writes the file. Returns 0; 69 when there is no outbox or a disk refuses; 75 beside a running agent, which has the
/// outbox; 78 when a later version wrote it.
///
/// # Errors
/// When `out` takes no more.
pub fn run(config: &Config, file: &Path, out: &mut impl Write) -> io::Result<u8> {
    let outbox = match Outbox::open_existing(&config.outbox) {
        Ok(outbox) => outbox,
        Err(error) => {
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
    };
    match export(&outbox, &config.agent.name, file) {
        Ok((records, bytes)) => {
            write_line(out, format_args!("{}: {records} records in {bytes} bytes", file.display()))?;
            let results = outbox.status().in_journal;
            if results > 0 {
                log::warn!(results; "the agent was killed: results in its journal have no number yet and are not exported; its next start takes them up");
            }
            Ok(0)
        }
        Err(error) => {
            log::error!("{} can't be written: {error}", file.display());
            Ok(UNAVAILABLE)
        }
    }
}

fn export(outbox: &Outbox, agent: &str, file: &Path) -> io::Result<(u64, u64)> {
    let mut export = Export::begin(file, agent)?;
    let mut after = outbox.acknowledged();
    loop {
        let entries = outbox.read(after, RECORDS, BYTES)?;
        let Some(last) = entries.last() else { return export.finish() };
        after = last.position;
        for entry in entries {
            export.add(&wire::stamp(entry.epoch, entry.seq, &entry.payload))?;
        }
    }
}
