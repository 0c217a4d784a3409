//! `outbox status` tells what waits in the outbox, beside a running agent or after it has ended.

use std::fmt::Display;
use std::io::{self, Write};

use jiff::Timestamp;
use settings::terminal::write_line;

use super::UNAVAILABLE;
use crate::arguments::Format;
use crate::config::Config;
use crate::outbox::{Status, read_status};

/// Prints the status of the configuration's outbox. Returns 0, or 69 when there is none that can be read.
///
/// # Errors
/// When `out` takes no more.
pub fn run(config: &Config, format: Format, out: &mut impl Write) -> io::Result<u8> {
    match read_status(&config.outbox) {
        Err(error) => {
            log::error!("{error}");
            Ok(UNAVAILABLE)
        }
        Ok(status) => {
            match format {
                Format::Json => writeln!(out, "{}", serde_json::to_string(&status).map_err(io::Error::other)?)?,
                Format::Table => write_table(&status, out)?,
            }
            Ok(0)
        }
    }
}

fn write_table(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let mut row = |name: &str, value: &dyn Display| write_line(out, format_args!("{name:<13} {value}"));
    match status.epoch {
        Some(epoch) => row("epoch", &format_args!("{epoch}, {} numbers issued", status.highest_seq))?,
        None => row("epoch", &"none yet")?,
    }
    row(
        "appended",
        &format_args!("{} records ever, {} of them done with", status.position, status.acknowledged_position),
    )?;
    match status.oldest_pending {
        Some(oldest) => {
            let age = Timestamp::now().duration_since(oldest.appended_at).as_secs();
            row("pending", &format_args!("{} records, the oldest for {age} s", status.pending))?;
        }
        None => row("pending", &format_args!("{} records", status.pending))?,
    }
    if status.in_journal > 0 {
        row("in journal", &format_args!("{} results, which the next start takes up", status.in_journal))?;
    }
    match (&status.refused, status.in_memory) {
        (Some(error), waiting) => row("in memory", &format_args!("{waiting} records; the disk refuses them: {error}"))?,
        (None, waiting) => row("in memory", &format_args!("{waiting} records"))?,
    }
    row("on disk", &format_args!("{} bytes", status.bytes))?;
    row("dropped", &format_args!("{} records ever", status.dropped))?;
    row("damaged", &format_args!("{} chunks kept aside", status.damaged))
}
