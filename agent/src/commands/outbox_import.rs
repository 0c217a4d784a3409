//! `outbox import` sends to Kafka what was exported elsewhere. A second import adds nothing, because the numbers are the same.

use std::io::{self, Write};
use std::path::Path;

use settings::terminal::write_line;

use super::{CONFIGURATION, UNAVAILABLE};
use crate::config::Config;
use crate::export::{Import, Refused};
use crate::publish;

/// Sends a file's messages to the configuration's topic. Returns 0 when Kafka has acknowledged all of them; 69 when it
/// has not, or the file can't be read; 78 when the file is damaged or of a later version, and then nothing was sent.
///
/// # Errors
/// When `out` takes no more.
pub fn run(config: &Config, file: &Path, out: &mut impl Write) -> io::Result<u8> {
    let import = match Import::open(file) {
        Ok(import) => import,
        Err(refused) => {
            log::error!("{refused}");
            return Ok(if matches!(refused, Refused::Io { .. }) { UNAVAILABLE } else { CONFIGURATION });
        }
    };
    let sent = match import.messages() {
        Ok(messages) => publish::send_all(&config.kafka, &import.header.agent, messages),
        Err(error) => Err(error.into()),
    };
    match sent {
        Ok(()) => {
            let (topic, agent) = (&config.kafka.topic, &import.header.agent);
            write_line(out, format_args!("{} records of {agent} are in the topic {topic}", import.records))?;
            Ok(0)
        }
        Err(error) => {
            log::error!("{}: {error}; import it again: what has arrived is stored once", file.display());
            Ok(UNAVAILABLE)
        }
    }
}
