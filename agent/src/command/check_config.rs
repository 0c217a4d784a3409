//! `check-config`: what would run, and every fault at once.

use std::io::{self, Write};
use std::path::Path;

use regex::bytes::Regex;
use settings::Fault;
use settings::quantity::{show_duration, show_size};

use crate::config::Config;

/// Some entries would be skipped.
const SKIPPED: u8 = 1;
/// Nothing would run.
const REFUSED: u8 = 78;

/// Checks the file at `path`. Returns 0, 1 when entries would be skipped, or 78 when the file is refused.
///
/// # Errors
/// When `out` takes no more.
pub fn run(path: &Path, out: &mut impl Write) -> io::Result<u8> {
    match Config::load(path) {
        Ok(config) => {
            write_config(&config, out)?;
            write_faults(&config.faults, out)?;
            match config.faults.as_slice() {
                [] => Ok(0),
                _ => Ok(SKIPPED),
            }
        }
        Err(refused) => {
            write_faults(&refused.faults, out)?;
            writeln!(out, "refused: nothing runs until this is mended")?;
            Ok(REFUSED)
        }
    }
}

fn write_config(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let (kafka, outbox) = (&config.kafka, &config.outbox);
    writeln!(out, "agent     {} (revision {})", config.agent.name, config.revision)?;
    let protocol = kafka.security.protocol.as_str();
    writeln!(out, "kafka     {}, topic {}, {protocol}", kafka.bootstrap_servers, kafka.topic)?;
    let (size, policy) = (show_size(outbox.max_size), outbox.when_full.as_str());
    writeln!(out, "outbox    {}, at most {size}, then {policy}", outbox.path.display())?;
    writeln!(out, "workers   {}", config.workers)?;
    writeln!(out, "monitors  {}", config.monitors.len())?;
    for monitor in &config.monitors {
        let (interval, timeout) = (show_duration(monitor.interval), show_duration(monitor.timeout));
        write!(out, "  {}: {} every {interval}, timeout {timeout}", monitor.id, monitor.url)?;
        if let Some(pattern) = monitor.pattern.as_ref().map(Regex::as_str) {
            write!(out, ", pattern {pattern}")?;
        }
        if monitor.basic_auth.is_some() {
            write!(out, ", with user and password")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_faults(faults: &[Fault], out: &mut impl Write) -> io::Result<()> {
    match faults {
        [] => return writeln!(out, "no faults"),
        [_] => writeln!(out, "1 fault")?,
        faults => writeln!(out, "{} faults", faults.len())?,
    }
    faults.iter().try_for_each(|fault| writeln!(out, "  {fault}"))
}
