//! An agent's list of monitors is lost before it is stored. The tests ask whether the database still learns what the
//! agent should check.

use std::slice;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::proxy::Proxy;
use e2e::web::Answer;
use e2e::{Stack, eventually, within};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::seen::api;
use crate::truth::{assert_verified, await_delivered, await_no_lag, settle};

/// The longest wait for a list that is said again. An agent says a new list again after a minute.
const SAID_AGAIN: Duration = Duration::from_secs(180);

/// Returns tags that fill the outbox. They take more than half of the 120 KB that a record may have, and they can
/// hardly be compressed.
fn ballast() -> Value {
    let noise = || (0..120).map(|_| Uuid::new_v4().simple().to_string()).collect::<String>();
    json!((0..18).map(|n| (format!("ballast {n}"), json!(noise()))).collect::<serde_json::Map<_, _>>())
}

#[test]
fn a_schedule_whose_record_was_dropped_is_known_from_when_it_was_in_force() -> Result<()> {
    let stack = Stack::start()?;
    let port = stack.kafka.bootstrap_servers().rsplit(':').next().context("a port")?.parse()?;
    let to_kafka = Proxy::start("127.0.0.1", port)?;
    to_kafka.refuse();
    let agent = stack
        .agent()
        .interval("20ms")
        .set("kafka.bootstrap_servers", format!("127.0.0.1:{}", to_kafka.port()))
        .set("outbox.max_size", "16MiB")
        .monitor("site", stack.web.site("/", Answer::ok("")))
        .option("tags", ballast())
        .monitor("other", stack.web.site("/other", Answer::ok("")))
        .option("interval", "1s")
        .start()?;
    let began = eventually("the outbox holds the first record", || {
        let status = agent.outbox_status()?;
        ensure!(status.position > 0, "{status:?}");
        Ok(Timestamp::now())
    });
    eventually("the first record is dropped", || {
        let status = agent.outbox_status()?;
        ensure!(status.dropped > 0, "{status:?}\n{}", agent.log());
        Ok(())
    });
    eventually("the list is said again", || {
        ensure!(agent.log().contains("it is said again"), "{}", agent.log());
        Ok(())
    });
    let collector = stack.collector().start()?;
    to_kafka.open()?;
    await_delivered(&agent, agent.outbox_status()?.position);
    settle(&stack, &agent, &collector)?;

    let proof = assert_verified(&collector)?;
    assert!(proof.total.dropped > 0);
    let spans: Vec<Value> = stack.database.rows(&format!(
        "select monitor, interval_ms, begins <= '{began}' as is_early, ends is null or is_stopped as is_whole
         from website_monitor.schedule_spans('-infinity', 'infinity') order by monitor"
    ))?;
    let span =
        |monitor: &str, ms: u64| json!({"monitor": monitor, "interval_ms": ms, "is_early": true, "is_whole": true});
    assert_eq!(spans, [span("other", 1_000), span("site", 20)]);
    Ok(())
}

#[test]
fn a_list_that_kafka_lost_is_said_again_once_kafka_takes_records_again() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let site = stack.web.site("/", Answer::ok(""));
    let agent = stack.agent().interval("200ms").set("kafka.create_topic", false).monitor("site", site).start()?;
    await_delivered(&agent, 1);
    let before = Timestamp::now();
    stack.topic.delete()?;
    eventually("what the agent said at its start is gone, and Kafka takes nothing", || {
        ensure!(agent.log().contains("kafka takes no records"), "{}", agent.log());
        Ok(())
    });
    stack.topic.make()?;
    let collector = stack.collector().start()?;
    eventually("it is known since when the site is checked", || {
        let spans: Vec<Value> = stack.database.rows(&format!(
            "select monitor, interval_ms, begins <= '{before}' as is_early, ends is null as is_open
             from website_monitor.schedule_spans('-infinity', 'infinity')"
        ))?;
        ensure!(
            spans == [json!({"monitor": "site", "interval_ms": 200, "is_early": true, "is_open": true})],
            "{spans:?}"
        );
        Ok(())
    });
    settle(&stack, &agent, &collector)?;
    assert!(agent.log().contains("kafka takes records again: the list of monitors is said again"), "{}", agent.log());
    assert_eq!(stack.database.count("website_monitor.schedules")?, 1);
    Ok(())
}

#[test]
fn what_fails_is_alerted_though_kafka_forgot_what_its_agent_said_at_its_start_and_the_agent_knows_of_nothing()
-> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let hook = stack.web.site("/hook", Answer::status(204));
    let agent = stack.agent().interval("1s").monitor("site", stack.web.site("/", Answer::status(503))).start()?;
    await_delivered(&agent, 3);
    let before = Timestamp::now();
    stack.topic.forget()?;
    let alerts = json!({
        "rules": [{"name": "site down", "what": "down"}], "group_wait": "0s",
        "receivers": [{"name": "hook", "webhook": {"url": hook}}],
    });
    let collector = stack.collector().with_pages()?.set("alerts", alerts).start()?;
    within(SAID_AGAIN, "the hook is told", || {
        ensure!(stack.web.count("/hook") > 0, "{}\n{}", agent.log(), collector.log());
        Ok(())
    })?;
    let site = &api(&collector, "monitors/site")?["monitor"];
    assert_eq!((&site["verdict"], &site["is_retired"]), (&json!("down"), &json!(false)), "{site}");
    let spans: Vec<Value> = stack.database.rows(&format!(
        "select begins <= '{before}' as is_early from website_monitor.schedule_spans('-infinity', 'infinity')"
    ))?;
    assert_eq!(spans, [json!({"is_early": true})]);
    Ok(())
}

/// Returns a report with a list of monitors, which an agent makes `at` minutes after its start. The list is said at a
/// start or at a reload. With `due_since` it is said again.
fn list(start: Timestamp, seq: u64, event: &str, at: i64, monitors: &[&str], due_since: Option<i64>) -> Value {
    let minute = |minute: i64| start + SignedDuration::from_mins(minute);
    let monitors: Vec<Value> = monitors.iter().map(|id| json!({"id": id, "interval_ms": 60_000})).collect();
    let mut list = json!({
        "v": 1, "kind": "agent", "epoch": Uuid::from_u128(7), "seq": seq, "agent": "edge", "event": event,
        "at": minute(at), "version": "1", "highest_seq": seq - 1, "pending": 0, "outbox_bytes": 0,
        "monitors": monitors, "configuration": {"revision": event, "faults": 0},
    });
    if let Some(since) = due_since {
        list["due_since"] = json!(minute(since));
    }
    list
}

#[test]
fn a_list_that_is_said_again_is_the_same_list_whatever_part_of_it_was_stored_before() -> Result<()> {
    let spans_and_rows = |lists: &[Value]| -> Result<(Vec<Value>, u64)> {
        let stack = Stack::start()?;
        let messages: Vec<Vec<u8>> = lists.iter().map(|list| list.to_string().into_bytes()).collect();
        stack.topic.produce_all(messages.iter().map(|message| (Some(&b"edge"[..]), Some(message.as_slice()))))?;
        let collector = stack.collector().start()?;
        await_no_lag(&stack, &collector);
        let spans = stack.database.rows(
            "select monitor, begins, ends from website_monitor.schedule_spans(now() - interval '1 day', now())
             order by begins, monitor",
        )?;
        Ok((spans, stack.database.count("website_monitor.schedules")?))
    };
    let spans = |lists: &[Value]| Ok::<_, anyhow::Error>(spans_and_rows(lists)?.0);
    let began = Timestamp::now() - SignedDuration::from_hours(3);
    let list = |seq, event, at, monitors: &[&str], due_since| list(began, seq, event, at, monitors, due_since);
    let (a, b) = (["a"], ["b"]);
    let start = [list(1, "start", 0, &a, None), list(2, "start", 0, &b, None)];
    let whole = spans(&start)?;
    assert_eq!(whole.len(), 2, "{whole:?}");
    let again = |seq| [list(seq, "start", 60, &a, Some(0)), list(seq + 1, "start", 60, &b, Some(0))];
    assert_eq!(spans(&again(50))?, whole, "nothing of it was stored");
    assert_eq!(spans(&[&start[1..], &again(50)].concat())?, whole, "a part of it was");
    let often = [&start[..], &again(50), &again(90), &again(130)].concat();
    assert_eq!(spans_and_rows(&often)?, (whole.clone(), 2), "it arrived all the same, and a repeat takes no room");

    let reload = list(9, "reload", 30, &a, None);
    let changed = spans(&[&start[..], slice::from_ref(&reload)].concat())?;
    assert_eq!(changed.len(), 2, "one goes on, one has ended: {changed:?}");
    let again = list(60, "reload", 90, &a, Some(30));
    assert_eq!(spans(&[&start[..], slice::from_ref(&again)].concat())?, changed);
    assert_eq!(spans_and_rows(&[&start[..], &[reload, again]].concat())?, (changed, 3));
    // Two lists of one revision are different lists when a list of another revision lies between them.
    let back = [list(9, "reload", 30, &a, None), list(12, "reload", 40, &b, None), list(15, "reload", 50, &a, None)];
    let mut back = [&start[..1], &back].concat();
    back[2]["configuration"]["revision"] = json!("other");
    let mut lost = back.clone();
    lost[3] = list(70, "reload", 110, &a, Some(50));
    assert_eq!(spans_and_rows(&lost)?, spans_and_rows(&back)?);
    // The list of a reload that changed no monitor is due since the start. The record of the start may have been
    // stored.
    let same = list(60, "reload", 90, &a, Some(0));
    assert_eq!(spans(&[&start[..1], &[same]].concat())?, whole[..1]);
    Ok(())
}
