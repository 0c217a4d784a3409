//! Damaged outboxes: never a panic, never silence. What was issued is read or declared dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use uuid::Uuid;

use wire::DropReason;

use super::*;

/// The numbers that somebody holds or knows to be dropped.
#[derive(Debug, Default)]
pub(super) struct Accounted {
    pub(super) read: BTreeMap<(Uuid, u64), Vec<u8>>,
    pub(super) declared: BTreeSet<(Uuid, u64)>,
    pub(super) reasons: BTreeSet<DropReason>,
}

impl Accounted {
    pub(super) fn take(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if let Some(dropped) = wire::declared(&entry.payload) {
                self.reasons.insert(dropped.reason);
                let numbers = dropped.ranges.iter();
                self.declared
                    .extend(numbers.flat_map(|range| (range.first..=range.last).map(|seq| (range.epoch, seq))));
            }
            let before = self.read.insert((entry.epoch, entry.seq), entry.payload.clone());
            assert!(before.is_none_or(|before| before == entry.payload), "one number for two contents");
        }
    }

    pub(super) fn merge(&mut self, more: Accounted) {
        self.read.extend(more.read);
        self.declared.extend(more.declared);
        self.reasons.extend(more.reasons);
    }

    pub(super) fn has(&self, number: (Uuid, u64)) -> bool {
        self.read.contains_key(&number) || self.declared.contains(&number)
    }
}

/// Reads and acknowledges until nothing is left.
pub(super) fn drain(outbox: &Outbox) -> Accounted {
    let mut accounted = Accounted::default();
    while outbox.pending() > 0 {
        let entries = outbox.read(outbox.acknowledged(), 50, usize::MAX).unwrap();
        if let Some(last) = entries.last() {
            outbox.acknowledge(last.position).unwrap();
        } else {
            // A repair that is under way tells when it is done.
            let acknowledged = outbox.acknowledged();
            outbox.wait_until(Duration::from_millis(20), |state| {
                state.acknowledged > acknowledged || state.damaged.is_empty()
            });
        }
        accounted.take(entries);
    }
    accounted
}

pub(super) fn chunk(path: &Path, first: u64) -> PathBuf {
    path.join(format!("ob-{first:020}"))
}

/// An outbox of two epochs, 19 and 25 records with their first ones, in chunks of ten; none acknowledged.
fn filled(path: &Path) -> Vec<(Uuid, u64)> {
    let mut issued = Vec::new();
    for count in [18, 24] {
        let outbox = open_with(path, 10);
        let committer = start(&outbox);
        append(&outbox, count);
        let epoch = outbox.status().epoch.unwrap();
        issued.extend((1..=count + 1).map(|seq| (epoch, seq)));
        committer.stop();
    }
    issued
}

/// What is accounted for after a damage, by a new start that drains the outbox.
fn after(path: &Path) -> (Accounted, Status) {
    let outbox = open_with(path, 10);
    let committer = start(&outbox);
    let accounted = drain(&outbox);
    let status = outbox.status();
    committer.stop();
    (accounted, status)
}

fn declared_among(accounted: &Accounted, issued: &[(Uuid, u64)]) -> Vec<usize> {
    let unread = issued.iter().enumerate().filter(|(_, number)| !accounted.read.contains_key(number));
    unread
        .map(|(at, number)| {
            assert!(accounted.declared.contains(number), "number {} of the outbox is missing", at + 1);
            at + 1
        })
        .collect()
}

#[test]
fn a_chunk_without_its_head_is_salvaged_whole() {
    let dir = tempfile::tempdir().unwrap();
    let issued = filled(dir.path());
    fs::write(chunk(dir.path(), 11).join("head.json"), "{").unwrap();
    let (accounted, status) = after(dir.path());
    assert_eq!(declared_among(&accounted, &issued), [0; 0]);
    assert_eq!((accounted.declared.len(), status.damaged, status.pending), (0, 1, 0));
}

#[test]
fn of_a_chunk_that_is_gone_every_number_is_declared_over_both_epochs() {
    for (first, gone) in [(1, 1..=10), (11, 11..=20), (21, 21..=30), (41, 41..=44)] {
        let dir = tempfile::tempdir().unwrap();
        let issued = filled(dir.path());
        fs::remove_dir_all(chunk(dir.path(), first)).unwrap();
        let (accounted, _) = after(dir.path());
        assert_eq!(declared_among(&accounted, &issued), gone.collect::<Vec<_>>());
        assert_eq!(accounted.declared.iter().filter(|number| !issued.contains(number)).count(), 0);
        assert_eq!(accounted.reasons, [DropReason::Damaged].into());
    }
}

#[test]
fn when_all_chunks_are_gone_all_that_waited_is_declared_and_no_number_is_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let issued = filled(dir.path());
    for first in [1, 11, 21, 31, 41] {
        fs::remove_dir_all(chunk(dir.path(), first)).unwrap();
    }
    let outbox = open_with(dir.path(), 10);
    let last = *issued.last().unwrap();
    let committer = outbox.start("edge", move |opening| {
        let previous = opening.previous.unwrap();
        assert_eq!((previous.epoch, previous.highest_seq), last);
        b"{}".to_vec()
    });
    let accounted = drain(&outbox);
    assert_eq!(declared_among(&accounted, &issued), (1..=44).collect::<Vec<_>>());
    committer.unwrap().stop();
}

#[test]
fn a_last_chunk_that_lost_its_end_does_not_lower_where_its_epoch_ended() {
    for file in ["MARKS", "status.json"] {
        let dir = tempfile::tempdir().unwrap();
        let issued = filled(dir.path());
        {
            let outbox = open_with(dir.path(), 10);
            outbox.publish_status(&outbox.status()).unwrap();
        }
        fs::remove_file(dir.path().join(file)).unwrap();
        fs::write(chunk(dir.path(), 41).join("db"), "").unwrap();
        let outbox = open_with(dir.path(), 10);
        let last = *issued.last().unwrap();
        let committer = outbox.start("edge", move |opening| {
            let previous = opening.previous.unwrap();
            assert_eq!((previous.epoch, previous.highest_seq), last);
            b"{}".to_vec()
        });
        assert_eq!(declared_among(&drain(&outbox), &issued), [41, 42, 43, 44], "without {file}");
        committer.unwrap().stop();
    }
}

#[test]
fn without_its_ledger_an_outbox_still_knows_its_numbers_from_its_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let issued = filled(dir.path());
    fs::remove_file(dir.path().join("LEDGER")).unwrap();
    fs::remove_dir_all(chunk(dir.path(), 31)).unwrap();
    let (accounted, _) = after(dir.path());
    assert_eq!(declared_among(&accounted, &issued), (31..=40).collect::<Vec<_>>());
}

#[test]
fn a_declaration_that_is_lost_itself_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let issued = filled(dir.path());
    fs::remove_dir_all(chunk(dir.path(), 11)).unwrap();
    {
        // Declared, but not sent.
        let outbox = open_with(dir.path(), 10);
        let committer = start(&outbox);
        assert!(outbox.wait_until(Duration::from_secs(60), |state| state.damaged.is_empty()));
        committer.stop();
    }
    for first in [41, 45] {
        fs::remove_dir_all(chunk(dir.path(), first)).ok();
    }
    let (accounted, _) = after(dir.path());
    let gone = declared_among(&accounted, &issued);
    assert_eq!(gone, (11..=20).chain(41..=44).collect::<Vec<_>>());
}

#[test]
fn a_repair_that_is_cut_short_is_ended_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let issued = filled(dir.path());
    // As it is between the two last steps of the exchange.
    fs::rename(chunk(dir.path(), 11), dir.path().join("fix-00000000000000000011")).unwrap();
    fs::create_dir(dir.path().join("bad-00000000000000000011-1")).unwrap();
    fs::create_dir(dir.path().join("try-ob-00000000000000000021")).unwrap();
    let (accounted, _) = after(dir.path());
    assert_eq!(declared_among(&accounted, &issued), [0; 0]);
    assert!(accounted.declared.is_empty());
}

#[test]
fn damage_that_shows_while_the_agent_runs_is_repaired_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut issued = filled(dir.path());
    let outbox = open_with(dir.path(), 10);
    let committer = start(&outbox);
    let epoch = outbox.status().epoch.unwrap();
    fs::write(chunk(dir.path(), 21).join("db"), [0; 4096]).unwrap();
    append(&outbox, 5);
    issued.extend((1..=6).map(|seq| (epoch, seq)));
    let accounted = drain(&outbox);
    assert_eq!(declared_among(&accounted, &issued), (21..=30).collect::<Vec<_>>());
    committer.stop();
}

/// Damages outboxes in every way that the seeds know, and drains each.
///
/// `OUTBOXES` says how many (the normal run takes a few dozens), `SEED` from which one on.
#[test]
fn of_many_damaged_outboxes_every_number_is_read_or_declared() {
    let count = std::env::var("OUTBOXES").ok().and_then(|count| count.parse().ok()).unwrap_or(64);
    let (mut declared, mut read) = (0, 0);
    let from = std::env::var("SEED").ok().and_then(|from| from.parse().ok()).unwrap_or(0);
    for seed in from..from + count {
        let dir = tempfile::tempdir().unwrap();
        let issued = filled(dir.path());
        let what = damage(dir.path(), seed);
        eprintln!("seed {seed}: {what}");
        let (accounted, _) = after(dir.path());
        let missing: Vec<_> = issued.iter().filter(|number| !accounted.has(**number)).collect();
        assert!(missing.is_empty(), "seed {seed}, {what}: {} numbers are missing", missing.len());
        let here = issued.iter().filter(|number| !accounted.read.contains_key(number)).count();
        declared += here;
        read += issued.len() - here;
    }
    eprintln!("{count} damaged outboxes: {read} records read, {declared} declared dropped, 0 missing");
}

/// Damages an outbox; says what it did.
pub(super) fn damage(path: &Path, seed: u64) -> String {
    let mut dice = dice(seed);
    let mut roll = move |sides: u64| dice.next().unwrap() % sides;
    let mut files = Vec::new();
    let mut chunks: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() {
            let inside = fs::read_dir(&entry).unwrap().map(|file| file.unwrap().path());
            files.extend(inside.filter(|file| file.is_file()));
            chunks.push(entry);
        } else if ["MARKS", "LEDGER", "CURSOR"].iter().any(|name| entry.ends_with(name)) {
            files.push(entry);
        }
    }
    files.sort();
    chunks.sort();
    // The file of a chunk that an earlier damage emptied is kept, and has nothing to damage.
    let has_bytes = |file: &&PathBuf| fs::metadata(file).unwrap().len() > 0;
    let databases: Vec<_> = files.iter().filter(|file| file.ends_with("db")).filter(has_bytes).cloned().collect();
    let of = |files: &[PathBuf], at: u64| files[at as usize % files.len()].clone();
    let any = of(&files, roll(1 << 20));
    let database = of(&databases, roll(1 << 20));
    let directory = of(&chunks, roll(1 << 20));
    let name = |file: &Path| file.strip_prefix(path).unwrap().display().to_string();
    match seed % 7 {
        0 | 1 => {
            let mut bytes = fs::read(&database).unwrap();
            // Where there is something.
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64 + 1;
            let flips = 1 + roll(4);
            for _ in 0..flips {
                let at = roll(end) as usize;
                bytes[at] ^= 1 << roll(8);
            }
            fs::write(&database, bytes).unwrap();
            format!("{flips} bits of {} flipped", name(&database))
        }
        2 => {
            let length = roll(fs::metadata(&database).unwrap().len());
            fs::File::options().write(true).open(&database).unwrap().set_len(length).unwrap();
            format!("{} cut to {length}", name(&database))
        }
        3 => {
            fs::remove_file(&any).unwrap();
            format!("{} removed", name(&any))
        }
        4 => {
            let bytes: Vec<u8> = (0..roll(3000)).map(|_| roll(256) as u8).collect();
            fs::write(directory.join("snap.0000000000000042.generating"), bytes).unwrap();
            format!("a stale snapshot in {}", name(&directory))
        }
        5 => {
            fs::remove_dir_all(&directory).unwrap();
            format!("{} removed", name(&directory))
        }
        _ => {
            let mut bytes = fs::read(&any).unwrap();
            let from = roll(bytes.len().max(1) as u64) as usize;
            let length = (roll(5000) as usize).min(bytes.len() - from);
            bytes[from..from + length].fill_with(|| roll(256) as u8);
            fs::write(&any, bytes).unwrap();
            format!("{length} bytes of {} from {from} overwritten", name(&any))
        }
    }
}

/// Numbers that are the same for each seed.
pub(super) fn dice(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    })
}
