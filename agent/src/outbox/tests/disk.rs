//! A disk that refuses: nothing that was accepted is lost, and what memory could not hold is declared.

use std::sync::atomic::Ordering;

use rustix::io::Errno;
use wire::DropReason;

use super::damage::{Accounted, chunk, drain};
use super::*;

fn refuse(outbox: &Outbox, error: Errno) {
    outbox.shared.refusal.store(error.raw_os_error(), Ordering::Relaxed);
}

fn take_again(outbox: &Outbox) {
    outbox.shared.refusal.store(0, Ordering::Relaxed);
}

fn wait_until_refused(outbox: &Outbox) {
    while outbox.status().refused.is_none() {
        std::thread::yield_now();
    }
}

fn result(n: u64) -> Vec<u8> {
    format!("{{\"result\":{n}}}").into_bytes()
}

/// The results among what was read, in order of their numbers.
fn results(accounted: &Accounted) -> Vec<Vec<u8>> {
    accounted.read.values().filter(|payload| payload.starts_with(b"{\"result\"")).cloned().collect()
}

#[test]
fn while_the_disk_refuses_results_wait_in_memory_and_are_written_when_it_heals() {
    for error in [Errno::NOSPC, Errno::IO, Errno::ROFS] {
        let dir = tempfile::tempdir().unwrap();
        let outbox = open_with(dir.path(), 10);
        let committer = start(&outbox);
        refuse(&outbox, error);
        for n in 0..30 {
            outbox.intake().keep(result(n)).unwrap();
        }
        wait_until_refused(&outbox);
        let status = outbox.status();
        assert_eq!((status.position, status.in_memory), (1, 30));
        outbox.publish_status(&outbox.status()).unwrap();
        let told = read_status(&config(dir.path())).unwrap();
        assert_eq!((told.in_memory, told.refused), (30, status.refused));
        take_again(&outbox);
        assert!(outbox.flush(Duration::from_secs(60)));
        assert_eq!((outbox.status().in_memory, outbox.status().refused), (0, None));
        let accounted = drain(&outbox);
        assert_eq!(results(&accounted), (0..30).map(result).collect::<Vec<_>>());
        assert!(accounted.declared.is_empty());
        committer.stop();
    }
}

/// The system forgets what it could not write, so after a power cut nothing behind that would be found.
#[test]
fn after_a_failed_sync_records_go_into_another_chunk_and_all_are_read_also_after_a_new_start() {
    let dir = tempfile::tempdir().unwrap();
    let chunks = |outbox: &Outbox| outbox.shared.state().chunks.iter().map(|chunk| chunk.first()).collect::<Vec<_>>();
    let outbox = open_with(dir.path(), 100);
    let committer = start(&outbox);
    for (n, error, expected) in [(0, Errno::NOSPC, vec![1]), (1, Errno::IO, vec![1, 3]), (2, Errno::IO, vec![1, 3, 4])]
    {
        refuse(&outbox, error);
        outbox.intake().keep(result(n)).unwrap();
        wait_until_refused(&outbox);
        take_again(&outbox);
        assert!(outbox.flush(Duration::from_secs(60)));
        assert_eq!(chunks(&outbox), expected);
    }
    committer.stop();
    drop(outbox);
    let outbox = open_with(dir.path(), 100);
    assert_eq!(results(&drain(&outbox)), (0..3).map(result).collect::<Vec<_>>());
}

/// A file of the system whose first byte can't be read stands for one whose sectors are gone.
fn make_unreadable(file: &Path) {
    std::fs::remove_file(file).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", file).unwrap();
}

#[test]
fn a_chunk_that_cannot_be_read_holds_up_the_others_for_a_while_and_is_then_salvaged() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 10);
    let committer = start(&outbox);
    append(&outbox, 35);
    committer.stop();
    make_unreadable(&chunk(dir.path(), 11).join("conf"));
    drop(outbox);

    let outbox = open_with(dir.path(), 10);
    let committer = start(&outbox);
    for _ in 0..3 {
        assert_eq!(outbox.read(10, 100, usize::MAX).unwrap_err().raw_os_error(), Some(Errno::IO.raw_os_error()));
    }
    assert_eq!(outbox.status().damaged, 0);
    committer.stop();
    drop(outbox);

    let reads = Reads::with_patience(Duration::ZERO);
    let outbox = Outbox::open_with(&config(dir.path()), Intake::default(), reads).unwrap();
    let committer = start(&outbox);
    assert_eq!(outbox.read(10, 100, usize::MAX).unwrap(), []);
    while outbox.status().damaged == 0 {
        std::thread::yield_now();
    }
    let accounted = drain(&outbox);
    assert!(accounted.declared.is_empty(), "its records are all still there");
    assert_eq!(accounted.read.len(), 36 + 2);
    committer.stop();
}

#[test]
fn an_outbox_whose_last_chunk_cannot_be_read_opens_after_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 10);
    let committer = start(&outbox);
    append(&outbox, 14);
    committer.stop();
    make_unreadable(&chunk(dir.path(), 11).join("head.json"));
    drop(outbox);
    let open = |reads| Outbox::open_with(&config(dir.path()), Intake::default(), reads);
    assert!(open(Reads::default()).unwrap_err().may_pass());

    let outbox = open(Reads::with_patience(Duration::ZERO)).unwrap();
    let committer = start(&outbox);
    let accounted = drain(&outbox);
    assert!(accounted.declared.is_empty() && accounted.read.len() == 16, "{:?}", accounted.read.keys());
    committer.stop();
}

#[test]
fn what_memory_could_not_hold_is_numbered_and_declared_once_the_disk_takes_records() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 1_000);
    let committer = start(&outbox);
    refuse(&outbox, Errno::NOSPC);
    outbox.intake().keep(result(0)).unwrap();
    wait_until_refused(&outbox);
    for n in 1..20_000 {
        outbox.intake().keep(result(n)).unwrap();
    }
    let thrown_away = outbox.status().thrown_away;
    assert!(thrown_away > 1_000 && outbox.status().in_memory > 10_000);
    take_again(&outbox);
    assert!(outbox.flush(Duration::from_secs(60)));
    let status = outbox.status();
    assert_eq!((status.dropped, status.thrown_away), (thrown_away, 0));
    let accounted = drain(&outbox);
    assert_eq!(results(&accounted).len() as u64, 20_000 - thrown_away);
    assert_eq!(accounted.declared.len() as u64, thrown_away);
    assert_eq!(accounted.reasons, [DropReason::DiskFailed].into());
    let issued = (1..=status.highest_seq).map(|seq| (status.epoch.unwrap(), seq));
    assert_eq!(issued.filter(|number| !accounted.has(*number)).count(), 0);
    // The newest are there.
    assert!(results(&accounted).contains(&result(19_999)));
    committer.stop();
}

#[test]
fn results_that_came_before_the_outbox_are_numbered_after_its_first_record() {
    let dir = tempfile::tempdir().unwrap();
    let intake = Intake::default();
    for n in 0..5 {
        intake.keep(result(n)).unwrap();
    }
    let outbox = Outbox::open_with(&config(dir.path()), intake, Reads::default()).unwrap();
    let committer = start(&outbox);
    assert!(outbox.flush(Duration::from_secs(60)));
    let entries = read_all(&outbox);
    assert!(entries[0].payload.starts_with(b"{\"start\""));
    assert_eq!(
        entries[1..].iter().map(|e| e.payload.clone()).collect::<Vec<_>>(),
        (0..5).map(result).collect::<Vec<_>>()
    );
    committer.stop();
}

#[test]
fn an_epoch_can_begin_while_the_disk_refuses_and_is_durable_when_it_heals() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 10);
    refuse(&outbox, Errno::NOSPC);
    let (committer, begun) = outbox.launch("edge", |_| b"{}".to_vec()).unwrap();
    outbox.intake().keep(result(0)).unwrap();
    wait_until_refused(&outbox);
    assert_eq!(begun.wait_for(Duration::ZERO), Err(AppendError::TimedOut));
    take_again(&outbox);
    assert_eq!(begun.wait().unwrap().seq, 1);
    assert!(outbox.flush(Duration::from_secs(60)));
    assert_eq!(results(&drain(&outbox)), [result(0)]);
    committer.stop();
}

#[test]
fn a_stop_does_not_wait_for_a_disk_that_refuses_results() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_with(dir.path(), 10);
    let committer = start(&outbox);
    refuse(&outbox, Errno::IO);
    outbox.intake().keep(result(0)).unwrap();
    wait_until_refused(&outbox);
    committer.stop();
    assert_eq!((outbox.last(), outbox.intake().keep(result(1))), (1, Err(AppendError::Stopped)));
}

#[test]
fn an_error_of_the_disk_tells_what_to_do_about_it() {
    let error =
        |errno: Errno| OpenError::Io { path: "/outbox".into(), action: "open LOCK".into(), source: errno.into() };
    assert!(error(Errno::NOSPC).may_pass() && error(Errno::NOSPC).to_string().contains("make room"));
    assert!(error(Errno::ROFS).may_pass() && error(Errno::IO).may_pass());
    assert!(!error(Errno::ACCESS).may_pass() && error(Errno::ACCESS).to_string().contains("can write to"));
}
