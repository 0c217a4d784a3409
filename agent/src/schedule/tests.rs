//! Tests of the schedule with its threads. The tests of rules and arithmetic stand beside them and need no clock.

use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::check::testing::monitor;

const TICK: Duration = Duration::from_millis(20);

fn ticking(id: &str) -> Arc<Monitor> {
    let mut monitor = monitor("http://127.0.0.1:1/");
    monitor.id = id.into();
    monitor.interval = TICK;
    Arc::new(monitor)
}

/// A schedule whose checks only report their slots.
fn reporting(monitors: Vec<Arc<Monitor>>) -> (Schedule, Receiver<(String, Timestamp)>) {
    let (report, reports) = channel();
    let report = Mutex::new(report);
    let run = move |monitor: &Monitor, slot| {
        report.lock().send((monitor.id.clone(), slot)).ok();
    };
    (Schedule::start("edge-1", monitors, 2, Arc::new(run)), reports)
}

#[test]
fn every_monitor_is_run_again_and_again_on_its_own_grid() {
    let (schedule, reports) = reporting(vec![ticking("a"), ticking("b")]);
    let reports: Vec<(String, Timestamp)> = reports.iter().take(20).collect();
    schedule.stop();
    let phases = phases("edge-1", [("a", TICK), ("b", TICK)].into_iter());
    for (id, phase) in ["a", "b"].into_iter().zip(phases) {
        let slots: Vec<i128> =
            reports.iter().filter(|(of, _)| of == id).map(|(_, slot)| slot.as_nanosecond()).collect();
        assert!(slots.len() > 1, "{id}: {reports:?}");
        let interval = i128::try_from(TICK.as_nanos()).unwrap();
        let offset = i128::try_from(phase.as_nanos()).unwrap();
        assert!(slots.iter().all(|slot| slot.rem_euclid(interval) == offset), "{id}: {slots:?}");
        assert!(slots.is_sorted_by(|earlier, later| earlier < later), "{id}: no slot twice: {slots:?}");
    }
}

#[test]
fn stop_waits_for_what_runs_and_starts_nothing_more() {
    let (began, begins) = channel();
    let (release, released) = channel::<()>();
    let (began, released) = (Mutex::new(began), Mutex::new(released));
    let ended = Arc::new(Mutex::new(0));
    let count = ended.clone();
    let run = move |_: &Monitor, _| {
        began.lock().send(()).ok();
        released.lock().recv().ok();
        *count.lock() += 1;
    };
    let schedule = Arc::new(Schedule::start("edge-1", vec![ticking("a")], 4, Arc::new(run)));
    begins.recv().unwrap();
    let stopping = schedule.clone();
    let stopper = thread::spawn(move || stopping.stop());
    while !schedule.engine.locked().stopping {
        thread::yield_now();
    }
    assert_eq!(*ended.lock(), 0, "it still runs");
    drop(release);
    stopper.join().unwrap();
    assert_eq!(*ended.lock(), 1);
    assert!(begins.try_recv().is_err(), "nothing was started after the stop");
}

#[test]
fn a_check_longer_than_its_interval_never_runs_twice_at_once_and_its_slots_are_counted() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let run = move |_: &Monitor, _| {
        // A second one at once would find the receiver locked.
        released.try_lock().expect("one at a time").recv().ok();
    };
    let schedule = Schedule::start("edge-1", vec![ticking("a")], 4, Arc::new(run));
    while schedule.missed().get("overlap").is_none_or(|missed| *missed < 3) {
        thread::yield_now();
    }
    drop(release);
    schedule.stop();
}

#[test]
fn nothing_starts_while_paused_and_all_goes_on_after() {
    let (schedule, reports) = reporting(vec![ticking("a")]);
    reports.recv().unwrap();
    schedule.pause();
    while schedule.missed().get("paused").is_none_or(|missed| *missed < 3) {
        thread::yield_now();
    }
    while reports.try_recv().is_ok() {}
    schedule.resume();
    reports.recv().unwrap();
    schedule.stop();
}

#[test]
fn a_check_that_panics_takes_nothing_along() {
    let (report, reports) = channel();
    let report = Mutex::new(report);
    let run = move |monitor: &Monitor, _| {
        assert_ne!(monitor.id, "bad", "a panic on purpose");
        report.lock().send(()).ok();
    };
    let schedule = Schedule::start("edge-1", vec![ticking("bad"), ticking("good")], 1, Arc::new(run));
    assert_eq!(reports.iter().take(10).count(), 10);
    schedule.stop();
}

#[test]
fn monitors_come_and_go_and_the_others_keep_their_grid() {
    let (schedule, reports) = reporting(vec![ticking("stays"), ticking("goes")]);
    let slots = |of: &str, count: usize| -> Vec<i128> {
        let of_this = reports.iter().filter(|(id, _)| id == of);
        of_this.map(|(_, slot)| slot.as_nanosecond()).take(count).collect()
    };
    let before = slots("stays", 3);
    let mut renamed = monitor("http://127.0.0.1:2/");
    renamed.id = "comes".into();
    renamed.interval = TICK;
    let changes = schedule.replace(vec![Arc::new(renamed.clone()), ticking("stays")], 3);
    assert_eq!(changes, Changes { added: 1, removed: 1, changed: 0 });
    slots("comes", 3);
    while reports.try_recv().is_ok() {}
    let after: Vec<(String, Timestamp)> = reports.iter().take(10).collect();
    assert!(after.iter().all(|(id, _)| id != "goes"), "{after:?}");
    let interval = i128::try_from(TICK.as_nanos()).unwrap();
    let mut stayed = after.iter().filter(|(id, _)| id == "stays").map(|(_, slot)| slot.as_nanosecond());
    assert!(stayed.all(|slot| (slot - before[0]) % interval == 0), "{before:?} {after:?}");

    renamed.url = "http://127.0.0.1:3/".parse().unwrap();
    let changes = schedule.replace(vec![ticking("stays"), Arc::new(renamed)], 1);
    assert_eq!(changes, Changes { added: 0, removed: 0, changed: 1 });
    schedule.stop();
}

#[test]
fn a_check_that_runs_while_its_monitor_is_removed_ends_in_peace_and_does_not_overlap_when_it_is_back() {
    let (began, begins) = channel();
    let (release, released) = channel::<()>();
    let (began, released) = (Mutex::new(began), Mutex::new(released));
    let run = move |_: &Monitor, _| {
        // A second one at once would find the receiver locked.
        let released = released.try_lock().expect("one at a time");
        began.lock().send(()).ok();
        released.recv().ok();
    };
    let schedule = Schedule::start("edge-1", vec![ticking("a")], 4, Arc::new(run));
    begins.recv().unwrap();
    schedule.replace(vec![], 4);
    assert!(schedule.monitors().is_empty());
    schedule.replace(vec![ticking("a")], 4);
    while schedule.missed().get("overlap").is_none_or(|missed| *missed < 3) {
        thread::yield_now();
    }
    release.send(()).unwrap();
    begins.recv().unwrap();
    schedule.replace(vec![], 4);
    drop(release);
    schedule.stop();
}

/// Monitors that have a slot every few milliseconds between them.
fn many(count: usize) -> Vec<Arc<Monitor>> {
    (0..count).map(|n| ticking(&n.to_string())).collect()
}

/// A schedule whose checks last until the sender is dropped.
fn blocked(count: usize, workers: usize, idle: Duration) -> (Schedule, std::sync::mpsc::Sender<()>) {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let run = move |_: &Monitor, _| {
        // Anyone who has the lock waits for all.
        released.lock().recv().ok();
    };
    (Schedule::start_with("edge-1", many(count), workers, Arc::new(run), idle), release)
}

fn until(holds: impl Fn() -> bool) {
    while !holds() {
        thread::yield_now();
    }
}

#[test]
fn threads_come_with_the_work_up_to_one_more_than_checks_and_somebody_still_counts_what_is_missed() {
    let (schedule, release) = blocked(5, 3, IDLE);
    until(|| schedule.engine.locked().worker_pool.threads() == 4);
    let missed = |reason: &str| schedule.missed().get(reason).copied().unwrap_or(0);
    until(|| missed("overlap") > 3 && missed("no_worker") > 3);
    assert_eq!(schedule.engine.locked().worker_pool.threads(), 4);
    drop(release);
    schedule.stop();
    assert_eq!(schedule.engine.locked().worker_pool.threads(), 0);
}

#[test]
fn threads_without_work_end_until_two_watch() {
    let (schedule, release) = blocked(7, 7, Duration::ZERO);
    until(|| schedule.engine.locked().worker_pool.threads() == 8);
    schedule.replace(vec![], 7);
    drop(release);
    until(|| schedule.engine.locked().worker_pool.threads() == 2);
    schedule.stop();
}

#[test]
fn fewer_workers_have_fewer_threads_and_more_of_them_more() {
    let (schedule, release) = blocked(8, 4, IDLE);
    until(|| schedule.engine.locked().worker_pool.threads() == 5);
    schedule.replace(many(8), 6);
    until(|| schedule.engine.locked().worker_pool.threads() == 7);
    schedule.replace(vec![], 1);
    drop(release);
    until(|| schedule.engine.locked().worker_pool.threads() == 2);
    schedule.stop();
}
