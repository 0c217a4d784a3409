//! `once`: every monitor is checked once, now, without an outbox and without Kafka.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use jiff::Timestamp;
use wire::{CheckResult, Outcome};

use super::{FOUND, Format};
use crate::check::Checker;
use crate::config::{Config, Monitor};

/// Checks every monitor once, as many at a time as there are workers, and writes the results in the configuration's
/// order. The answer is the exit code: 1 when a check failed or an entry was skipped.
///
/// # Errors
/// When `out` can't be written, or no check can be made at all.
pub fn run(config: &Config, format: Format, out: &mut impl Write) -> io::Result<u8> {
    config.log_faults();
    let checker = Checker::new().map_err(io::Error::other)?;
    let results = check_all(&checker, &config.monitors, config.workers);
    match format {
        Format::Table => write_table(&results, out)?,
        Format::Json => write_json(&results, out)?,
    }
    out.flush()?;
    let failed = results.iter().any(|result| result.outcome != Outcome::Success);
    Ok(if failed || !config.faults.is_empty() { FOUND } else { 0 })
}

fn check_all(checker: &Checker, monitors: &[Monitor], workers: usize) -> Vec<CheckResult> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(monitors.len()));
    let work = || {
        while let Some((index, monitor)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| {
            let monitor = monitors.get(index)?;
            Some((index, monitor))
        }) {
            let result = checker.check(monitor, Timestamp::now());
            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };
    thread::scope(|scope| {
        // One of the workers is this thread, so that there is one even where no more can be made.
        for _ in 1..workers.min(monitors.len()) {
            if thread::Builder::new().name("worker".into()).spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn write_json(results: &[CheckResult], out: &mut impl Write) -> io::Result<()> {
    for result in results {
        serde_json::to_writer(&mut *out, result)?;
        writeln!(out)?;
    }
    Ok(())
}

fn write_table(results: &[CheckResult], out: &mut impl Write) -> io::Result<()> {
    let width = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let name = width(&mut results.iter().map(|result| result.name.chars().count())).max("NAME".len());
    let outcome = width(&mut results.iter().map(|result| result.outcome.as_str().len())).max("OUTCOME".len());
    writeln!(out, "{:name$}  {:outcome$}  {:>4}  {:>9}  ERROR", "NAME", "OUTCOME", "CODE", "MS")?;
    for result in results {
        let code = result.status_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let micros = result.response_time_us.unwrap_or(0);
        let millis = format!("{}.{}", micros / 1000, micros % 1000 / 100);
        let error = result.error.as_deref().unwrap_or("");
        let line =
            format!("{:name$}  {:outcome$}  {code:>4}  {millis:>9}  {error}", result.name, result.outcome.as_str());
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::check::testing::{monitor, serve};

    fn results() -> Vec<CheckResult> {
        let good = monitor(&serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut refused = monitor(&format!("http://{free}/"));
        refused.name = "näme".into();
        check_all(&Checker::new().unwrap(), &[good.clone(), refused, good], 3)
    }

    #[test]
    fn every_monitor_has_its_result_in_the_configurations_order() {
        let outcomes: Vec<Outcome> = results().iter().map(|result| result.outcome).collect();
        assert_eq!(outcomes, [Outcome::Success, Outcome::ConnectionRefused, Outcome::Success]);
    }

    #[test]
    fn the_table_has_a_line_for_each_monitor_and_the_error_of_those_that_failed() {
        let mut out = Vec::new();
        write_table(&results(), &mut out).unwrap();
        let table = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4, "{table}");
        assert!(lines[0].starts_with("NAME       OUTCOME             CODE"), "{table}");
        assert!(lines[1].starts_with("a monitor  success              200"), "{table}");
        assert!(lines[2].starts_with("näme       connection_refused     -"), "{table}");
        assert!(lines[2].contains("refused (os error"), "{table}");
    }

    #[test]
    fn each_json_line_is_a_result() {
        let results = results();
        let mut out = Vec::new();
        write_json(&results, &mut out).unwrap();
        let lines: Vec<CheckResult> =
            out.split_inclusive(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1].outcome, results[1].outcome);
    }
}
