//! Agents are in trouble. The tests ask whether alerts are about the agents, and not about the sites that the agents
//! should check.

use anyhow::{Result, ensure};
use e2e::{Stack, eventually};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{alerts, await_told, firing, hooked, report, resolved, send, start};

#[test]
fn an_agent_that_drops_records_and_one_whose_records_wait_are_told_and_their_sites_are_not() -> Result<()> {
    let stack = Stack::start()?;
    let epoch = Uuid::new_v4();
    send(&stack, &[start(epoch, &["shop".into()])])?;
    let rules = json!([
        {"name": "site down", "what": "down"},
        {"name": "lost", "what": "dropped"},
        {"name": "late", "what": "backlog", "over": 99},
        {"name": "silent", "what": "agent_silent"},
    ]);
    let collector = stack.collector().set("alerts", alerts(&stack.web, json!({"rules": rules}))).start()?;
    eventually("it is known what was dropped before", || {
        let known = stack.database.count("website_monitor.alerts where rule = 'lost' and mark = 0")?;
        ensure!(known == 1, "{}", collector.log());
        Ok(())
    });
    let mut waiting = report(epoch, 12, "periodic");
    waiting["pending"] = json!(100);
    send(&stack, &[dropped(epoch, 11, 2, 10), waiting])?;

    assert_eq!(await_told(&stack.web, 1, &[&collector]), [firing(&["forged", "forged"])]);
    let body: Value = serde_json::from_slice(&hooked(&stack.web)[0].body)?;
    let of = |n: usize| (&body["alerts"][n]["rule"], &body["alerts"][n]["reason"]);
    assert_eq!(of(0), (&json!("lost"), &json!("it declared 9 records dropped, of 9 in all")));
    assert_eq!(of(1), (&json!("late"), &json!("100 records wait in its outbox")));
    assert_eq!(body["alerts"][0]["blame"], "agent");
    Ok(())
}

#[test]
fn what_a_new_agent_dropped_is_told_and_by_a_new_collector_over_old_tables_nothing_of_old_agents() -> Result<()> {
    let stack = Stack::start()?;
    let lost = |name: &str| alerts(&stack.web, json!({"rules": [{"name": name, "what": "dropped"}]}));
    let first = stack.collector().set("alerts", lost("lost")).start()?;
    let epoch = Uuid::new_v4();
    send(&stack, &[dropped(epoch, 9_002, 1, 9_001)])?;
    assert_eq!(await_told(&stack.web, 1, &[&first]), [firing(&["forged"])]);
    assert_eq!(reason(&stack, 0)?, "it declared 9001 records dropped, of 9001 in all");
    first.stop()?;

    // The tables are changed as if the epochs were old and no rule had evaluated them.
    stack.database.execute(
        "update website_monitor.epochs set first_seen = now() - interval '25 hours';
         delete from website_monitor.alerts",
    )?;
    let second = stack.collector().set("alerts", lost("lost")).start()?;
    eventually("it is known what was dropped before", || {
        let known = stack.database.count("website_monitor.alerts where mark = 9001")?;
        ensure!(known == 1, "{}", second.log());
        Ok(())
    });
    send(&stack, &[dropped(epoch, 9_005, 9_003, 9_004)])?;
    assert_eq!(await_told(&stack.web, 2, &[&second])[1..], [firing(&["forged"])]);
    assert_eq!(reason(&stack, 1)?, "it declared 2 records dropped, of 9003 in all");
    Ok(())
}

/// Returns a declaration that the numbers from `first` to `last` of its own epoch are dropped.
fn dropped(epoch: Uuid, seq: u64, first: u64, last: u64) -> Value {
    json!({
        "v": 1, "kind": "dropped", "epoch": epoch, "seq": seq, "agent": "forged", "dropped_at": Timestamp::now(),
        "ranges": [{"epoch": epoch, "first": first, "last": last}], "reason": "outbox_full",
    })
}

/// Returns why the first alert of a message fires.
fn reason(stack: &Stack, message: usize) -> Result<String> {
    let body: Value = serde_json::from_slice(&hooked(&stack.web)[message].body)?;
    Ok(body["alerts"][0]["reason"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn of_an_agent_that_is_gone_no_backlog_is_told_any_more() -> Result<()> {
    let stack = Stack::start()?;
    let epoch = Uuid::new_v4();
    let rules = json!([{"name": "late", "what": "backlog", "over": 99}]);
    let collector = stack.collector().set("alerts", alerts(&stack.web, json!({"rules": rules}))).start()?;
    let mut waiting = start(epoch, &["shop".into()]);
    waiting["pending"] = json!(100);
    send(&stack, &[waiting])?;
    assert_eq!(await_told(&stack.web, 1, &[&collector]), [firing(&["forged"])]);

    let ended = collector.command(&["agents", "retire", "forged"])?;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);

    assert_eq!(await_told(&stack.web, 2, &[&collector])[1], resolved("forged"));
    Ok(())
}
