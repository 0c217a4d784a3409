//! How late checks begin, and what the schedule itself takes for that: 10,000 monitors at 10 s whose checks do nothing.
//!
//! Lateness is from a slot's time to the moment at which its check begins, in a worker thread. In the second load one
//! monitor in ten hangs: its check takes five seconds, as one does whose site never answers.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use agent::config::{Config, Monitor};
use agent::schedule::Schedule;
use anyhow::{Context, Result};
use jiff::Timestamp;
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::{process, say};

pub(crate) const TASK: &str = "lateness";

const MONITORS: usize = 10_000;
const INTERVAL: u64 = 10;
/// Three rounds of the monitors.
const MEASURED: Duration = Duration::from_secs(30);

struct Load {
    name: &'static str,
    /// One monitor in this many hangs; none for 0.
    hanging: usize,
    workers: usize,
    /// Long enough for each monitor's speed to be known.
    warm_up: Duration,
}

const LOADS: [Load; 2] = [
    Load { name: "all well", hanging: 0, workers: 64, warm_up: Duration::from_secs(15) },
    Load { name: "one in ten hangs for 5 s", hanging: 10, workers: 256, warm_up: Duration::from_secs(60) },
];

/// Each load in a process of its own, so that it has the processor time for itself.
pub(crate) fn measure(directory: &Path) -> Result<()> {
    say(&format!("{MONITORS} monitors every {INTERVAL} s whose checks do nothing; lateness at p50 / p99 / most"))?;
    for (place, load) in LOADS.iter().enumerate() {
        let path = directory.join("monitors.yaml");
        let monitors: Vec<_> = (0..MONITORS)
            .map(|n| {
                let hangs = load.hanging > 0 && n % load.hanging == 0;
                json!({"name": format!("{} {n}", if hangs { "hangs" } else { "well" }), "url": "http://127.0.0.1/"})
            })
            .collect();
        // JSON is YAML.
        fs::write(&path, json!({"interval": INTERVAL, "monitors": monitors}).to_string())?;
        let mut command = process::myself(TASK)?;
        command.env("CONFIG", &path).env("LOAD", place.to_string());
        say(&format!("  {:<24} {}", load.name, process::output(command)?.trim_end()))?;
    }
    Ok(())
}

pub(crate) fn child() -> Result<()> {
    let config = Config::load(Path::new(&std::env::var("CONFIG")?))?;
    let load = LOADS.get(std::env::var("LOAD")?.parse::<usize>()?).context("no such load")?;
    let lateness: Arc<Mutex<Vec<i64>>> = Arc::default();
    let noted = lateness.clone();
    let run = move |monitor: &Monitor, slot: Timestamp| {
        if monitor.name.starts_with("hangs") {
            thread::sleep(Duration::from_secs(5));
            return;
        }
        let late = Timestamp::now().as_microsecond() - slot.as_microsecond();
        noted.lock().push(late);
    };
    let monitors = config.monitors.into_iter().map(Arc::new).collect();
    let schedule = Schedule::start("bench", monitors, load.workers, Arc::new(run));
    let take = || std::mem::take(&mut *lateness.lock());
    // The time itself is what is measured.
    thread::sleep(load.warm_up);
    let (cpu, _) = (cpu(), take());
    thread::sleep(MEASURED);
    let (cpu, mut late) = (self::cpu() - cpu, take());
    late.sort_unstable();
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize] as f64 / 1_000.0;
    say(&format!(
        "{:.2} / {:.2} / {:.2} ms, {:.2}% of a core, {} checks of {} due",
        at(0.5),
        at(0.99),
        at(1.0),
        100.0 * cpu.as_secs_f64() / MEASURED.as_secs_f64(),
        late.len(),
        (MONITORS - MONITORS.checked_div(load.hanging).unwrap_or(0)) as u64 * MEASURED.as_secs() / INTERVAL,
    ))?;
    // Without a stop, which would wait for what hangs.
    std::mem::forget(schedule);
    Ok(())
}

/// What this process has taken of the processors.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}
