//! What the outbox costs beside the two obvious ways to keep records.
//!
//! 1. Durable records per second with 1, 8, 64 and 1,000 appenders waiting, and the latency at 64, of
//!    - `raw`: one file that is only appended to, with one `fdatasync` for all that wait;
//!    - `one sled`: one sled database with one `flush()` for all that wait, which is NOT durable on Linux;
//!    - `outbox`: ours.
//! 2. A backlog of 2,000,000 records and a kill -9: bytes on disk, time to start, memory, and the rate of a drain.
//!
//! Each measurement is repeated in rounds in which all take turns, so that what else the machine does meets all alike;
//! medians are shown, and ratios that hold on any machine.

mod backlog;
mod group;
mod load;
mod ours;
mod records;
mod result;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use group::Grouped;
use load::{Load, Measured, median};
use ours::Ours;
use records::Records;

const ROUNDS: usize = 7;
const NAMES: [&str; 3] = ["raw", "one sled", "outbox"];

fn main() -> ExitCode {
    // As the agent does.
    settings::give_back_pieces_from(agent::outbox::LARGE);
    if let Ok(task) = std::env::var(backlog::TASK) {
        backlog::child(&task);
        return ExitCode::SUCCESS;
    }
    let records = Records::new();
    say(&format!(
        "records of {:.0} bytes; one sled's flush() is not durable: it is no rival, only a scale\n",
        records.mean()
    ));
    say("waiting            records/s  to raw   CPU us   p50 ms   p99 ms");
    for load in [Load::of(1, 1), Load::of(8, 1), Load::of(64, 1), Load::of(16, 64)] {
        appending(load, &records);
    }
    backlog::measure(&records);
    ExitCode::SUCCESS
}

fn appending(load: Load, records: &Records) {
    let mut measured: [Vec<Measured>; 3] = Default::default();
    for _ in 0..ROUNDS {
        measured[0].push(load.put_on(records, Grouped::raw_file));
        measured[1].push(load.put_on(records, Grouped::one_sled));
        measured[2].push(load.put_on(records, Ours::open));
    }
    for (name, rounds) in NAMES.iter().zip(&measured) {
        // Of each round its own ratio: both halves met the same machine.
        let ratio = median(rounds.iter().zip(&measured[0]).map(|(it, raw)| it.rate / raw.rate));
        say(&format!(
            "{:>7} {name:<10} {:>9.0} {ratio:>7.2} {:>8.2} {:>8.2} {:>8.2}",
            load.waiting(),
            median(rounds.iter().map(|it| it.rate)),
            median(rounds.iter().map(|it| it.cpu_us)),
            median(rounds.iter().map(|it| it.p50_ms)),
            median(rounds.iter().map(|it| it.p99_ms)),
        ));
    }
}

/// A new directory on a real disk, which the directory for temporary files need not be.
fn directory() -> tempfile::TempDir {
    let parent = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    tempfile::Builder::new().prefix("bench-").tempdir_in(parent).expect("a directory can be made")
}

fn say(line: &str) {
    writeln!(io::stdout(), "{line}").expect("stdout is open");
}
