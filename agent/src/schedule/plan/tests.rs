use super::*;

const SECOND: Duration = Duration::from_secs(1);
const FAST_RUN: Duration = Duration::from_millis(10);
const SLOW_RUN: Duration = Duration::from_secs(3);

/// Monitors with an interval of 10 s whose slots are all at the same time.
fn plan(monitors: usize, workers: usize) -> Plan {
    let mut plan = Plan::new(workers);
    (0..monitors).for_each(|monitor| plan.add(monitor, slots(0)));
    plan.reschedule();
    plan
}

/// Slots every 10 s from this second on.
fn slots(first: u32) -> Slots {
    Slots::from(first * SECOND, first * SECOND, 10 * SECOND, Duration::ZERO)
}

/// All monitors that may start at `now`.
fn starts(plan: &mut Plan, now: Moment) -> Vec<usize> {
    plan.advance(now, Missed::Late);
    std::iter::from_fn(|| plan.start(now)).map(|start| start.monitor).collect()
}

fn missed(plan: &Plan, reason: &str) -> u64 {
    plan.missed().get(reason).copied().unwrap_or(0)
}

#[test]
fn each_slot_starts_once_when_it_is_due() {
    let mut plan = plan(1, 4);
    for slot in 0..3 {
        let due = slot * 10 * SECOND;
        assert_eq!(plan.next_dues()[0], due);
        assert_eq!(starts(&mut plan, due), [0]);
        assert_eq!(starts(&mut plan, due), [] as [usize; 0]);
        plan.finished(0, FAST_RUN);
        assert_eq!(starts(&mut plan, due + 9 * SECOND), [] as [usize; 0]);
    }
    assert!(plan.missed().is_empty());
}

#[test]
fn a_monitor_that_still_runs_misses_its_slot_as_overlap() {
    let mut plan = plan(1, 4);
    assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
    assert_eq!(starts(&mut plan, 10 * SECOND), [] as [usize; 0]);
    assert_eq!(missed(&plan, "overlap"), 1);
    plan.finished(0, SLOW_RUN);
    assert_eq!(starts(&mut plan, 20 * SECOND), [0]);
}

#[test]
fn a_slot_waits_for_a_worker_but_not_for_ever() {
    let mut plan = plan(3, 1);
    assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
    plan.finished(0, FAST_RUN);
    assert_eq!(starts(&mut plan, SECOND), [1], "the next takes the worker, a little late");
    plan.finished(1, SLOW_RUN);
    assert_eq!(starts(&mut plan, 6 * SECOND), [] as [usize; 0], "too late for the third");
    assert_eq!(missed(&plan, "no_worker"), 1);
    assert_eq!(starts(&mut plan, 10 * SECOND).len(), 1);
}

#[test]
fn slots_that_passed_while_nothing_ran_are_late_and_counted_one_by_one() {
    let mut plan = plan(1, 4);
    assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
    plan.finished(0, FAST_RUN);
    assert_eq!(starts(&mut plan, 58 * SECOND), [] as [usize; 0]);
    assert_eq!(missed(&plan, "late"), 5, "10, 20, 30, 40, and 50, which is more than 5 s ago");
    assert_eq!(starts(&mut plan, 82 * SECOND), [0], "60 and 70 passed, 80 is not too late");
    assert_eq!(missed(&plan, "late"), 7);
}

#[test]
fn while_paused_slots_are_missed_also_those_that_waited() {
    let mut plan = plan(2, 1);
    assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
    plan.hold(Missed::Paused);
    plan.finished(0, FAST_RUN);
    assert_eq!(starts(&mut plan, Duration::ZERO), [] as [usize; 0]);
    assert_eq!(starts(&mut plan, 10 * SECOND), [] as [usize; 0]);
    assert_eq!(missed(&plan, "paused"), 3);
    plan.release();
    assert_eq!(starts(&mut plan, 20 * SECOND), [0]);
}

#[test]
fn slow_monitors_have_at_most_half_of_the_workers() {
    let mut plan = plan(6, 4);
    for round in 0..2 {
        let now = round * 10 * SECOND;
        for _ in 0..6 {
            for monitor in starts(&mut plan, now) {
                // Monitors 0 to 3 hang, 4 and 5 don't.
                plan.finished(monitor, if monitor < 4 { SLOW_RUN } else { FAST_RUN });
            }
        }
    }
    let mut running = starts(&mut plan, 20 * SECOND);
    running.sort_unstable();
    assert_eq!(running, [0, 1, 4, 5], "two of those that hang, and both of the others");
    plan.finished(4, FAST_RUN);
    assert_eq!(starts(&mut plan, 20 * SECOND), [] as [usize; 0], "the free worker is kept for fast ones");
    plan.finished(0, FAST_RUN);
    assert_eq!(starts(&mut plan, 20 * SECOND), [2], "the next slow one may come");
    plan.finished(5, FAST_RUN);
    assert_eq!(starts(&mut plan, 30 * SECOND), [0, 4], "0 was fast, so it may have the other workers again");
}

#[test]
fn one_worker_serves_slow_monitors_too() {
    let mut plan = plan(1, 1);
    for slot in 0..3 {
        assert_eq!(starts(&mut plan, slot * 10 * SECOND), [0]);
        plan.finished(0, SLOW_RUN);
    }
}

#[test]
fn the_two_moments_that_are_told_are_those_at_which_slots_come_next() {
    assert_eq!(Plan::new(1).next_dues(), [Moment::MAX; 2]);
    let mut plan = Plan::new(1);
    [5, 3, 8, 1].into_iter().enumerate().for_each(|(monitor, first)| plan.add(monitor, slots(first)));
    plan.reschedule();
    for (now, next) in [(0, [1, 3]), (1, [3, 5]), (3, [5, 8]), (5, [8, 11]), (8, [11, 13])] {
        starts(&mut plan, now * SECOND);
        assert_eq!(plan.next_dues(), next.map(|second| second * SECOND), "at {now}");
    }
    let mut alone = self::plan(1, 1);
    starts(&mut alone, Duration::ZERO);
    assert_eq!(alone.next_dues(), [10 * SECOND, 20 * SECOND]);
}

#[test]
fn slots_of_the_time_that_the_machine_slept_are_missed_for_that_reason() {
    let mut plan = plan(1, 1);
    assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
    plan.finished(0, FAST_RUN);
    plan.advance(48 * SECOND, Missed::Suspended);
    assert_eq!((missed(&plan, "suspended"), missed(&plan, "late")), (4, 0));
}

#[test]
fn a_monitor_that_is_kept_goes_on_as_if_nothing_had_happened() {
    let mut plan = plan(2, 1);
    assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
    plan.add(2, slots(5));
    for kept in [0, 1] {
        plan.keep(kept, false, |slots| slots);
    }
    plan.reschedule();
    assert!(!plan.finished(0, FAST_RUN));
    assert_eq!(starts(&mut plan, SECOND), [1], "it waited, and still does");
    plan.finished(1, FAST_RUN);
    assert_eq!(plan.next_dues()[0], 5 * SECOND);
    assert_eq!(starts(&mut plan, 5 * SECOND), [2]);
    plan.finished(2, FAST_RUN);
    assert_eq!(starts(&mut plan, 10 * SECOND), [0]);
    assert_eq!(plan.missed(), BTreeMap::new());
}

#[test]
fn a_monitor_that_is_removed_has_no_slots_and_its_place_is_free_when_its_check_has_ended() {
    let mut plan = plan(3, 1);
    assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
    assert!(!plan.remove(0), "it runs");
    assert!(plan.remove(1), "it waited");
    plan.reschedule();
    assert!(plan.finished(0, FAST_RUN));
    assert_eq!(starts(&mut plan, 2 * SECOND), [2]);
    assert!(!plan.finished(2, FAST_RUN));
    assert_eq!(starts(&mut plan, 10 * SECOND), [2]);
    assert_eq!(plan.missed(), BTreeMap::new(), "what is removed is not missed");
}

#[test]
fn a_monitor_that_comes_back_while_its_check_runs_does_not_overlap_itself() {
    let mut plan = plan(1, 4);
    assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
    assert!(!plan.remove(0));
    plan.keep(0, true, |_| slots(5));
    plan.reschedule();
    assert_eq!(starts(&mut plan, 5 * SECOND), [] as [usize; 0]);
    assert_eq!(missed(&plan, "overlap"), 1);
    assert!(!plan.finished(0, SLOW_RUN));
    assert_eq!(starts(&mut plan, 15 * SECOND), [0]);
}

#[test]
fn many_new_monitors_that_hang_leave_workers_to_those_that_are_known_to_be_fast() {
    let mut plan = plan(1, 8);
    assert_eq!(starts(&mut plan, Duration::ZERO), [0]);
    plan.finished(0, FAST_RUN);
    (1..20).for_each(|monitor| plan.add(monitor, slots(9)));
    plan.reschedule();
    assert_eq!(starts(&mut plan, 9 * SECOND).len(), 7);
    assert_eq!(starts(&mut plan, 10 * SECOND), [0]);
}
