use super::*;
use crate::alerts::facts::Away;
use crate::figures::agent::Presence;
use crate::notify::Details;

fn agent(last_seen: i64) -> AgentRow {
    AgentRow {
        name: "edge-1".into(),
        version: None,
        labels: BTreeMap::new(),
        first_seen: Some(at(-86_400)),
        last_seen: Some(at(last_seen)),
        last_report: Some(at(last_seen)),
        presence: Presence::Running,
        retired_since: None,
        doubled: false,
        monitors: 1,
        pending: 0,
        dropped: 0,
        rejected: 0,
        outbox_bytes: None,
        clock_behind_us: 0,
        clock_jumps: 0,
        last_jump_us: 0,
        configuration_faults: 0,
        missed: BTreeMap::new(),
    }
}

#[test]
fn a_silent_agent_is_told_unless_it_said_that_it_stops() {
    let silent = rule(What::AgentSilent { lasting: Duration::from_secs(180) });
    let mut story = Story::new(config(vec![silent.clone()]));
    assert_eq!(story.agent(0, agent(0)), []);
    assert_eq!(story.agent(179, agent(0)), []);
    let told = story.told(&facts(180, vec![], vec![agent(0)]));
    assert_eq!((told[0].kind, told[0].since, told[0].details.blame.as_deref()), (Kind::Firing, at(0), Some("agent")));
    assert_eq!(story.agent(200, agent(199)), [Kind::Resolved]);
    assert_eq!(story.agent(999, AgentRow { presence: Presence::Stopped, ..agent(200) }), []);
    let gone = AgentRow { presence: Presence::Retired, ..agent(200) };
    assert_eq!(story.agent(1_500, agent(200)), [Kind::Firing]);
    assert_eq!(story.agent(1_510, gone.clone()), [Kind::Resolved]);
    assert_eq!(story.agent(9_999, gone), []);
    // A collector that was not there itself does not judge whether an agent is silent.
    let mut story = Story::new(config(vec![silent]));
    let deaf = Facts { heard_since: at(900), ..facts(1_000, vec![], vec![agent(0)]) };
    assert_eq!(story.then(&deaf), []);
    assert_eq!(story.phase("edge-1"), None);
}

#[test]
fn the_way_from_the_agents_is_at_fault_when_all_that_run_are_silent() {
    let blamed = |others: Vec<AgentRow>| {
        let mut story = Story::new(config(vec![rule(What::AgentSilent { lasting: Duration::from_secs(180) })]));
        let told = story.told(&facts(1_000, vec![], [vec![agent(0)], others].concat()));
        let Details { blame, reason, .. } = told.into_iter().find(|it| it.subject == "edge-1").unwrap().details;
        (blame.unwrap(), reason.split_once('Z').unwrap().1.to_owned())
    };
    let other = |name: &str, last_seen| AgentRow { name: name.into(), ..agent(last_seen) };
    let stopped = || AgentRow { presence: Presence::Stopped, ..other("edge-2", 0) };
    let unheard = || AgentRow { last_seen: None, ..other("edge-3", 0) };
    let alone = ("agent".to_owned(), "; no other agent shows whether the way from it is at fault".to_owned());
    assert_eq!(blamed(vec![]), alone);
    let gone = || AgentRow { presence: Presence::Retired, ..other("edge-6", 0) };
    assert_eq!(blamed(vec![stopped(), unheard(), gone()]), alone);
    let path = ("path".to_owned(), ", nor of any other agent: the way from them may be at fault".to_owned());
    assert_eq!(blamed(vec![stopped(), other("edge-4", 10)]), path);
    let one = ("agent".to_owned(), String::new());
    assert_eq!(blamed(vec![stopped(), other("edge-4", 10), other("edge-5", 999)]), one);
}

#[test]
fn two_hosts_with_one_name_are_told_until_each_has_its_own() {
    let mut story = Story::new(config(vec![rule(What::Doubled)]));
    let doubled = |doubled| AgentRow { doubled, ..agent(0) };
    assert_eq!(story.agent(0, doubled(false)), []);
    let told = story.told(&facts(10, vec![], vec![doubled(true)]));
    assert_eq!((told[0].kind, told[0].details.blame.as_deref()), (Kind::Firing, Some("agent")));
    assert_eq!(story.agent(20, doubled(true)), []);
    assert_eq!(story.agent(30, doubled(false)), [Kind::Resolved]);
}

#[test]
fn a_backlog_and_newly_dropped_records_are_told() {
    let mut story = Story::new(config(vec![rule(What::Backlog { over: 10 })]));
    let pending = |pending| AgentRow { pending, ..agent(0) };
    assert_eq!(story.agent(0, pending(10)), []);
    assert_eq!(story.agent(10, pending(11)), [Kind::Firing]);
    assert_eq!(story.agent(20, pending(0)), [Kind::Resolved]);
    assert_eq!(story.agent(30, pending(11)), [Kind::Firing]);
    assert_eq!(story.agent(40, AgentRow { presence: Presence::Retired, ..pending(11) }), [Kind::Resolved]);

    let mut story = Story::new(config(vec![rule(What::Dropped)]));
    let dropped = |dropped| AgentRow { dropped, ..agent(0) };
    assert_eq!(story.agent(0, dropped(500)), [], "what was dropped before is no news of an agent that is known");
    let told = story.told(&facts(10, vec![], vec![dropped(510)]));
    assert_eq!(told[0].details.reason, "it declared 10 records dropped, of 510 in all");
    assert_eq!(story.agent(20, dropped(510)), []);
    assert_eq!(story.agent(300, dropped(520)), []);
    assert_eq!(story.agent(899, dropped(520)), []);
    assert_eq!(story.agent(900, dropped(520)), [Kind::Resolved]);
    assert_eq!(story.agent(910, dropped(521)), [Kind::Firing]);
}

#[test]
fn what_was_dropped_is_told_though_it_is_the_first_that_is_heard_of_an_agent() {
    let dropped = |dropped, first_seen| AgentRow { dropped, first_seen: Some(at(first_seen)), ..agent(0) };
    let rule = || config(vec![rule(What::Dropped)]);
    let mut story = Story::new(rule());
    let told = story.told(&facts(10, vec![], vec![dropped(9_001, 5)]));
    assert_eq!((told.len(), told[0].kind), (1, Kind::Firing));
    assert_eq!(told[0].details.reason, "it declared 9001 records dropped, of 9001 in all");
    assert_eq!(story.agent(20, dropped(9_001, 5)), [], "once");
    assert_eq!(story.agent(610, dropped(9_001, 5)), [Kind::Resolved]);
    assert_eq!(story.agent(620, dropped(9_001, 5)), []);

    // A rule that is new, or that has a new name, looks at agents of today and at older agents.
    assert_eq!(Story::new(rule()).agent(86_404, dropped(9_001, 5)), [Kind::Firing]);
    let mut story = Story::new(rule());
    assert_eq!(story.agent(86_405, dropped(9_001, 5)), []);
    let told = story.told(&facts(86_415, vec![], vec![dropped(9_003, 5)]));
    assert_eq!(told[0].details.reason, "it declared 2 records dropped, of 9003 in all");
    // An agent that never dropped anything is not told, even when it is new.
    assert_eq!(Story::new(rule()).agent(10, dropped(0, 5)), []);
}

#[test]
fn that_no_collector_reaches_kafka_is_told_once_though_it_starts_again_and_so_is_its_return() {
    let mut story = Story::new(config(vec![rule(What::Blind { lasting: Duration::from_secs(180) })]));
    let away = |now, since| {
        let kafka = Some(Away { since: at(since), reason: Some("refused".into()) });
        Facts { kafka, ..facts(now, vec![], vec![]) }
    };
    let there = |now| facts(now, vec![], vec![]);
    assert_eq!(story.then(&away(1, 0)), [], "it has just started");
    assert_eq!(story.then(&there(10)), []);
    // Another collector has been without Kafka for a long time. This is not blindness while this collector reaches
    // Kafka.
    for now in (20..400).step_by(10) {
        assert_eq!(story.then(&away(now, -9_000)), []);
        assert_eq!(story.then(&there(now + 5)), []);
    }
    assert_eq!(story.then(&away(570, -9_000)), []);
    let told = story.told(&away(575, -9_000));
    assert_eq!((told.len(), told[0].kind, &*told[0].subject, told[0].since), (1, Kind::Firing, "Kafka", at(395)));
    assert!(told[0].details.reason.contains("(refused)"), "{}", told[0].details.reason);
    // A collector that starts again counts the time without Kafka from its start only.
    assert_eq!(story.then(&away(600, 599)), []);
    assert_eq!(story.then(&away(1_000, 599)), []);
    assert_eq!(story.then(&there(1_010)), [Kind::Resolved]);
    assert_eq!(story.then(&there(1_020)), []);
    // A time in which no collector ran does not count as a time without Kafka.
    assert_eq!(story.then(&away(9_000, 8_999)), []);
}
