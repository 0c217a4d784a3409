//! The bound: nobody reads, and four times as much comes as may be there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agent::config::{OutboxConfig, WhenFull};
use agent::outbox::Outbox;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{directory, is_full, record, say};

const NOISE: usize = 4_000;
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_full_outbox_stays_within_its_bound_and_declares_exactly_what_it_drops() {
    let mib = if is_full() { 64 } else { 16 };
    let bound = mib * 1024 * 1024;
    let directory = directory();
    let path = directory.path();
    let config = OutboxConfig { path: path.to_owned(), max_size: bound, when_full: WhenFull::DropOldest };
    let outbox = Outbox::open(&config).unwrap();
    let committer = outbox.start("edge", |_| b"{}".to_vec()).unwrap();

    // Noise takes at least half of its length on disk.
    let records = 4 * bound / (NOISE as u64 / 2);
    let (most, done, ids) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(1));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(disk_use(path), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let appenders: Vec<_> = (0..8)
            .map(|n| {
                let (outbox, ids) = (&outbox, &ids);
                scope.spawn(move || {
                    let mut rng = StdRng::seed_from_u64(n);
                    loop {
                        let id = ids.fetch_add(1, Ordering::Relaxed);
                        if id > records {
                            break;
                        }
                        outbox.append(record::noisy(id, NOISE, &mut rng)).unwrap();
                    }
                })
            })
            .collect();
        appenders.into_iter().for_each(|appender| appender.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    let most = most.into_inner();
    assert!(most <= bound + bound / 10, "{most} bytes on disk, the bound is {bound}");

    let (mut there, mut declared) = (BTreeSet::new(), BTreeSet::new());
    let mut read = 0;
    loop {
        let entries = outbox.read(read, 1_000, 8 * 1024 * 1024).unwrap();
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

    outbox.acknowledge(read).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while disk_use(path) >= 1024 * 1024 {
        assert!(Instant::now() < deadline, "{} bytes on disk, all was acknowledged", disk_use(path));
        thread::sleep(Duration::from_millis(10));
    }
    say(&format!(
        "bound: {mib} MiB, {records} records of {NOISE} bytes; most on disk {:.1} MiB, {} there, {} declared dropped, \
         drained {} KiB",
        most as f64 / 1_048_576.0,
        there.len(),
        declared.len(),
        disk_use(path) / 1024
    ));
    committer.stop();
}

/// What a directory takes on disk, in bytes.
fn disk_use(path: &Path) -> u64 {
    let own = fs::symlink_metadata(path).map_or(0, |metadata| metadata.blocks() * 512);
    let Ok(entries) = fs::read_dir(path) else { return own };
    own + entries.flatten().map(|entry| disk_use(&entry.path())).sum::<u64>()
}
