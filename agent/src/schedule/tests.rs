//! The schedule with its threads. Rules and arithmetic are tested where they are, without clocks.

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
        report.lock().unwrap().send((monitor.id.clone(), slot)).ok();
    };
    (Schedule::start("edge-1", monitors, 2, Arc::new(run)), reports)
}

#[test]
fn every_monitor_is_run_again_and_again_on_its_own_grid() {
    let (schedule, reports) = reporting(vec![ticking("a"), ticking("b")]);
    let reports: Vec<(String, Timestamp)> = reports.iter().take(20).collect();
    schedule.stop();
    for id in ["a", "b"] {
        let slots: Vec<i128> =
            reports.iter().filter(|(of, _)| of == id).map(|(_, slot)| slot.as_nanosecond()).collect();
        assert!(slots.len() > 1, "{id}: {reports:?}");
        let interval = i128::try_from(TICK.as_nanos()).unwrap();
        let offset = i128::try_from(phase("edge-1", id, TICK).as_nanos()).unwrap();
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
        began.lock().unwrap().send(()).ok();
        released.lock().unwrap().recv().ok();
        *count.lock().unwrap() += 1;
    };
    let schedule = Arc::new(Schedule::start("edge-1", vec![ticking("a")], 4, Arc::new(run)));
    begins.recv().unwrap();
    let stopping = schedule.clone();
    let stopper = thread::spawn(move || stopping.stop());
    while !schedule.shared.locked().stopping {
        thread::yield_now();
    }
    assert_eq!(*ended.lock().unwrap(), 0, "it still runs");
    drop(release);
    stopper.join().unwrap();
    assert_eq!(*ended.lock().unwrap(), 1);
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
        report.lock().unwrap().send(()).ok();
    };
    let schedule = Schedule::start("edge-1", vec![ticking("bad"), ticking("good")], 1, Arc::new(run));
    assert_eq!(reports.iter().take(10).count(), 10);
    schedule.stop();
}
