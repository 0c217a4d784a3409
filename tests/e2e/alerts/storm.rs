//! All monitors fail at the same time.

use anyhow::{Result, ensure};
use e2e::Stack;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{alerts, await_told, check, hooked, send, start};

const MONITORS: usize = 1_000;

#[test]
fn a_thousand_monitors_that_fail_at_once_are_one_message_and_so_is_their_recovery() -> Result<()> {
    let stack = Stack::start()?;
    let epoch = Uuid::new_v4();
    let ids: Vec<String> = (0..MONITORS).map(|n| format!("monitor {n}")).collect();
    let now = Timestamp::now();
    let mut records = vec![start(epoch, &ids)];
    let round = |records: &mut Vec<Value>, at, outcome| {
        for id in &ids {
            records.push(check(epoch, records.len() as u64 + 1, id, at, outcome));
        }
    };
    round(&mut records, now - SignedDuration::from_secs(120), "success");
    round(&mut records, now - SignedDuration::from_secs(61), "connection_refused");
    round(&mut records, now - SignedDuration::from_secs(1), "connection_refused");
    let failed = records.len();
    send(&stack, &records)?;
    let collector = stack.collector().set("alerts", alerts(&stack.web, json!({"group_wait": "12s"}))).start()?;

    let first = await_told(&stack.web, 1, &[&collector]);
    assert_eq!((first[0].0.as_str(), first[0].1.len()), ("firing", 50));
    let body: Value = serde_json::from_slice(&hooked(&stack.web)[0].body)?;
    assert_eq!((&body["firing"], &body["more"]), (&json!(MONITORS), &json!(MONITORS - 50)));
    let ended = collector.command(&["alerts", "list", "--format", "json"])?;
    assert_eq!((ended.code(), ended.stdout.lines().count()), (Some(1), MONITORS), "{}", ended.stderr);

    round(&mut records, Timestamp::now(), "success");
    send(&stack, &records[failed..])?;
    let all = await_told(&stack.web, 2, &[&collector]);
    assert_eq!((all[1].0.as_str(), all[1].1.len()), ("resolved", 50));
    let ended = collector.command(&["alerts", "list"])?;
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "nothing fires\n"), "{}", ended.stderr);
    let messages = stack.database.count("website_monitor.notifications")?;
    ensure!(messages == 2, "{messages} messages");
    Ok(())
}
