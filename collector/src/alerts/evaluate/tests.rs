mod agents;

use super::*;
use crate::alerts::alert::Phase;
use crate::alerts::facts::Monitor;
use crate::config::alerts::{Maintenance, Receiver, Rule, Selection};
use crate::figures::agent::AgentRow;
use crate::figures::looks::look::{Latest, Look};
use crate::figures::looks::observation::Observation;
use crate::notify::{Channel, Command, Kind};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn rule(what: What) -> Rule {
    Rule { name: "rule".into(), what, monitors: Selection::default(), agents: vec![], receivers: vec![] }
}

const DOWN: What = What::Down { checks: 2, lasting: Duration::ZERO, seen_by: None };

fn config(rules: Vec<Rule>) -> Alerts {
    let channel = Channel::Command(Command { argv: vec![], environment: Default::default(), timeout: Duration::ZERO });
    let receivers = vec![Receiver { name: "ops".into(), channel }];
    Alerts { rules, receivers, repeat: Some(Duration::from_secs(3_600)), ..Alerts::default() }
}

fn observation(agent: &str, look: Look, failures: i64, since: i64) -> Observation {
    let latest = Latest {
        look,
        outcome: Some(if look == Look::Failure { "timeout".into() } else { "success".into() }),
        ..Latest::silent(agent.into())
    };
    let since = (failures > 0).then(|| at(since));
    Observation { failures, since, is_bounded: true, ..Observation::of(latest) }
}

fn monitor(observations: Vec<Observation>) -> Monitor {
    Monitor {
        id: "shop".into(),
        name: "Shop".into(),
        url: "https://shop.example/".into(),
        observations,
        ..Monitor::default()
    }
}

fn facts(now: i64, monitors: Vec<Monitor>, agents: Vec<AgentRow>) -> Facts {
    Facts { as_of: at(now), heard_since: at(-100_000), monitors, agents, kafka: None }
}

/// A series of evaluations. Each of them continues from the alerts of the one before.
struct Story {
    config: Alerts,
    known: Known,
}

impl Story {
    fn new(config: Alerts) -> Story {
        Story { config, known: Known::new() }
    }

    fn then(&mut self, facts: &Facts) -> Vec<Kind> {
        self.told(facts).iter().map(|item| item.kind).collect()
    }

    fn told(&mut self, facts: &Facts) -> Vec<Item> {
        let mut changes = evaluate(&self.config, Some("https://status.example"), facts, &self.known);
        for (rule, subject) in changes.gone {
            self.known.get_mut(&rule).unwrap().remove(&subject);
        }
        for (rule, subject, alert) in changes.alerts {
            self.known.entry(rule).or_default().insert(subject, alert);
        }
        changes.messages.remove("ops").unwrap_or_default()
    }

    fn site(&mut self, now: i64, observations: Vec<Observation>) -> Vec<Kind> {
        self.then(&facts(now, vec![monitor(observations)], vec![]))
    }

    fn agent(&mut self, now: i64, agent: AgentRow) -> Vec<Kind> {
        self.then(&facts(now, vec![], vec![agent]))
    }

    fn phase(&self, subject: &str) -> Option<Phase> {
        Some(self.known.get("rule")?.get(subject)?.phase)
    }
}

use Look::{AgentError, Failure, Silent, Success};

#[test]
fn a_site_that_fails_twice_in_a_row_is_told_once_and_its_recovery_once() {
    let mut story = Story::new(config(vec![rule(DOWN)]));
    assert_eq!(story.site(0, vec![observation("a", Success, 0, 0)]), []);
    assert_eq!(story.site(10, vec![observation("a", Failure, 1, 5)]), []);
    assert_eq!(story.phase("shop"), Some(Phase::Pending));
    let down = facts(20, vec![monitor(vec![observation("a", Failure, 2, 5)])], vec![]);
    let told = story.told(&down);
    assert_eq!((told.len(), told[0].kind, told[0].since), (1, Kind::Firing, at(5)));
    assert_eq!(told[0].details.blame.as_deref(), Some("target"));
    assert_eq!(told[0].details.reason, "timeout (seen by a; 1 of 1 that look)");
    assert_eq!(told[0].page.as_deref(), Some("https://status.example/monitors/shop"));
    assert_eq!(story.then(&down), []);
    assert_eq!(story.site(30, vec![observation("a", Failure, 3, 5)]), []);
    let told = story.told(&facts(40, vec![monitor(vec![observation("a", Success, 0, 0)])], vec![]));
    assert_eq!((told[0].kind, told[0].since), (Kind::Resolved, at(5)));
    assert!(told[0].details.reason.starts_with("timeout"));
    assert_eq!(story.site(50, vec![observation("a", Success, 0, 0)]), []);
}

#[test]
fn a_failure_that_is_over_before_it_counts_is_never_told() {
    let mut story = Story::new(config(vec![rule(DOWN)]));
    assert_eq!(story.site(10, vec![observation("a", Failure, 1, 5)]), []);
    assert_eq!(story.site(20, vec![observation("a", Success, 0, 0)]), []);
    assert_eq!(story.phase("shop"), None);
}

#[test]
fn trouble_that_no_one_sees_go_on_begins_again() {
    let lasting = Duration::from_secs(300);
    let mut story = Story::new(config(vec![rule(What::Down { checks: 1, lasting, seen_by: None })]));
    let unbounded = |since| Observation { is_bounded: false, ..observation("a", Failure, 1, since) };
    assert_eq!(story.site(10, vec![unbounded(5)]), []);
    assert_eq!(story.site(200, vec![observation("a", Silent, 0, 0)]), []);
    assert_eq!(story.phase("shop"), None);
    assert_eq!(story.site(310, vec![unbounded(300)]), []);
    assert_eq!(story.site(599, vec![unbounded(580)]), []);
    assert_eq!(story.site(600, vec![unbounded(580)]), [Kind::Firing]);
}

#[test]
fn what_some_agents_see_is_told_only_where_a_rule_says_how_many_are_enough() {
    let observations =
        || vec![observation("a", Failure, 9, 5), observation("b", Failure, 2, 8), observation("c", Success, 0, 0)];
    assert_eq!(Story::new(config(vec![rule(DOWN)])).site(10, observations()), []);
    let of = |seen_by| rule(What::Down { checks: 2, lasting: Duration::ZERO, seen_by: Some(seen_by) });
    let mut story = Story::new(config(vec![of(2)]));
    let told = story.told(&facts(10, vec![monitor(observations())], vec![]));
    assert_eq!((told[0].kind, told[0].since, told[0].details.blame.as_deref()), (Kind::Firing, at(8), Some("path")));
    assert_eq!(Story::new(config(vec![of(3)])).site(10, observations()), []);
}

#[test]
fn a_site_that_one_agent_sees_fail_since_another_one_looked_last_is_told() {
    let hourly = |second| Observation { looked_at: Some(at(second)), ..observation("hourly", Success, 0, 0) };
    let often = |failures| observation("often", Failure, failures, 300);
    let mut story = Story::new(config(vec![rule(DOWN)]));
    assert_eq!(story.site(301, vec![often(1), hourly(0)]), []);
    let told = story.told(&facts(310, vec![monitor(vec![often(2), hourly(0)])], vec![]));
    assert_eq!((told.len(), told[0].kind, told[0].since), (1, Kind::Firing, at(300)));
    assert_eq!(told[0].details.blame.as_deref(), Some("target"));
    assert_eq!(told[0].details.reason, "timeout (seen by often; 1 of 1 that look)");
    assert_eq!(story.site(1_800, vec![often(300), hourly(0)]), []);
    // The other agent looks again and sees the site succeed, so the path is at fault.
    assert_eq!(story.site(3_610, vec![often(660), hourly(3_600)]), [Kind::Resolved]);
    // Two agents have to see the failure and one of them does not. That this agent looked before the other agent failed
    // makes no difference.
    let mut story = Story::new(config(vec![rule(What::Down { checks: 2, lasting: Duration::ZERO, seen_by: Some(2) })]));
    assert_eq!(story.site(310, vec![often(2), observation("hourly", Failure, 2, 200)]), [Kind::Firing]);
    assert_eq!(story.site(320, vec![often(2), hourly(290)]), [Kind::Resolved]);
}

#[test]
fn silence_and_an_agents_own_trouble_neither_fire_nor_resolve() {
    let mut story = Story::new(config(vec![rule(DOWN)]));
    assert_eq!(story.site(0, vec![observation("a", Silent, 0, 0), observation("b", AgentError, 0, 0)]), []);
    assert_eq!(story.phase("shop"), None);
    assert_eq!(story.site(10, vec![observation("a", Failure, 2, 5), observation("b", Silent, 0, 0)]), [Kind::Firing]);
    assert_eq!(story.site(20, vec![observation("a", Silent, 2, 5), observation("b", Silent, 0, 0)]), []);
    assert_eq!(story.phase("shop"), Some(Phase::Firing));
    assert_eq!(story.site(30, vec![observation("a", Silent, 2, 5), observation("b", Success, 0, 0)]), [Kind::Resolved]);
}

#[test]
fn a_duration_counts_from_the_first_failure_even_when_that_is_long_out_of_sight() {
    let lasting = Duration::from_secs(300);
    let mut story = Story::new(config(vec![rule(What::Down { checks: 1, lasting, seen_by: None })]));
    let unbounded = |since| Observation { is_bounded: false, ..observation("a", Failure, 4, since) };
    assert_eq!(story.site(10, vec![observation("a", Failure, 1, 5)]), []);
    assert_eq!(story.site(250, vec![unbounded(200)]), []);
    assert_eq!(story.site(305, vec![unbounded(260)]), [Kind::Firing]);
    // A success in between starts the duration again.
    let mut story = Story::new(config(vec![rule(What::Down { checks: 1, lasting, seen_by: None })]));
    assert_eq!(story.site(10, vec![observation("a", Failure, 1, 5)]), []);
    assert_eq!(story.site(305, vec![observation("a", Failure, 1, 200)]), []);
}

#[test]
fn what_still_fires_is_repeated_when_it_is_time() {
    let mut story = Story::new(config(vec![rule(DOWN)]));
    let down = |story: &mut Story, now| story.site(now, vec![observation("a", Failure, 2, 5)]);
    assert_eq!(down(&mut story, 10), [Kind::Firing]);
    assert_eq!(down(&mut story, 3_609), []);
    assert_eq!(down(&mut story, 3_610), [Kind::Repeat]);
    assert_eq!(down(&mut story, 3_620), []);
    story.config.repeat = None;
    assert_eq!(down(&mut story, 100_000), []);
}

fn window(from: i64, until: i64) -> Maintenance {
    window_of(from, until, "")
}

fn window_of(from: i64, until: i64, of: &str) -> Maintenance {
    let text = format!("maintenance: [{{from: {}, until: {}, reason: move, {of}}}]", at(from), at(until));
    let value = serde_yaml::from_str(&text).unwrap();
    let (mut alerts, faults) = settings::Section::read(std::path::Path::new("x"), None, value, |root| {
        root.sections("maintenance", Maintenance::of)
    });
    assert!(faults.is_empty(), "{faults:?}");
    alerts.remove(0)
}

#[test]
fn maintenance_is_told_nothing_of_but_what_lasts_beyond_it() {
    let with_window = || Story::new(Alerts { maintenance: vec![window(0, 100)], ..config(vec![rule(DOWN)]) });
    let mut story = with_window();
    assert_eq!(story.site(10, vec![observation("a", Failure, 2, 5)]), []);
    let alert = &story.known["rule"]["shop"];
    assert_eq!((alert.phase, alert.silenced.as_deref()), (Phase::Firing, Some("move")));
    assert_eq!(story.site(50, vec![observation("a", Success, 0, 0)]), []);
    assert_eq!(story.site(110, vec![observation("a", Success, 0, 0)]), []);

    let mut story = with_window();
    assert_eq!(story.site(10, vec![observation("a", Failure, 2, 5)]), []);
    assert_eq!(story.site(100, vec![observation("a", Failure, 9, 5)]), [Kind::Firing]);
    assert_eq!(story.site(110, vec![observation("a", Success, 0, 0)]), [Kind::Resolved]);

    // When an alert was told before the maintenance and ends during it, its end is told when the maintenance ends.
    let mut story = with_window();
    assert_eq!(story.site(-10, vec![observation("a", Failure, 2, -20)]), [Kind::Firing]);
    assert_eq!(story.site(50, vec![observation("a", Success, 0, 0)]), []);
    assert_eq!(story.site(100, vec![observation("a", Success, 0, 0)]), [Kind::Resolved]);
}

#[test]
fn a_monitor_that_no_one_watches_any_more_is_over() {
    let mut story = Story::new(config(vec![rule(DOWN)]));
    assert_eq!(story.site(10, vec![observation("a", Failure, 2, 5)]), [Kind::Firing]);
    // The monitor may be back in a moment.
    assert_eq!(story.then(&facts(20, vec![], vec![])), []);
    assert_eq!(story.site(500, vec![observation("a", Failure, 2, 5)]), []);
    assert_eq!(story.then(&facts(1_099, vec![], vec![])), []);
    let told = story.told(&facts(1_100, vec![], vec![]));
    assert_eq!((told[0].kind, &*told[0].details.reason), (Kind::Resolved, "it is no longer watched"));
    assert_eq!(story.then(&facts(1_110, vec![], vec![])), []);
}

#[test]
fn what_waited_to_fire_of_a_monitor_that_is_gone_is_forgotten() {
    let mut story = Story::new(config(vec![rule(DOWN)]));
    assert_eq!(story.site(10, vec![observation("a", Failure, 1, 5)]), []);
    assert_eq!(story.then(&facts(610, vec![], vec![])), []);
    assert_eq!(story.phase("shop"), None);
}

#[test]
fn the_end_of_what_no_collector_has_a_rule_for_is_told_to_whom_its_begin_was() {
    let mut story = Story::new(config(vec![Rule { receivers: vec!["ops".into()], ..rule(DOWN) }]));
    assert_eq!(story.site(10, vec![observation("a", Failure, 2, 5)]), [Kind::Firing]);
    story.config.rules.clear();
    story.config.receivers.clear();
    let all = || vec![monitor(vec![observation("a", Failure, 2, 5)])];
    assert_eq!(story.then(&facts(600, all(), vec![])), []);
    // A collector that has not been there for this long says nothing.
    assert_eq!(story.then(&Facts { heard_since: at(100), ..facts(610, all(), vec![]) }), []);
    let told = story.told(&facts(610, all(), vec![]));
    assert_eq!((told[0].kind, &*told[0].rule, &*told[0].what), (Kind::Resolved, "rule", "down"));
    assert_eq!(told[0].page.as_deref(), Some("https://status.example/monitors/shop"));
}

#[test]
fn collectors_of_different_rules_leave_each_others_alerts_alone() {
    let named = |name: &str| config(vec![Rule { name: name.into(), ..rule(DOWN) }]);
    let mut story = Story::new(named("one"));
    let mut told = Vec::new();
    for now in (0..3_000).step_by(10) {
        story.config = named(if now % 20 == 0 { "one" } else { "other" });
        told.extend(story.site(now, vec![observation("a", Failure, 2, -20)]));
    }
    assert_eq!(told, [Kind::Firing, Kind::Firing]);
}

#[test]
fn what_is_gone_within_its_maintenance_is_told_to_be_over_after_it() {
    for selection in ["monitors: {ids: [shop]}", "monitors: {tags: {team: web}}"] {
        let maintenance = vec![window_of(0, 1_000, selection)];
        let mut story = Story::new(Alerts { maintenance, ..config(vec![rule(DOWN)]) });
        let failing = || {
            let tags = [("team".to_owned(), "web".to_owned())].into();
            vec![Monitor { tags, ..monitor(vec![observation("a", Failure, 2, -20)]) }]
        };
        assert_eq!(story.then(&facts(-10, failing(), vec![])), [Kind::Firing]);
        assert_eq!(story.then(&facts(10, failing(), vec![])), []);
        assert_eq!(story.then(&facts(800, vec![], vec![])), [], "{selection}");
        assert_eq!(story.phase("shop"), Some(Phase::Resolved));
        assert_eq!(story.then(&facts(1_000, vec![], vec![])), [Kind::Resolved]);
    }
}

#[test]
fn slow_answers_and_ending_certificates_are_told() {
    let slow = What::Slow { over: Duration::from_secs(2), percentile: 95, lasting: Duration::from_secs(300) };
    let mut story = Story::new(config(vec![rule(slow)]));
    let with = |us: Option<i64>| Monitor {
        times_us: us.map(|us| ("rule".into(), us)).into_iter().collect(),
        ..monitor(vec![observation("a", Success, 0, 0)])
    };
    assert_eq!(story.then(&facts(10, vec![with(Some(2_000_000))], vec![])), []);
    let told = story.told(&facts(20, vec![with(Some(2_500_000))], vec![]));
    assert_eq!(told[0].details.reason, "p95 of the response times is 2.500 s, not within 2.000 s");
    assert_eq!(story.then(&facts(30, vec![with(None)], vec![])), []);
    assert_eq!(story.then(&facts(40, vec![with(Some(1))], vec![])), [Kind::Resolved]);

    let mut story = Story::new(config(vec![rule(What::CertificateExpiring { within: Duration::from_secs(100) })]));
    let ends = |second| {
        let mut observation = observation("a", Success, 0, 0);
        observation.latest.certificate_not_after = Some(at(second));
        vec![observation]
    };
    assert_eq!(story.site(10, ends(111)), []);
    assert_eq!(story.site(11, ends(111)), [Kind::Firing]);
    assert_eq!(story.site(12, ends(100_000)), [Kind::Resolved]);
    let mut rests_on_another = ends(100_000);
    rests_on_another[0].latest.certificate_first_end = Some(at(112));
    let told = story.told(&facts(13, vec![monitor(rests_on_another)], vec![]));
    assert_eq!(told[0].details.reason, format!("a certificate that it rests on ends at {}", at(112)));
}

#[test]
fn a_thousand_monitors_that_fail_at_once_are_told_in_one_message() {
    let story = Story::new(config(vec![rule(DOWN)]));
    let all =
        (0..1_000).map(|n| Monitor { id: format!("m{n}"), ..monitor(vec![observation("a", Failure, 2, 5)]) }).collect();
    let changes = evaluate(&story.config, None, &facts(10, all, vec![]), &story.known);
    assert_eq!((changes.messages.len(), changes.messages["ops"].len(), changes.alerts.len()), (1, 1_000, 1_000));
}
