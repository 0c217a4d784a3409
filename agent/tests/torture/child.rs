//! What the child does: it works on an outbox until something ends it, and tells each answer that it got, a line each.
//!
//! A line is written only once the outbox has answered, or, for what was read, before it is acknowledged. So what the
//! parent has heard is never more than what the outbox has promised.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use agent::config::OutboxConfig;
use agent::outbox::{Entry, Outbox};
use rand::RngExt;

use crate::record;

/// The environment variable that makes this program the child: `<task> <incarnation> <directory>`.
pub(crate) const TASK: &str = "TORTURE_CHILD";
/// Chunks are an eighth of it: some hundred records.
const MAX_SIZE: u64 = 6 * 1024 * 1024;
const APPENDERS: u64 = 8;

pub(crate) fn main() {
    let Ok(task) = std::env::var(TASK) else { return };
    let mut words = task.splitn(3, ' ');
    let (name, incarnation, path) = (words.next(), words.next(), words.next());
    let incarnation: u64 = incarnation.and_then(|n| n.parse().ok()).expect("an incarnation");
    let path = PathBuf::from(path.expect("a directory"));
    let outbox = Outbox::open(&OutboxConfig { max_size: MAX_SIZE, ..OutboxConfig::at(path) });
    let outbox = match outbox {
        Ok(outbox) => outbox,
        Err(error) => return tell(&format!("refused {error}\n")),
    };
    tell(&format!("opened {}\n", outbox.acknowledged()));
    match name {
        Some("work") => work(&outbox, incarnation),
        Some("list") => list(&outbox),
        other => panic!("no such task: {other:?}"),
    }
}

/// Whether no one reads in this incarnation. Some in a row fill the outbox to its bound.
pub(crate) fn is_stalled(incarnation: u64) -> bool {
    matches!(incarnation % 12, 4..10)
}

/// Appends and reads until the end comes from outside.
fn work(outbox: &Outbox, incarnation: u64) {
    let id = incarnation << 32;
    let ids = AtomicU64::new(id + 1);
    let _committer = outbox.start("edge", move |_| record::payload(id)).expect("an epoch can begin");
    thread::scope(|scope| {
        for _ in 0..APPENDERS {
            scope.spawn(|| {
                loop {
                    let id = ids.fetch_add(1, Ordering::Relaxed);
                    match outbox.append(record::payload(id)) {
                        Ok(number) => tell(&format!("kept {id} {} {}\n", number.epoch, number.seq)),
                        Err(error) => tell(&format!("refused {error}\n")),
                    }
                }
            });
        }
        if !is_stalled(incarnation) {
            scope.spawn(|| deliver(outbox));
        }
    });
}

/// Reads and acknowledges as a publisher does, sometimes slower than what comes, until the disk refuses.
fn deliver(outbox: &Outbox) {
    let mut rng = rand::rng();
    let slow = rng.random_ratio(1, 4);
    let mut read = outbox.acknowledged();
    loop {
        outbox.wait(read, Duration::from_millis(if slow { 50 } else { 1 }));
        let Ok(entries) = outbox.read(read, rng.random_range(1..300), 512 * 1024) else { return };
        let Some(last) = entries.last() else { continue };
        read = last.position;
        tell(&lines("sent", &entries));
        if slow && rng.random_ratio(9, 10) {
            continue;
        }
        let moved = outbox.acknowledge(read);
        // A cursor that is not kept outlives a kill all the same.
        let kept = if rng.random_ratio(1, 2) { outbox.keep_cursor() } else { Ok(()) };
        if moved.and(kept).is_err() {
            return;
        }
        tell(&format!("moved {read}\n"));
    }
}

/// Everything that waits, without a change to what is there.
fn list(outbox: &Outbox) {
    let mut read = outbox.acknowledged();
    loop {
        let entries = outbox.read(read, 1_000, 8 * 1024 * 1024).expect("the disk can be read");
        let Some(last) = entries.last() else { break };
        read = last.position;
        tell(&lines("there", &entries));
    }
    tell("end\n");
}

fn lines(word: &str, entries: &[Entry]) -> String {
    let mut lines = String::new();
    for entry in entries {
        let (epoch, seq) = (entry.epoch, entry.seq);
        let written = match (record::id_of(&entry.payload), wire::declared(&entry.payload)) {
            (Some(id), _) => writeln!(lines, "{word} {id} {epoch} {seq}"),
            (None, Some(dropped)) => {
                let ranges = dropped.ranges.iter().map(|range| (range.epoch, range.first, range.last));
                let declared =
                    ranges.fold(String::new(), |all, (epoch, first, last)| format!("{all} {epoch} {first} {last}"));
                writeln!(lines, "{word} dropped {epoch} {seq}{declared}")
            }
            (None, None) => writeln!(lines, "garbled {epoch} {seq}"),
        };
        written.expect("a string takes it");
    }
    lines
}

/// The parent hears it at once. Once the parent is gone, this ends whatever thread tells something.
fn tell(lines: &str) {
    io::stderr().lock().write_all(lines.as_bytes()).expect("the parent listens");
}
