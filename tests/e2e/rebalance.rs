//! Several collectors run in one group. The tests ask whether they share the work, and whether one takes over from
//! another.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::agent::Agent;
use e2e::collector::Collector;
use e2e::web::Answer;
use e2e::{Stack, eventually, within};
use serde_json::json;

use crate::feed::{Feed, assert_stored_once};
use crate::truth::{RESULTS, assert_each_request_has_one_row, assert_verified, await_no_lag, await_requests};

/// The names of the agents. A name decides the partition: with two partitions, these names get the first, the second
/// and the first.
const AGENTS: [&str; 3] = ["oslo", "rome", "paris"];

#[test]
fn of_two_collectors_one_is_killed_and_the_other_takes_over_without_loss_or_repetition() -> Result<()> {
    let stack = Stack::with().partitions(2).start()?;
    let one = stack.collector().start()?;
    let other = stack.collector().start()?;
    let agents = agents(&stack)?;
    eventually("each has a partition and stores", || {
        for collector in [&one, &other] {
            ensure!(took(collector) == Some(1), "{}", collector.log());
        }
        ensure!(stack.topic.committed(&one.group)?.iter().all(|offset| *offset > 0), "not in both partitions");
        Ok(())
    });

    one.kill();
    eventually("the other one has both partitions", || {
        ensure!(took(&other) == Some(2), "{}", other.log());
        Ok(())
    });
    rows_of_each_agent_go_on(&stack, &other);

    // A third collector joins, and then the second one stops cleanly.
    let third = stack.collector().start()?;
    eventually("the third has a partition", || {
        ensure!(took(&third) == Some(1), "{}", third.log());
        Ok(())
    });
    assert_eq!(other.stop()?.code(), Some(0));
    rows_of_each_agent_go_on(&stack, &third);

    for agent in &agents {
        assert_eq!(agent.stop()?.code(), Some(0));
        assert_eq!(agent.outbox_status()?.pending, 0);
    }
    await_no_lag(&stack, &third);
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&third)?;
    Ok(())
}

/// The group counts a stopped process as dead, until the process comes back and continues with the messages that it
/// held.
#[test]
fn a_collector_that_was_stalled_comes_back_and_stores_nothing_twice() -> Result<()> {
    let stack = Stack::with().partitions(2).start()?;
    let stalled = stack.collector().start()?;
    let agents = agents(&stack)?;
    eventually("it stores", || {
        ensure!(stack.database.count(RESULTS)? > 0, "no rows yet");
        Ok(())
    });
    stalled.pause();
    let other = stack.collector().start()?;
    eventually("the other one has both partitions", || {
        ensure!(took(&other) == Some(2), "{}", other.log());
        Ok(())
    });
    rows_of_each_agent_go_on(&stack, &other);
    stalled.resume();
    eventually("they share the work", || {
        ensure!(took(&other) == Some(1) && took(&stalled) == Some(1), "{}\n{}", stalled.log(), other.log());
        Ok(())
    });
    await_requests(&stack, 10);

    for agent in &agents {
        assert_eq!(agent.stop()?.code(), Some(0));
    }
    await_no_lag(&stack, &other);
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&other)?;
    Ok(())
}

/// The other collectors need not wait until the session of the stopped one ends, which takes longer here than the test
/// waits.
#[test]
fn a_collector_that_stops_leaves_its_partitions_to_the_others_at_once() -> Result<()> {
    let stack = Stack::with().partitions(2).start()?;
    let patient = json!({"session.timeout.ms": "240000"});
    let one = stack.collector().set("kafka.properties", patient.clone()).start()?;
    let other = stack.collector().set("kafka.properties", patient).start()?;
    eventually("each has a partition", || {
        for collector in [&one, &other] {
            ensure!(took(collector) == Some(1), "{}", collector.log());
        }
        Ok(())
    });
    assert_eq!(one.stop()?.code(), Some(0));
    eventually("the other one has both partitions", || {
        ensure!(took(&other) == Some(2), "{}\n{}", one.log(), other.log());
        Ok(())
    });
    Ok(())
}

#[test]
fn two_collectors_that_were_given_one_name_in_the_group_share_the_work_all_the_same() -> Result<()> {
    let stack = Stack::with().partitions(2).start()?;
    let named = json!({"session.timeout.ms": "6000", "group.instance.id": "one"});
    let one = stack.collector().set("kafka.properties", named.clone()).start()?;
    eventually("it has both partitions", || {
        ensure!(took(&one) == Some(2), "{}", one.log());
        Ok(())
    });
    let other = stack.collector().set("kafka.properties", named).start()?;
    eventually("each has a partition", || {
        for collector in [&one, &other] {
            ensure!(took(collector) == Some(1), "{}\n{}", one.log(), other.log());
        }
        Ok(())
    });
    assert!(one.log().contains("the same group.instance.id"), "{}", one.log());
    Ok(())
}

/// Measures how long partitions stand still when members come and go: the partitions of members that stay, and the
/// partitions of the others.
#[test]
fn results_flow_on_soon_after_members_come_and_go() -> Result<()> {
    const BOUND: Duration = Duration::from_secs(60);
    let stack = Stack::with().partitions(4).start()?;
    let one = stack.collector().start()?;
    let other = stack.collector().build()?;
    let sent = Feed::during(&stack, 4, |feed| {
        feed.progress(&[0, 1, 2, 3], BOUND, &one)?;
        let come = || other.start();
        let stop = || other.stop().map(drop);
        let die = || {
            other.kill();
            Ok(())
        };
        let come_back = || die().and_then(|()| come());
        // Each event has a name, an action, whether partitions are assigned again, and the number of partitions that
        // the first collector has after it.
        type Happening<'a> = &'a dyn Fn() -> Result<()>;
        let events: [(&str, Happening<'_>, bool, u32); 5] = [
            ("a second one comes", &come, true, 2),
            ("it is killed and comes back", &come_back, false, 2),
            ("it stops", &stop, true, 4),
            ("it comes again", &come, true, 2),
            ("it is killed", &die, true, 4),
        ];
        for (what, event, is_deal, left) in events {
            let taken_before = one.log().matches("took partitions").count();
            let stood = feed.standstills(|| {
                event()?;
                within(BOUND, "the work is shared again", || {
                    let log = one.log();
                    let is_dealt = log.matches("took partitions").count() > taken_before;
                    ensure!(is_dealt == is_deal && took(&one) == Some(left), "{}\n{log}", other.log());
                    Ok(())
                })?;
                feed.progress(&[0, 1, 2, 3], BOUND, &one).map(drop)
            })?;
            let stood: Vec<String> = stood.iter().map(|time| format!("{:.1}", time.as_secs_f64())).collect();
            writeln!(io::stderr(), "{what}: partitions stood still for {} s", stood.join(", "))?;
        }
        Ok(())
    })?;
    assert_stored_once(&stack, &one, sent)
}

fn agents(stack: &Stack) -> Result<Vec<Agent>> {
    let site = |name: &str| stack.web.site(&format!("/{name}"), Answer::ok(""));
    AGENTS.iter().map(|name| stack.agent().name(name).interval("200ms").monitor(name, site(name)).start()).collect()
}

/// Returns the number of partitions of a collector, as the last such line of its log says.
fn took(collector: &Collector) -> Option<u32> {
    let log = collector.log();
    let line = log.lines().rev().find(|line| line.contains("took partitions") || line.contains("gave partitions"))?;
    let count = line.split("partitions=").nth(1)?.chars().take_while(char::is_ascii_digit).collect::<String>();
    if line.contains("gave") { Some(0) } else { count.parse().ok() }
}

fn rows_of_each_agent_go_on(stack: &Stack, collector: &Collector) {
    let latest = || -> Result<BTreeSet<(String, u64)>> {
        #[derive(serde::Deserialize)]
        struct Latest {
            name: String,
            rows: u64,
        }
        let rows: Vec<Latest> = stack.database.rows(
            "select m.name, count(*) as rows \
             from website_monitor.results join website_monitor.monitors m using (monitor_id) group by m.name",
        )?;
        Ok(rows.into_iter().map(|row| (row.name, row.rows)).collect())
    };
    let before = eventually("rows of each agent", || {
        let before = latest()?;
        ensure!(before.len() == AGENTS.len(), "only of {before:?}\n{}", collector.log());
        Ok(before)
    });
    eventually("rows of each agent go on", || {
        let now = latest()?;
        ensure!(now.is_disjoint(&before), "{before:?} before, {now:?} now\n{}", collector.log());
        Ok(())
    });
}
