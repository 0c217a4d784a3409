//! What a run that was killed has in its journal alone is taken up by the next one.

use super::*;

/// Results that were handed in and not committed when their run ended.
fn leave(path: &Path, results: &[&str]) {
    let outbox = Outbox::open(&config(path)).unwrap();
    results.iter().for_each(|result| outbox.intake().keep(result.as_bytes().to_vec()).unwrap());
}

fn payloads(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| std::str::from_utf8(&entry.payload).unwrap()).collect()
}

#[test]
fn results_that_were_not_committed_are_the_last_of_the_epoch_before() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(&config(dir.path())).unwrap();
    let committer = start(&outbox);
    append(&outbox, 1);
    committer.stop();
    let first = outbox.status().epoch;
    drop(outbox);
    leave(dir.path(), &["a", "b"]);
    // More than once, as a run may be killed before it has taken them up.
    leave(dir.path(), &["c"]);

    let outbox = Outbox::open(&config(dir.path())).unwrap();
    assert_eq!((outbox.status().in_journal, outbox.status().pending), (3, 2));
    outbox.intake().keep(b"d".to_vec()).unwrap();
    let committer = outbox
        .start("edge", move |opening| {
            let previous = opening.previous.unwrap();
            assert_eq!((Some(previous.epoch), previous.highest_seq), (first, 5));
            b"start".to_vec()
        })
        .unwrap();
    assert!(outbox.flush(Duration::from_secs(60)));
    let entries = read_all(&outbox);
    assert_eq!(payloads(&entries)[2..], ["a", "b", "c", "start", "d"]);
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 1, 2]);
    assert_eq!(outbox.status().in_journal, 0);
    committer.stop();
    drop(outbox);
    assert_eq!(Outbox::open(&config(dir.path())).unwrap().status().in_journal, 0);
}

#[test]
fn results_of_a_run_that_was_killed_before_the_first_epoch_are_the_first_of_it() {
    let dir = tempfile::tempdir().unwrap();
    leave(dir.path(), &["a", "b"]);
    let outbox = Outbox::open(&config(dir.path())).unwrap();
    let committer = start(&outbox);
    assert!(outbox.flush(Duration::from_secs(60)));
    assert_eq!(payloads(&read_all(&outbox))[1..], ["a", "b"]);
    committer.stop();
}

#[test]
fn results_that_are_committed_are_not_taken_up_whichever_file_they_are_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = Vec::new();
    for run in 0..4 {
        let outbox = Outbox::open(&config(dir.path())).unwrap();
        let committer = start(&outbox);
        for n in 0..5 {
            let result = format!("{run} {n}");
            outbox.intake().keep(result.clone().into_bytes()).unwrap();
            wanted.push(result);
            if n % 2 == run % 2 {
                assert!(outbox.flush(Duration::from_secs(60)));
            }
        }
        committer.stop();
        drop(outbox);
        let left = format!("{run} left");
        leave(dir.path(), &[&left]);
        wanted.push(left);
    }
    let outbox = Outbox::open(&config(dir.path())).unwrap();
    let committer = start(&outbox);
    let entries = read_all(&outbox);
    let results: Vec<&str> = payloads(&entries).into_iter().filter(|payload| !payload.starts_with('{')).collect();
    assert_eq!(results, wanted);
    committer.stop();
}

#[test]
fn an_empty_chunk_tells_what_was_committed_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(&config(dir.path())).unwrap();
    let committer = start(&outbox);
    let mut noise = noise();
    for _ in 0..5 {
        outbox.intake().keep(noise.by_ref().take(100_000).collect()).unwrap();
    }
    assert!(outbox.flush(Duration::from_secs(60)));
    outbox.acknowledge(outbox.last()).unwrap();
    committer.stop();
    assert!(outbox.shared.state().chunks.back().unwrap().first() > 1, "the drained chunk was not given back");
    drop(outbox);
    assert_eq!(Outbox::open(&config(dir.path())).unwrap().status().in_journal, 0);
}

#[test]
fn what_a_damaged_end_may_have_had_is_not_taken_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(&config(dir.path())).unwrap();
    let committer = start(&outbox);
    outbox.intake().keep(b"sent, perhaps".to_vec()).unwrap();
    assert!(outbox.flush(Duration::from_secs(60)));
    committer.stop();
    drop(outbox);
    let head = dir.path().join(format!("ob-{:020}/head.json", 1));
    std::fs::write(head, "no head").unwrap();

    let outbox = Outbox::open(&config(dir.path())).unwrap();
    assert_eq!(outbox.status().in_journal, 0);
    let committer = start(&outbox);
    outbox.intake().keep(b"new".to_vec()).unwrap();
    assert!(outbox.flush(Duration::from_secs(60)));
    committer.stop();
    drop(outbox);
    assert_eq!(Outbox::open(&config(dir.path())).unwrap().status().in_journal, 0);
}
