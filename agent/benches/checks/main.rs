//! What a check costs beside the other ways to make one.
//!
//! Fresh connections to one nginx, eight at once, CPU seconds of the client per 1,000 checks:
//! - `floor`: a bare socket and OpenSSL, one request written by hand: what no check on OpenSSL can go below;
//! - `ours`: the check engine, from a monitor of the configuration to a result;
//! - `go`: Go's net/http and crypto/tls;
//! - `blackbox`: Prometheus' blackbox_exporter, asked for its probes;
//! - `requests`: Python's requests in a pool of eight processes.
//!
//! Over http, over https under a CA of its own, and with a chain as public CAs have it: an intermediate that is signed
//! with P-384. All take turns in each round, so that what else the machine does meets all alike; medians are shown, and
//! of each round its own ratio. A check that fails ends the benchmark.
//!
//! Before all that, how late checks begin, and what the schedule takes: `lateness`. With that word the benchmark ends
//! there.

mod blackbox;
mod floor;
mod lateness;
mod ours;
mod process;
mod site;

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use blackbox::Blackbox;
use site::{Site, Target};

/// Checks at once.
const AT_ONCE: usize = 8;
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    if let Ok(task) = std::env::var(process::TASK) {
        return match task.as_str() {
            floor::TASK => process::ending(floor::child()),
            lateness::TASK => process::ending(lateness::child()),
            _ => process::ending(ours::child()),
        };
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "the benchmark ended early: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    lateness::measure(directory.path())?;
    if std::env::args().any(|argument| argument == lateness::TASK) {
        return Ok(());
    }
    let site = Site::start(directory.path())?;
    let blackbox = Blackbox::start(directory.path(), &site)?;
    let go = build_go(directory.path())?;
    say(&format!(
        "\n{} here; CPU seconds of the client per 1,000 checks, {AT_ONCE} at once",
        openssl::version::version()
    ))?;
    for target in site.targets() {
        say(&format!("\n{}\n  {:<10} {:>7} {:>9}", target.name, "", "CPU s", "to ours"))?;
        let mut measured: Vec<(&str, Vec<f64>)> = Vec::new();
        for _ in 0..ROUNDS {
            let round = [
                ("floor", process::cpu(floor::command(&site, target)?, target.cheap)?),
                ("ours", process::cpu(ours::command(directory.path(), &site, target)?, target.cheap)?),
                ("go", process::cpu(go_command(&go, &site, target), target.cheap)?),
                ("blackbox", blackbox.cpu(target)?),
                ("requests", process::cpu(python_command(&site, target), target.dear)?),
            ];
            for (place, (name, cpu)) in round.into_iter().enumerate() {
                match measured.get_mut(place) {
                    Some((_, rounds)) => rounds.push(cpu),
                    None => measured.push((name, vec![cpu])),
                }
            }
        }
        let ours = measured[1].1.clone();
        for (name, rounds) in &measured {
            let ratio = median(rounds.iter().zip(&ours).map(|(it, ours)| it / ours));
            say(&format!("  {name:<10} {:>7.3} {ratio:>9.2}", median(rounds.iter().copied())))?;
        }
    }
    Ok(())
}

fn build_go(directory: &Path) -> Result<std::path::PathBuf> {
    let program = directory.join("client-go");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/checks/client.go");
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(source).status().context("go is missing")?;
    ensure!(built.success(), "go build: {built}");
    Ok(program)
}

fn go_command(program: &Path, site: &Site, target: &Target) -> Command {
    let mut command = Command::new(program);
    command.arg(&target.url).arg(&site.roots).args([target.cheap, AT_ONCE].map(|number| number.to_string()));
    command
}

fn python_command(site: &Site, target: &Target) -> Command {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/checks/client.py"));
    command.arg(&target.url).arg(&site.roots).args([target.dear, AT_ONCE].map(|number| number.to_string()));
    command
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn say(line: &str) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("stdout is closed")
}
