//! Looks at the files of an agent's outbox from outside, and finds out from them at which moments its runs ended.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::ops::Add;
use std::path::Path;

/// The names in the outbox's directory, and the number of snapshots that the database of a chunk was writing.
#[derive(Default)]
pub(super) struct Traces {
    names: BTreeSet<String>,
    snapshots: usize,
}

/// The counts of what the kills met.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) kills: usize,
    /// The number of runs that kept no record at all.
    pub(super) before_the_epoch: usize,
    /// The number of kills before the agent logged that it runs.
    pub(super) while_opening: usize,
    pub(super) rolls: usize,
    pub(super) frees: usize,
    /// The number of kills while a chunk was being made.
    pub(super) in_a_roll: usize,
    /// The number of kills while a chunk was being removed.
    pub(super) in_a_free: usize,
    /// The number of kills while a database was writing its snapshot, which it does when it is opened or sealed.
    pub(super) in_a_snapshot: usize,
    /// The number of places where Kafka had records whose acknowledgement the agent had not kept.
    pub(super) with_sends_in_flight: usize,
    pub(super) sent_again: u64,
}

impl Traces {
    pub(super) fn look(outbox: &Path) -> Traces {
        let names = names(outbox);
        let chunks = names.iter().filter(|name| name.starts_with("ob-"));
        let snapshots = chunks.flat_map(|chunk| self::names(&outbox.join(chunk)));
        let snapshots = snapshots.filter(|name| name.ends_with(".generating")).count();
        Traces { names, snapshots }
    }

    pub(super) fn differs_from(&self, before: &Traces) -> bool {
        let ours = |traces: &Traces| traces.all().map(str::to_owned).collect::<BTreeSet<_>>();
        self.snapshots != before.snapshots || ours(self) != ours(before)
    }

    /// Returns the names of whole chunks and of chunks that are being made or removed. The small files that are written
    /// all the time are left out.
    fn all(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| name.contains('-'))
    }

    fn with(&self, prefix: &'static str) -> impl Iterator<Item = &str> {
        self.all().filter(move |name| name.starts_with(prefix))
    }
}

impl Counts {
    /// Counts a kill from the traces before and after the killed run.
    pub(super) fn learn(&mut self, before: &Traces, after: &Traces) {
        self.kills += 1;
        self.rolls += after.with("ob-").filter(|chunk| !before.names.contains(*chunk)).count();
        self.frees += before.with("ob-").filter(|chunk| !after.names.contains(*chunk)).count();
        self.in_a_roll += usize::from(after.with("new-").next().is_some());
        self.in_a_free += usize::from(after.with("dead-").next().is_some());
        self.in_a_snapshot += usize::from(after.snapshots > 0);
    }
}

impl Add for Counts {
    type Output = Counts;

    fn add(self, other: Counts) -> Counts {
        Counts {
            kills: self.kills + other.kills,
            before_the_epoch: self.before_the_epoch + other.before_the_epoch,
            while_opening: self.while_opening + other.while_opening,
            rolls: self.rolls + other.rolls,
            frees: self.frees + other.frees,
            in_a_roll: self.in_a_roll + other.in_a_roll,
            in_a_free: self.in_a_free + other.in_a_free,
            in_a_snapshot: self.in_a_snapshot + other.in_a_snapshot,
            with_sends_in_flight: self.with_sends_in_flight + other.with_sends_in_flight,
            sent_again: self.sent_again + other.sent_again,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills: {} before the epoch began, {} before the agent ran, {} in a snapshot, {} in a roll, {} in a free, \
             {} with sends in flight ({} records sent again); {} chunks rolled, {} freed",
            self.kills,
            self.before_the_epoch,
            self.while_opening,
            self.in_a_snapshot,
            self.in_a_roll,
            self.in_a_free,
            self.with_sends_in_flight,
            self.sent_again,
            self.rolls,
            self.frees
        )
    }
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
