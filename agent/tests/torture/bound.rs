//! The bound: no one reads, and four times as much comes as may be there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agent::config::OutboxConfig;
use agent::outbox::Outbox;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{directory, is_full, record, say};

const PATIENCE: Duration = Duration::from_secs(60);
/// What may wait in the intake, in bytes: half of what it has room for.
const WAITING: usize = 8 * 1024 * 1024;

#[test]
fn a_full_outbox_stays_within_its_bound_and_declares_exactly_what_it_drops() {
    let bounds: &[u64] = if is_full() { &[16, 17, 64, 256] } else { &[16] };
    let sizes: &[usize] = if is_full() { &[300, 2_500, 30_000] } else { &[2_500, 30_000] };
    for (mib, size) in bounds.iter().flat_map(|mib| sizes.iter().map(|size| (*mib, *size))) {
        fill(mib, size);
    }
}

/// Brings four times as much as fits, in records of a size, as fast as the outbox takes them.
fn fill(mib: u64, size: usize) {
    let bound = mib * 1024 * 1024;
    let directory = directory();
    let path = directory.path();
    let config = OutboxConfig { max_size: bound, ..OutboxConfig::at(path.to_owned()) };
    let outbox = Outbox::open(&config).expect("an outbox");
    let committer = outbox.start("edge", |_| b"{}".to_vec()).expect("a committer");

    // Noise takes at least half of its length on disk.
    let records = 4 * bound / (size as u64 / 2);
    let (most, done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(disk_use(path), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let mut rng = StdRng::seed_from_u64(mib);
        for id in 1..=records {
            while (outbox.intake().len() + 1) * size > WAITING {
                thread::sleep(Duration::from_millis(1));
            }
            outbox.intake().keep(record::noisy(id, size, &mut rng)).expect("the intake takes a record");
        }
        assert!(outbox.flush(PATIENCE), "the outbox takes what waits");
        done.store(true, Ordering::Relaxed);
    });
    let most = most.into_inner();
    assert!(most <= bound + bound / 10, "{most} bytes on disk, the bound is {bound}, records have {size} bytes");

    let (mut there, mut declared) = (BTreeSet::new(), BTreeSet::new());
    let mut read = 0;
    loop {
        let entries = outbox.read(read, 1_000, 8 * 1024 * 1024).expect("the outbox reads");
        let Some(last) = entries.last() else { break };
        read = last.position;
        for entry in entries {
            assert!(there.insert(entry.seq), "{} is there twice", entry.seq);
            let ranges = wire::declared(&entry.payload).map(|dropped| dropped.ranges).unwrap_or_default();
            ranges.iter().for_each(|range| declared.extend(range.first..=range.last));
        }
    }
    let status = outbox.status();
    assert!(there.is_disjoint(&declared), "what is there was declared dropped");
    assert_eq!((there.len() + declared.len()) as u64, status.highest_seq);
    assert_eq!(there.last().max(declared.last()), Some(&status.highest_seq));
    assert_eq!(declared.len() as u64, status.dropped);

    outbox.acknowledge(read).expect("the outbox acknowledges");
    let deadline = Instant::now() + PATIENCE;
    while disk_use(path) >= 1024 * 1024 {
        assert!(Instant::now() < deadline, "{} bytes on disk, all was acknowledged", disk_use(path));
        thread::sleep(Duration::from_millis(10));
    }
    say(&format!(
        "bound: {mib} MiB, {records} records of {size} bytes; most on disk {:.1} MiB ({:.0}%), {} there, {} declared \
         dropped, drained {} KiB",
        most as f64 / 1_048_576.0,
        100.0 * most as f64 / bound as f64,
        there.len(),
        declared.len(),
        disk_use(path) / 1024
    ));
    committer.stop();
    drop(outbox);
    let stopped = Outbox::open_existing(&config).expect("an outbox").status();
    assert_eq!(stopped.dropped, declared.len() as u64, "what was dropped is told after the stop, too");
}

/// What a directory takes on disk, in bytes.
fn disk_use(path: &Path) -> u64 {
    let own = fs::symlink_metadata(path).map_or(0, |metadata| metadata.blocks() * 512);
    let Ok(entries) = fs::read_dir(path) else { return own };
    own + entries.flatten().map(|entry| disk_use(&entry.path())).sum::<u64>()
}
