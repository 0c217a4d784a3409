//! The protocol holds in thousands of worlds, and each of its rules is needed for that.

use std::sync::LazyLock;

use world::{Action, FaultKind, Found, Rule, Rules, run, schedule, search, shrink};

/// These many seeds are enough for every rare state.
const SEEDS: u64 = 4_000;
/// These many seeds are enough to miss any rule.
const MOST_SEEDS: u64 = 8_000;
/// After these many seeds it is looked whether more are needed.
const PORTION: u64 = 250;
const THREADS: usize = 2;

static WITH_ALL_RULES: LazyLock<Found> = LazyLock::new(|| search(0..SEEDS, THREADS, Rules::ALL));

/// This is wrong where a rule is undone.
fn consequence(rule: Rule) -> FaultKind {
    match rule {
        Rule::Memory => FaultKind::OtherMonitor,
        Rule::Positions | Rule::Tail | Rule::Group => FaultKind::Skipped,
        Rule::List => FaultKind::Invisible,
        Rule::Wipe => FaultKind::Pending,
        Rule::Name => FaultKind::OtherAgent,
        Rule::Due => FaultKind::TooFewDue,
        Rule::Clock => FaultKind::OldReport,
    }
}

/// Finds the lowest seed in whose world there is a fault of that kind.
fn seed_of(kind: FaultKind, rules: Rules) -> Option<u64> {
    let portions =
        (0..MOST_SEEDS).step_by(PORTION as usize).map(|begin| search(begin..begin + PORTION, THREADS, rules));
    portions.filter_map(|found| found.faults.get(&kind).map(|sighting| sighting.lowest)).next()
}

fn fails(seed: u64, actions: &[Action], rules: Rules, kind: FaultKind) -> bool {
    run(seed, actions, rules).faults.iter().any(|fault| fault.kind == kind)
}

#[test]
fn with_all_rules_no_schedule_loses_repeats_or_misplaces_a_result() {
    assert!(WITH_ALL_RULES.is_clean(), "{:?}", WITH_ALL_RULES.faults);
    assert_eq!(WITH_ALL_RULES.schedules, SEEDS);
}

#[test]
fn every_kind_of_action_happens_and_every_rare_state_is_met() {
    let missing = WITH_ALL_RULES.cover.missing();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn each_rule_that_is_undone_is_missed() {
    for rule in Rule::ALL {
        let kind = consequence(rule);
        assert!(seed_of(kind, Rules::ALL.without(rule)).is_some(), "without {rule} nothing is {kind}");
    }
}

#[test]
fn the_same_seeds_have_the_same_worlds_on_one_thread_and_on_two() {
    let of = |threads| search(100..600, threads, Rules::ALL.without(Rule::Due));
    let (one, two) = (of(1), of(2));
    assert_eq!((one.digest, one.messages, &one.cover), (two.digest, two.messages, &two.cover));
    let places =
        |found: &Found| found.faults.iter().map(|(kind, at)| (*kind, at.schedules, at.lowest)).collect::<Vec<_>>();
    assert_eq!(places(&one), places(&two));
    assert_ne!(one.digest, search(101..601, THREADS, Rules::ALL.without(Rule::Due)).digest);
}

#[test]
fn a_shrunk_schedule_still_fails_and_is_short() {
    for rule in [Rule::Positions, Rule::Tail, Rule::List, Rule::Clock] {
        let (rules, kind) = (Rules::ALL.without(rule), consequence(rule));
        let seed = seed_of(kind, rules).expect("a rule that is undone is missed");
        let actions = schedule(seed);
        let few = shrink(seed, &actions, rules, kind);
        assert!(fails(seed, &few, rules, kind) && !fails(seed, &few, Rules::ALL, kind), "{rule}: {few:?}");
        assert!(few.len() < 30, "{rule}: {} of {} actions", few.len(), actions.len());
    }
}

#[test]
fn a_rule_is_known_by_its_name() {
    for rule in Rule::ALL {
        assert_eq!(rule.word().parse(), Ok(rule));
        assert!(Rules::ALL.has(rule) && !Rules::ALL.without(rule).has(rule));
        assert!(rule.sentence().ends_with('.'));
    }
    assert!("mercy".parse::<Rule>().is_err());
}
