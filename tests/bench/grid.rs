//! How exactly checks begin, and what they cost, as a server sees it that logs when each request arrives.
//!
//! Each monitor has a grid of its own; a request's deviation is from the grid on which most of its requests lie. The
//! agent is whole: each result is made durable, and published.

mod say;
mod usage;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use e2e::Stack;
use e2e::web::Answer;
use say::say;
use usage::usage;

/// Long enough for every monitor to have been checked, and for what hangs to be known.
const WARM_UP: Duration = Duration::from_secs(25);
const MEASURED: Duration = Duration::from_secs(60);

struct Load {
    monitors: usize,
    seconds: u64,
    /// One of so many sites hangs until the timeout of five seconds; none for 0.
    hanging: usize,
}

fn main() -> ExitCode {
    let loads = [
        Load { monitors: 200, seconds: 1, hanging: 0 },
        Load { monitors: 1_000, seconds: 10, hanging: 0 },
        Load { monitors: 1_000, seconds: 10, hanging: 10 },
    ];
    say::ended(loads.iter().try_for_each(measure))
}

fn measure(load: &Load) -> Result<()> {
    let stack = Stack::start()?;
    let mut setup = stack.agent().interval(&format!("{}s", load.seconds));
    for n in 0..load.monitors {
        let hangs = load.hanging > 0 && n % load.hanging == 0;
        let answer = if hangs { Answer::hang() } else { Answer::ok("Welcome to the shop") };
        let url = stack.web.site(&format!("/{}{n}", if hangs { "hangs-" } else { "" }), answer);
        setup = setup.monitor(&format!("monitor {n}"), url);
    }
    let agent = setup.start()?;
    // The time itself is what is measured.
    std::thread::sleep(WARM_UP);
    let (known, before) = (stack.web.requests().len(), usage(agent.id())?);
    std::thread::sleep(MEASURED);
    let (after, requests) = (usage(agent.id())?, stack.web.requests().split_off(known));

    let all = requests.len();
    let healthy: Vec<_> = requests.into_iter().filter(|request| !request.path.contains("hangs")).collect();
    let due = (load.monitors - load.monitors.checked_div(load.hanging).unwrap_or(0)) as u64 * MEASURED.as_secs();
    let mut arrivals: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for request in &healthy {
        arrivals.entry(&request.path).or_default().push(request.seen_at.as_microsecond());
    }
    let mut deviations: Vec<i64> = arrivals.values().flat_map(|times| deviations(times, load.seconds)).collect();
    deviations.sort_unstable();
    let at = |share: f64| deviations[((deviations.len() - 1) as f64 * share) as usize] as f64 / 1_000.0;
    let mut times: Vec<i64> = healthy.iter().map(|request| request.seen_at.as_microsecond()).collect();
    times.sort_unstable();
    let most =
        times.iter().enumerate().map(|(n, time)| times[n..].partition_point(|other| other - time < 100_000)).max();

    let hanging = match load.hanging {
        0 => String::new(),
        every => format!(", one in {every} hangs for 5 s"),
    };
    say(&format!("{} monitors every {} s{hanging}:", load.monitors, load.seconds))?;
    say(&format!("  checks     {} of healthy sites, {} were due", healthy.len(), due / load.seconds))?;
    say(&format!("  deviation  {:.1} / {:.1} / {:.1} ms at p50 / p99 / most", at(0.5), at(0.99), at(1.0)))?;
    say(&format!("  starts     at most {} in 100 ms", most.unwrap_or(0)))?;
    say(&format!(
        "  agent      {:.2} CPU s per 1,000 checks, {} MiB resident, {} MiB at most",
        1_000.0 * (after.cpu - before.cpu) / all as f64,
        after.resident >> 20,
        after.most >> 20
    ))
}

/// How far each arrival is from the grid through the middle one of them, in microseconds.
fn deviations(times: &[i64], seconds: u64) -> Vec<i64> {
    let interval = seconds as i64 * 1_000_000;
    let from_first = |time: i64| {
        let rest = (time - times[0]).rem_euclid(interval);
        if rest > interval / 2 { rest - interval } else { rest }
    };
    let mut phases: Vec<i64> = times.iter().map(|time| from_first(*time)).collect();
    phases.sort_unstable();
    let middle = phases[phases.len() / 2];
    phases.iter().map(|phase| (phase - middle).abs()).collect()
}
