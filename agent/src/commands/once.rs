//! `once` checks monitors one time, now, without an outbox and without Kafka.

mod table;

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jiff::Timestamp;
use parking_lot::Mutex;
use wire::{CheckResult, Outcome};

use super::FOUND;
use crate::arguments::Format;
use crate::check::Checker;
use crate::config::{Config, Monitor};

/// Checks every monitor once, or those that are named by id or name; as many at a time as there are workers. Writes the
/// results in the configuration's order. The answer is the exit code: 1 when a check failed, a name is unknown, or,
/// where all were meant, an entry was skipped.
///
/// # Errors
/// When `out` can't be written, or no check can be made at all.
pub fn run(config: &Config, names: &[String], format: Format, out: &mut impl Write) -> io::Result<u8> {
    let monitors = match choose(config, names) {
        Ok(monitors) => monitors,
        Err(problem) => {
            log::error!("{problem}");
            return Ok(FOUND);
        }
    };
    if names.is_empty() {
        config.log_faults();
    }
    let checker = Checker::new().map_err(io::Error::other)?;
    let results = check_all(&checker, &monitors, config.workers);
    match format {
        Format::Table => table::write(&results, Timestamp::now(), out)?,
        Format::Json => write_json(&results, out)?,
    }
    out.flush()?;
    let failed = results.iter().any(|result| result.outcome != Outcome::Success);
    let skipped = names.is_empty() && !config.faults.is_empty();
    Ok(if failed || skipped { FOUND } else { 0 })
}

/// The monitors that are meant, in the configuration's order.
fn choose<'a>(config: &'a Config, names: &[String]) -> Result<Vec<&'a Monitor>, String> {
    let is = |monitor: &Monitor, name: &String| monitor.id == *name || monitor.name == *name;
    if let Some(unknown) = names.iter().find(|name| !config.monitors.iter().any(|monitor| is(monitor, name))) {
        return Err(tell_unknown(config, unknown));
    }
    let meant = |monitor: &&Monitor| names.is_empty() || names.iter().any(|name| is(monitor, name));
    Ok(config.monitors.iter().filter(meant).collect())
}

fn tell_unknown(config: &Config, unknown: &str) -> String {
    if config.skipped.contains(unknown) {
        return format!("the entry of the monitor {unknown:?} is faulty; `check-config` shows what is wrong with it");
    }
    let known = config.monitors.iter().flat_map(|monitor| [monitor.id.as_str(), monitor.name.as_str()]);
    match settings::nearest(unknown, known) {
        Some(nearest) => format!("there is no monitor {unknown:?}; did you mean {nearest:?}?"),
        None => format!("there is no monitor {unknown:?}; `check-config` lists them"),
    }
}

fn check_all(checker: &Checker, monitors: &[&Monitor], workers: usize) -> Vec<CheckResult> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(monitors.len()));
    let work = || {
        while let Some((index, monitor)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| {
            let monitor = monitors.get(index)?;
            Some((index, monitor))
        }) {
            let result = checker.check(monitor, Timestamp::now());
            results.lock().push((index, result));
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
    let mut results = results.into_inner();
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;

    use super::*;
    use crate::check::testing::{monitor, serve};

    fn results() -> Vec<CheckResult> {
        let good = monitor(&serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut refused = monitor(&format!("http://{free}/"));
        refused.name = "näme".into();
        check_all(&Checker::new().unwrap(), &[&good, &refused, &good], 3)
    }

    #[test]
    fn every_monitor_has_its_result_in_the_configurations_order() {
        let outcomes: Vec<Outcome> = results().iter().map(|result| result.outcome).collect();
        assert_eq!(outcomes, [Outcome::Success, Outcome::ConnectionRefused, Outcome::Success]);
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

    #[test]
    fn monitors_are_chosen_by_id_or_name_and_an_unknown_one_is_an_error_with_a_suggestion() {
        let config = Config::load(Path::new("testdata/valid-full.yaml")).unwrap();
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            choose(&config, &names).map(|chosen| chosen.iter().map(|monitor| monitor.id.clone()).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&[]).unwrap().len(), 3);
        assert_eq!(chosen(&["by-id", "shop"]).unwrap(), ["shop", "by-id"]);
        assert_eq!(chosen(&["shop", "shpo"]).unwrap_err(), "there is no monitor \"shpo\"; did you mean \"shop\"?");
        let unlike = chosen(&["something else"]).unwrap_err();
        assert!(unlike.ends_with("`check-config` lists them"), "{unlike}");
    }
}
