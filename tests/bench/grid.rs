//! How exactly checks begin, and what they cost, as a server sees it that logs when each request arrives.
//!
//! Each monitor has a grid of its own; a request's deviation is from the grid on which most of its requests lie. The
//! agent is whole: each result is made durable, and published. What it costs is told by groups of its threads, too, and
//! beside what a bare socket takes at the same pace, just before.
//!
//! A word, such as `https`, has only the loads measured that it is in the name of.

mod bare;
mod say;
mod threads;
mod usage;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use bare::bare;
use e2e::Stack;
use e2e::certificates::Authority;
use e2e::web::{Answer, Web};
use say::say;
use serde_json::json;
use threads::threads;
use usage::usage;

/// Long enough for every monitor to have been checked, and for what hangs to be known.
const WARM_UP: Duration = Duration::from_secs(25);
/// How long a bare socket is measured.
const BARE: Duration = Duration::from_secs(10);

struct Load {
    scheme: &'static str,
    monitors: usize,
    seconds: u64,
    /// One of this many sites hangs until the timeout of five seconds; none for 0.
    hanging: usize,
    measured: Duration,
}

impl Load {
    fn name(&self) -> String {
        let hanging = match self.hanging {
            0 => String::new(),
            every => format!(", one in {every} hangs for 5 s"),
        };
        format!("{} monitors every {} s over {}{hanging}:", self.monitors, self.seconds, self.scheme)
    }
}

fn main() -> ExitCode {
    let dense = |scheme| Load { scheme, monitors: 200, seconds: 1, hanging: 0, measured: Duration::from_secs(30) };
    let wide =
        |hanging| Load { scheme: "http", monitors: 1_000, seconds: 10, hanging, measured: Duration::from_secs(60) };
    let loads = [dense("http"), dense("https"), wide(0), wide(10)];
    let word = std::env::args().nth(1).unwrap_or_default();
    say::ended(loads.iter().filter(|load| load.name().contains(&word)).try_for_each(measure))
}

fn measure(load: &Load) -> Result<()> {
    let stack = Stack::start()?;
    let authority = Authority::new("sites")?;
    let web = if load.scheme == "https" { Web::start_secured(&authority)? } else { Web::start()? };
    let mut setup = stack.agent().interval(&format!("{}s", load.seconds));
    setup = setup.set("defaults", json!({"tls": {"ca_file": authority.ca_file()}}));
    for n in 0..load.monitors {
        let hangs = load.hanging > 0 && n % load.hanging == 0;
        let answer = if hangs { Answer::hang() } else { Answer::ok("Welcome to the shop") };
        let url = web.site(&format!("/{}{n}", if hangs { "hangs-" } else { "" }), answer);
        setup = setup.monitor(&format!("monitor {n}"), url);
    }
    let per_second = (load.monitors as u64 / load.seconds) as u32;
    let authorities = authority.ca_file();
    let authorities = (load.scheme == "https").then_some(authorities.as_path());
    let least = bare(web.port(), authorities, per_second, BARE)?;
    let agent = setup.start()?;
    // The time itself is what is measured.
    std::thread::sleep(WARM_UP);
    let (known, before, threads_before) = (web.requests().len(), usage(agent.id())?, threads(agent.id())?);
    std::thread::sleep(load.measured);
    let (after, threads_after, requests) = (usage(agent.id())?, threads(agent.id())?, web.requests().split_off(known));

    let all = requests.len();
    let healthy: Vec<_> = requests.into_iter().filter(|request| !request.path.contains("hangs")).collect();
    let due = (load.monitors - load.monitors.checked_div(load.hanging).unwrap_or(0)) as u64 * load.measured.as_secs();
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

    say(&load.name())?;
    say(&format!("  checks     {} of healthy sites, {} were due", healthy.len(), due / load.seconds))?;
    say(&format!("  deviation  {:.1} / {:.1} / {:.1} ms at p50 / p99 / most", at(0.5), at(0.99), at(1.0)))?;
    say(&format!("  starts     at most {} in 100 ms", most.unwrap_or(0)))?;
    let per_thousand = |seconds: f64| 1_000.0 * seconds / all as f64;
    say(&format!(
        "  agent      {:.3} CPU s per 1,000 checks, {:.1} MB resident, {:.1} MB at most",
        per_thousand(after.cpu - before.cpu),
        after.resident as f64 / 1e6,
        after.most as f64 / 1e6
    ))?;
    let groups = threads_after.since(&threads_before);
    let groups = groups.iter().map(|(group, seconds)| format!("{group} {:.3}", per_thousand(*seconds)));
    say(&format!("  of these   {}", groups.collect::<Vec<_>>().join(", ")))?;
    say(&format!("  alone      {least:.3} CPU s per 1,000 checks of a bare socket at this pace"))
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
