//! What is dropped at the outbox's bound is declared, and what that takes along is known.

use super::*;

#[test]
fn at_its_bound_the_oldest_chunk_is_dropped_and_declared_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let config = OutboxConfig { max_size: 16 * 1024 * 1024, ..config(dir.path()) };
    let outbox = Outbox::open(&config).unwrap();
    let committer = start(&outbox);
    let mut noise = noise();
    for _ in 0..350 {
        let payload: Vec<u8> = noise.by_ref().take(64 * 1024).collect();
        outbox.append([b"{\"kind\":\"noise\"".as_slice(), &payload].concat()).unwrap();
        assert!(outbox.shared.root.bytes_on_disk().unwrap() <= config.max_size * 11 / 10);
    }
    let status = outbox.status();
    let kept = read_all(&outbox);
    let mut declared: Vec<u64> = kept
        .iter()
        .filter_map(|entry| wire::declared(&entry.payload))
        .flat_map(|dropped| dropped.ranges)
        .flat_map(|range| range.first..=range.last)
        .collect();
    declared.sort_unstable();
    declared.dedup();
    assert!(status.dropped > 0);
    assert_eq!(declared, (1..=status.dropped).collect::<Vec<_>>());
    assert_eq!(
        kept.iter().map(|e| e.seq).collect::<Vec<_>>(),
        (status.dropped + 1..=status.highest_seq).collect::<Vec<_>>()
    );
    committer.stop();
}

#[test]
fn a_list_of_monitors_that_is_dropped_is_told_once_and_again_when_the_next_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = open_with(dir.path(), 20);
    let bounds = &mut Arc::get_mut(&mut outbox.shared).unwrap().bounds;
    (bounds.max_size, bounds.chunk_bytes) = (8 << 20, 1 << 20);
    let list = b"{\"v\":1,\"kind\":\"agent\",\"agent\":\"edge\",\"event\":\"start\"}".to_vec();
    let first = list.clone();
    let committer = outbox.start("edge", move |_| first).unwrap();
    for _ in 0..2 {
        let dropped = outbox.status().dropped;
        let mut lost = outbox.take_list_lost();
        while !lost {
            append(&outbox, 20);
            lost = outbox.take_list_lost();
            assert!(!lost || outbox.status().dropped > dropped);
        }
        append(&outbox, 200);
        assert!(!outbox.take_list_lost(), "others were dropped");
        outbox.append(list.clone()).unwrap();
    }
    committer.stop();
}
