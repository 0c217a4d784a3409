//! `check-config` shows what would run, and all faults at once.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};
use settings::Fault;
use settings::quantity::{show_duration, show_size};
use settings::terminal::write_line;

use super::{CONFIGURATION, FOUND};
use crate::arguments::Format;
use crate::config::{Changes, Config, Monitor, Target};
use crate::publish;

/// Checks the file at `path`. Returns 0, 1 when entries would be skipped, or 78 when the file is refused.
///
/// # Errors
/// When `out` takes no more.
pub fn run(path: &Path, format: Format, out: &mut impl Write) -> io::Result<u8> {
    let checked = check(path);
    match format {
        Format::Table => write_table(&checked, out)?,
        Format::Json => writeln!(out, "{}", json(&checked))?,
    }
    Ok(match checked {
        Ok(config) if config.faults.is_empty() => 0,
        Ok(_) => FOUND,
        Err(_) => CONFIGURATION,
    })
}

/// What would run, or why nothing would.
fn check(path: &Path) -> Result<Config, Vec<Fault>> {
    let config = Config::load(path).map_err(|refused| refused.faults)?;
    let Err(problem) = publish::check(&config.kafka) else { return Ok(config) };
    let mut faults = config.faults;
    let fault = Fault::of_file(path, problem, "see librdkafka's CONFIGURATION.md for what it knows");
    faults.push(Fault { option: Some("kafka".into()), ..fault });
    Err(faults)
}

fn json(checked: &Result<Config, Vec<Fault>>) -> Value {
    let (config, faults) = match checked {
        Ok(config) => (Some(config), &config.faults),
        Err(faults) => (None, faults),
    };
    let monitors = config.into_iter().flat_map(|config| &config.monitors);
    let monitors = monitors.map(|monitor| {
        let (interval, timeout) = (monitor.interval.as_secs_f64(), monitor.timeout.as_secs_f64());
        json!({"id": monitor.id, "name": monitor.name, "url": monitor.url.as_str(), "interval": interval, "timeout": timeout})
    });
    let faults = faults.iter().map(|fault| {
        json!({
            "file": fault.file.to_string_lossy(), "line": fault.line, "entry": fault.entry, "option": fault.option,
            "problem": fault.problem, "mend": fault.mend,
        })
    });
    json!({
        "refused": config.is_none(),
        "revision": config.map(|config| &config.revision),
        "checks_per_minute": config.map(checks_per_minute),
        "notes": config.and_then(slower_than_their_interval).into_iter().collect::<Vec<_>>(),
        "monitors": monitors.collect::<Vec<_>>(),
        "ids": config.map(|config| {
            let Changes { new, changed, gone } = &config.changes;
            json!({"new": new, "changed": changed, "gone": gone})
        }),
        "faults": faults.collect::<Vec<_>>(),
    })
}

fn checks_per_minute(config: &Config) -> f64 {
    config.monitors.iter().map(|monitor| 60.0 / monitor.interval.as_secs_f64()).sum()
}

/// How many workers are busy when every check takes its whole timeout.
fn workers_at_worst(config: &Config) -> f64 {
    let shares = config.monitors.iter().map(|monitor| monitor.timeout.as_secs_f64() / monitor.interval.as_secs_f64());
    // One that takes longer than its interval misses slots, but never runs twice at once.
    shares.map(|share| share.min(1.0)).sum::<f64>().ceil()
}

/// What may happen to monitors whose checks may last longer than their interval, if there are any.
fn slower_than_their_interval(config: &Config) -> Option<String> {
    let mut slower = config.monitors.iter().filter(|monitor| monitor.timeout > monitor.interval);
    let Monitor { id, timeout, interval, .. } = slower.next()?;
    let (timeout, interval) = (show_duration(*timeout), show_duration(*interval));
    let others = match slower.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Some(format!(
        "{id}{others}: the timeout ({timeout}) is above the interval ({interval}); a check that lasts longer than the \
         interval leaves out the checks that would begin meanwhile"
    ))
}

fn write_table(checked: &Result<Config, Vec<Fault>>, out: &mut impl Write) -> io::Result<()> {
    match checked {
        Ok(config) => {
            write_config(config, out)?;
            write_faults(&config.faults, out)
        }
        Err(faults) => {
            write_faults(faults, out)?;
            write_line(out, "refused: nothing runs until this is mended")
        }
    }
}

fn write_config(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let (kafka, outbox) = (&config.kafka, &config.outbox);
    let mut row = |name: &str, value: &dyn Display| write_line(out, format_args!("{name:<8}  {value}"));
    row("agent", &format_args!("{} (configuration {})", config.agent.name, config.revision))?;
    let protocol = kafka.security.protocol.as_str();
    row("kafka", &format_args!("{}, topic {}, {protocol}", kafka.bootstrap_servers, kafka.topic))?;
    let (size, policy) = (show_size(outbox.max_size), outbox.when_full.as_str());
    row("outbox", &format_args!("{}, at most {size}, then {policy}", outbox.path.display()))?;
    let (rate, busy, workers) = (checks_per_minute(config), workers_at_worst(config), config.workers);
    // The sum of no rates is -0.
    row("checks", &format_args!("{:.1} a minute", rate.abs()))?;
    row("workers", &format_args!("{workers}; checks that all take their whole timeout keep {busy} of them busy"))?;
    if let Some(note) = slower_than_their_interval(config) {
        row("note", &note)?;
    }
    row("monitors", &config.monitors.len())?;
    config.monitors.iter().try_for_each(|monitor| write_line(out, format_args!("  {}", in_a_line(monitor))))?;
    if config.changes.is_empty() {
        return Ok(());
    }
    write_line(out, "beside what ran last")?;
    config.changes.to_string().lines().try_for_each(|change| write_line(out, format_args!("  {change}")))
}

fn in_a_line(monitor: &Monitor) -> String {
    let (interval, timeout) = (show_duration(monitor.interval), show_duration(monitor.timeout));
    let pattern = monitor.pattern.as_ref().map(|pattern| format!(", pattern {}", pattern.as_str())).unwrap_or_default();
    let request = special(&monitor.target);
    format!("{}: {} every {interval}, timeout {timeout}{pattern}{request}", monitor.id, monitor.url)
}

/// What is special about a request; never what may be secret.
fn special(target: &Target) -> String {
    let Target::Http(request) = target else { return String::new() };
    let method = if request.method == http::Method::GET { String::new() } else { format!(", {}", request.method) };
    let login = match request.authorization.as_ref().map(|value| value.as_bytes().starts_with(b"Basic ")) {
        Some(true) => ", with user and password",
        Some(false) => ", with a token",
        None => "",
    };
    method + login
}

fn write_faults(faults: &[Fault], out: &mut impl Write) -> io::Result<()> {
    match faults {
        [] => return write_line(out, "no faults"),
        [_] => write_line(out, "1 fault")?,
        faults => write_line(out, format_args!("{} faults", faults.len()))?,
    }
    faults.iter().try_for_each(|fault| write_line(out, format_args!("  {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fixture: &str) -> (u8, String) {
        let mut out = Vec::new();
        let exit = run(&Path::new("testdata").join(fixture), Format::Table, &mut out).unwrap();
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
                "checks    7.3 a minute",
                "workers   8; checks that all take their whole timeout keep 1 of them busy",
                "monitors  3",
                r"  shop: https://shop.example/cart?full=1 every 10s, timeout 500ms, pattern ^\d+ items$, with user and password",
                "  by-id: https://shop.example/ every 1m 30s, timeout 3s",
                "  three: https://shop.example/3 every 1m 30s, timeout 3s",
                "no faults",
            ]
        );
    }

    #[test]
    fn checks_that_may_last_longer_than_their_interval_are_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.yaml");
        let text = "interval: 5\ndefaults: {timeout: 10s}\nmonitors: [{name: a, url: 'http://localhost/'}, \
                    {name: b, url: 'http://localhost/', interval: 1m}, {name: c, url: 'http://localhost/'}]\n";
        std::fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        assert_eq!(run(&file, Format::Table, &mut out).unwrap(), 0);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("note      a and 1 more: the timeout (10s) is above the interval (5s)"), "{out}");
    }

    #[test]
    fn each_monitor_is_one_line_whatever_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.yaml");
        let text = "interval: 5\nmonitors: [{name: \"a\\r\\nno faults\\e[2J\\u202e\", url: 'http://localhost/'}]\n";
        std::fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        assert_eq!(run(&file, Format::Table, &mut out).unwrap(), 0);
        let out = String::from_utf8(out).unwrap();
        let monitor = r"  a\r\nno faults\u{1b}[2J\u{202e}: http://localhost/ every 5s, timeout 5s";
        assert_eq!(out.lines().collect::<Vec<_>>()[6..], [monitor, "no faults"], "{out}");
    }

    #[test]
    fn what_librdkafka_refuses_is_a_fault_too() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.yaml");
        let text = "interval: 5\nmonitors: [{url: 'http://localhost/'}]\nkafka: {properties: {lingr.ms: 5}}\n";
        std::fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        assert_eq!(run(&file, Format::Table, &mut out).unwrap(), CONFIGURATION);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("agent.yaml: kafka: ") && out.contains("lingr.ms"), "{out}");
    }

    #[test]
    fn json_has_what_would_run_or_what_is_wrong() {
        let shown = |fixture: &str| -> Value {
            let mut out = Vec::new();
            run(&Path::new("testdata").join(fixture), Format::Json, &mut out).unwrap();
            serde_json::from_slice(&out).unwrap()
        };
        let sound = shown("valid-full.yaml");
        assert_eq!((&sound["refused"], sound["monitors"].as_array().unwrap().len()), (&json!(false), 3));
        let refused = shown("invalid-everything.yaml");
        assert_eq!((&refused["refused"], refused["faults"].as_array().unwrap().len()), (&json!(true), 6));
        assert!(refused["faults"][0]["line"].is_u64(), "{refused}");
        assert!(!sound.to_string().contains("s3cret"));
    }

    #[test]
    fn a_refused_file_shows_nothing_that_would_run() {
        let (exit, out) = check("invalid-everything.yaml");
        assert_eq!(exit, CONFIGURATION);
        assert!(out.starts_with("6 faults\n  testdata/invalid-everything.yaml:"), "{out}");
        assert!(out.ends_with("refused: nothing runs until this is mended\n"), "{out}");
    }
}
