//! The outbox through its public functions, in one process. Kills and power cuts are for other tests.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;

mod bound;
mod damage;
mod disk;
mod journal;
mod model;

fn config(path: &Path) -> OutboxConfig {
    OutboxConfig { max_size: 64 * 1024 * 1024, ..OutboxConfig::at(path.to_owned()) }
}

/// An outbox that rolls at `chunk_records`.
fn open_with(path: &Path, chunk_records: u64) -> Outbox {
    let mut outbox = Outbox::open(&config(path)).unwrap();
    Arc::get_mut(&mut outbox.shared).unwrap().bounds.chunk_records = chunk_records;
    outbox
}

fn start(outbox: &Outbox) -> Committer {
    outbox.start("edge", |opening| format!("{{\"start\":{:?}}}", opening.previous).into_bytes()).unwrap()
}

fn append(outbox: &Outbox, count: u64) {
    for n in 0..count {
        outbox.append(format!("{{\"n\":{n}}}").into_bytes()).unwrap();
    }
}

fn read_all(outbox: &Outbox) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |entry| entry.position);
        let more = outbox.read(after, 7, usize::MAX).unwrap();
        if more.is_empty() {
            return entries;
        }
        entries.extend(more);
    }
}

fn chunks_on_disk(path: &Path) -> usize {
    std::fs::read_dir(path)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("ob-"))
        .count()
}

#[test]
fn what_was_appended_is_read_in_order_with_dense_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 10);
    let committer = start(&outbox);
    append(&outbox, 35);
    let entries = read_all(&outbox);
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=36).collect::<Vec<_>>());
    assert_eq!(entries.iter().map(|e| e.position).collect::<Vec<_>>(), (1..=36).collect::<Vec<_>>());
    assert_eq!(entries[36 - 1].payload, b"{\"n\":34}");
    assert!(chunks_on_disk(dir.path()) >= 3);
    committer.stop();
}

#[test]
fn a_new_start_is_a_new_epoch_that_names_the_end_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let first = {
        let outbox = open_with(dir.path(), 10);
        let committer = start(&outbox);
        append(&outbox, 14);
        committer.stop();
        outbox.status()
    };
    let outbox = open_with(dir.path(), 10);
    let committer = outbox
        .start("edge", move |opening| {
            let previous = opening.previous.unwrap();
            assert_eq!((Some(previous.epoch), previous.highest_seq), (first.epoch, 15));
            assert_eq!(opening.status.pending, 15);
            b"{}".to_vec()
        })
        .unwrap();
    append(&outbox, 1);
    let entries = read_all(&outbox);
    assert_eq!(entries.iter().map(|e| e.position).collect::<Vec<_>>(), (1..=17).collect::<Vec<_>>());
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=15).chain(1..=2).collect::<Vec<_>>());
    committer.stop();
}

#[test]
fn what_was_acknowledged_is_not_read_again_and_its_chunks_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    {
        let outbox = open_with(dir.path(), 10);
        let committer = start(&outbox);
        append(&outbox, 35);
        outbox.acknowledge(25).unwrap();
        assert_eq!(outbox.read(0, 100, usize::MAX).unwrap()[0].position, 26);
        assert_eq!(outbox.status().oldest_pending.unwrap().seq, 26);
        assert_eq!(outbox.status().pending, 11);
        committer.stop();
    }
    assert!(chunks_on_disk(dir.path()) <= 2);
    let outbox = open_with(dir.path(), 10);
    assert_eq!(read_all(&outbox).first().unwrap().position, 26);
    assert_eq!(outbox.status().acknowledged_position, 25);
}

#[test]
fn a_drained_outbox_gives_its_space_back_and_goes_on_numbering() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 50_000);
    let committer = start(&outbox);
    let mut noise = noise();
    for _ in 0..20 {
        outbox.append(noise.by_ref().take(100_000).collect()).unwrap();
    }
    let before = outbox.status().bytes;
    outbox.acknowledge(outbox.last()).unwrap();
    // The committer gives the space back before it takes the next record.
    outbox.append(b"{}".to_vec()).unwrap();
    let status = outbox.status();
    assert!(status.bytes < 1024 * 1024, "{before} bytes before, {} after", status.bytes);
    assert_eq!((status.position, status.pending, status.highest_seq), (22, 1, 22));
    committer.stop();
}

#[test]
fn many_appenders_each_get_a_number_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 100);
    let committer = start(&outbox);
    let mut numbers: Vec<u64> = std::thread::scope(|scope| {
        let appenders: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| (0..20).map(|_| outbox.append(b"{}".to_vec()).unwrap().seq).collect::<Vec<_>>()))
            .collect();
        appenders.into_iter().flat_map(|appender| appender.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (2..=321).collect::<Vec<_>>());
    assert_eq!(read_all(&outbox).len(), 321);
    committer.stop();
}

#[test]
fn a_second_agent_is_refused_while_the_first_has_the_outbox() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(&config(dir.path())).unwrap();
    assert!(matches!(Root::open(dir.path(), Duration::ZERO), Err(OpenError::Locked { .. })));
    drop(outbox);
    Root::open(dir.path(), Duration::ZERO).unwrap();
}

#[test]
fn an_outbox_of_a_later_version_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("VERSION"), "2\n").unwrap();
    let error = Outbox::open(&config(dir.path())).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
    assert_eq!(std::fs::read_to_string(dir.path().join("VERSION")).unwrap(), "2\n");
}

#[test]
fn a_directory_that_cannot_be_made_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = Outbox::open(&config(&dir.path().join("file/outbox"))).unwrap_err();
    assert!(matches!(&error, OpenError::Io { .. }) && error.to_string().contains("file/outbox"), "{error}");
}

#[test]
fn waiting_ends_when_something_is_appended_and_at_the_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 10);
    let committer = start(&outbox);
    assert!(!outbox.wait(1, Duration::from_millis(1)));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| outbox.wait(1, Duration::from_secs(60)));
        append(&outbox, 1);
        assert!(waiter.join().unwrap());
    });
    committer.stop();
}

#[test]
fn nothing_is_appended_after_the_stop() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 10);
    start(&outbox).stop();
    assert_eq!(outbox.append(b"{}".to_vec()), Err(AppendError::Stopped));
}

/// sled writes what is larger than a quarter of a segment into a file that no fsync of ours covers.
#[test]
fn nothing_is_written_beside_the_file_that_is_synced() {
    for (max_size, payload) in [(16, 29_000), (16, 110_000), (1024, 29_000), (1024, 110_000)] {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(&OutboxConfig { max_size: max_size << 20, ..config(dir.path()) }).unwrap();
        let committer = start(&outbox);
        let mut noise = noise();
        for _ in 0..4_000_000 / payload {
            outbox.append(noise.by_ref().take(payload).collect()).unwrap();
        }
        for chunk in std::fs::read_dir(dir.path()).unwrap() {
            let blobs = chunk.unwrap().path().join("blobs");
            assert!(!blobs.exists() || blobs.read_dir().unwrap().next().is_none(), "{blobs:?} of {payload} bytes each");
        }
        let mut again = self::noise();
        let entries = read_all(&outbox);
        assert_eq!(entries.len(), 1 + 4_000_000 / payload);
        assert!(entries[1..].iter().all(|entry| entry.payload.iter().all(|byte| again.next() == Some(*byte))));
        committer.stop();
    }
}

#[test]
fn a_start_that_is_killed_while_it_makes_a_chunk_leaves_nothing_that_looks_damaged() {
    let dir = tempfile::tempdir().unwrap();
    drop(Root::open(dir.path(), Duration::ZERO).unwrap());
    std::fs::create_dir(dir.path().join("new-00000000000000000001")).unwrap();
    let outbox = open_with(dir.path(), 10);
    let committer = start(&outbox);
    assert_eq!((outbox.status().damaged, outbox.last(), chunks_on_disk(dir.path())), (0, 1, 1));
    committer.stop();
}

#[test]
fn an_epoch_without_a_record_is_no_ones_predecessor() {
    let dir = tempfile::tempdir().unwrap();
    let ran = {
        let outbox = open_with(dir.path(), 10);
        let committer = start(&outbox);
        append(&outbox, 9);
        committer.stop();
        outbox.status().epoch
    };
    // The chunk is full, so this start makes one before its first record, which then is refused.
    let outbox = open_with(dir.path(), 10);
    assert!(matches!(outbox.start("edge", |_| vec![0; 200 * 1024]), Err(AppendError::TooLarge(_))));
    drop(outbox);
    assert_eq!(chunks_on_disk(dir.path()), 2);
    let outbox = open_with(dir.path(), 10);
    let committer = outbox.start("edge", move |opening| {
        let previous = opening.previous.unwrap();
        assert_eq!((Some(previous.epoch), previous.highest_seq), (ran, 10));
        b"{}".to_vec()
    });
    committer.unwrap().stop();
}

#[test]
fn while_a_chunk_cannot_be_made_records_wait_and_none_goes_where_it_would_not_be_found() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 10);
    let committer = start(&outbox);
    append(&outbox, 9);
    // In the way of the next chunk, and no directory that could be removed.
    let obstacle = dir.path().join("new-00000000000000000011");
    std::fs::write(&obstacle, "").unwrap();
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| outbox.append(b"{}".to_vec()));
        assert_eq!(outbox.append_within(b"{}".to_vec(), Duration::from_millis(50)), Err(AppendError::TimedOut));
        assert_eq!(outbox.last(), 10);
        std::fs::remove_file(&obstacle).unwrap();
        appending.join().unwrap().unwrap();
    });
    assert!(outbox.wait(11, Duration::from_secs(60)));
    assert_eq!(read_all(&outbox).iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    committer.stop();
}

#[test]
fn anyone_who_is_in_a_hurry_does_not_wait_for_a_disk_that_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 10);
    let committer = start(&outbox);
    append(&outbox, 9);
    std::fs::write(dir.path().join("new-00000000000000000011"), "").unwrap();
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| outbox.append(b"{}".to_vec()));
        outbox.hurry();
        assert_eq!(appending.join().unwrap(), Err(AppendError::Stopped));
    });
    committer.stop();
}

#[test]
fn a_damaged_cursor_costs_at_most_that_records_are_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    {
        let outbox = open_with(dir.path(), 10);
        let committer = start(&outbox);
        append(&outbox, 35);
        outbox.acknowledge(25).unwrap();
        committer.stop();
    }
    for damaged in ["", "95 00000000\n", "99"] {
        std::fs::write(dir.path().join("CURSOR"), damaged).unwrap();
        let outbox = open_with(dir.path(), 10);
        assert_eq!((outbox.acknowledged(), outbox.last()), (25, 36), "{damaged:?}");
    }
}

#[test]
fn what_a_start_frees_seems_never_lost_though_a_power_cut_took_the_mark_that_told_of_it() {
    let dir = tempfile::tempdir().unwrap();
    {
        let outbox = open_with(dir.path(), 10);
        let committer = start(&outbox);
        append(&outbox, 35);
        committer.stop();
    }
    // A kill between the acknowledgement and the freeing.
    Marks::open(dir.path()).unwrap().set_acknowledged(25);
    drop(open_with(dir.path(), 10));
    std::fs::remove_file(dir.path().join("MARKS")).unwrap();
    let outbox = open_with(dir.path(), 10);
    assert_eq!(outbox.acknowledged(), 25);
    assert_eq!(outbox.read(25, 100, usize::MAX).unwrap()[0].position, 26);
}

#[test]
fn a_commit_takes_the_cursor_along() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 100);
    let committer = start(&outbox);
    append(&outbox, 1);
    outbox.acknowledge(1).unwrap();
    append(&outbox, 1);
    committer.stop();
    drop(outbox);
    std::fs::remove_file(dir.path().join("MARKS")).unwrap();
    assert_eq!(open_with(dir.path(), 100).acknowledged(), 1);
}

#[test]
fn a_chunk_of_an_earlier_run_is_given_back_too() {
    let dir = tempfile::tempdir().unwrap();
    {
        let outbox = open_with(dir.path(), 50_000);
        let committer = start(&outbox);
        let mut noise = noise();
        for _ in 0..20 {
            outbox.append(noise.by_ref().take(100_000).collect()).unwrap();
        }
        committer.stop();
    }
    let outbox = open_with(dir.path(), 50_000);
    let committer = start(&outbox);
    outbox.acknowledge(outbox.last()).unwrap();
    append(&outbox, 1);
    let bytes = outbox.status().bytes;
    assert!(bytes < 1024 * 1024, "{bytes}");
    committer.stop();
}

/// Incompressible, and the same each time.
fn noise() -> impl Iterator<Item = u8> {
    let mut noise = 1_u64;
    std::iter::repeat_with(move || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise as u8
    })
}
