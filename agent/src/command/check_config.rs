//! `check-config`: what would run, and every fault at once.

use std::io::{self, Write};
use std::path::Path;

use settings::Fault;
use settings::quantity::{show_duration, show_size};

use super::{CONFIGURATION, FOUND};
use crate::config::{Config, Target};
use crate::publish;

/// Checks the file at `path`. Returns 0, 1 when entries would be skipped, or 78 when the file is refused.
///
/// # Errors
/// When `out` takes no more.
pub fn run(path: &Path, out: &mut impl Write) -> io::Result<u8> {
    match Config::load(path) {
        Ok(config) => match publish::check(&config.kafka) {
            Ok(()) => {
                write_config(&config, out)?;
                write_faults(&config.faults, out)?;
                Ok(if config.faults.is_empty() { 0 } else { FOUND })
            }
            Err(problem) => {
                let mut faults = config.faults;
                faults.push(Fault {
                    file: path.to_owned(),
                    entry: None,
                    option: Some("kafka".into()),
                    problem,
                    mend: "see librdkafka's CONFIGURATION.md for what it knows".into(),
                });
                refuse(&faults, out)
            }
        },
        Err(refused) => refuse(&refused.faults, out),
    }
}

fn refuse(faults: &[Fault], out: &mut impl Write) -> io::Result<u8> {
    write_faults(faults, out)?;
    writeln!(out, "refused: nothing runs until this is mended")?;
    Ok(CONFIGURATION)
}

fn write_config(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let (kafka, outbox) = (&config.kafka, &config.outbox);
    writeln!(out, "agent     {} (configuration {})", config.agent.name, config.revision)?;
    let protocol = kafka.security.protocol.as_str();
    writeln!(out, "kafka     {}, topic {}, {protocol}", kafka.bootstrap_servers, kafka.topic)?;
    let (size, policy) = (show_size(outbox.max_size), outbox.when_full.as_str());
    writeln!(out, "outbox    {}, at most {size}, then {policy}", outbox.path.display())?;
    writeln!(out, "workers   {}", config.workers)?;
    writeln!(out, "monitors  {}", config.monitors.len())?;
    for monitor in &config.monitors {
        let (interval, timeout) = (show_duration(monitor.interval), show_duration(monitor.timeout));
        write!(out, "  {}: {} every {interval}, timeout {timeout}", monitor.id, monitor.url)?;
        if let Some(pattern) = &monitor.pattern {
            write!(out, ", pattern {}", pattern.as_str())?;
        }
        write_request(&monitor.target, out)?;
        writeln!(out)?;
    }
    Ok(())
}

/// What is special about a request; never what may be secret.
fn write_request(target: &Target, out: &mut impl Write) -> io::Result<()> {
    let Target::Http(request) = target else { return Ok(()) };
    if request.method != http::Method::GET {
        write!(out, ", {}", request.method)?;
    }
    match request.authorization.as_ref().map(|value| value.as_bytes().starts_with(b"Basic ")) {
        Some(true) => write!(out, ", with user and password"),
        Some(false) => write!(out, ", with a token"),
        None => Ok(()),
    }
}

fn write_faults(faults: &[Fault], out: &mut impl Write) -> io::Result<()> {
    match faults {
        [] => return writeln!(out, "no faults"),
        [_] => writeln!(out, "1 fault")?,
        faults => writeln!(out, "{} faults", faults.len())?,
    }
    faults.iter().try_for_each(|fault| writeln!(out, "  {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fixture: &str) -> (u8, String) {
        let mut out = Vec::new();
        let exit = run(&Path::new("testdata").join(fixture), &mut out).unwrap();
        (exit, String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_will_run_is_shown() {
        let (exit, out) = check("valid-full.yaml");
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(exit, 0);
        assert!(lines[0].starts_with("agent     edge-1 (configuration "), "{out}");
        assert_eq!(
            lines[1..],
            [
                "kafka     a.example:9093,b.example:9093, topic checks, sasl_ssl",
                "outbox    testdata/outbox, at most 64.0 MiB, then pause",
                "workers   8",
                "monitors  3",
                r"  shop: https://shop.example/cart?full=1 every 10s, timeout 500ms, pattern ^\d+ items$, with user and password",
                "  by-id: https://shop.example/ every 1m 30s, timeout 3s",
                "  three: https://shop.example/3 every 1m 30s, timeout 3s",
                "no faults",
            ]
        );
    }

    #[test]
    fn what_librdkafka_refuses_is_a_fault_too() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.yaml");
        let text = "interval: 5\nmonitors: [{url: 'http://localhost/'}]\nkafka: {properties: {lingr.ms: 5}}\n";
        std::fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        assert_eq!(run(&file, &mut out).unwrap(), CONFIGURATION);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("agent.yaml: kafka: ") && out.contains("lingr.ms"), "{out}");
    }

    #[test]
    fn a_refused_file_shows_nothing_that_would_run() {
        let (exit, out) = check("invalid-everything.yaml");
        assert_eq!(exit, CONFIGURATION);
        assert!(out.starts_with("6 faults\n  testdata/invalid-everything.yaml: interval: "), "{out}");
        assert!(out.ends_with("refused: nothing runs until this is mended\n"), "{out}");
    }
}
