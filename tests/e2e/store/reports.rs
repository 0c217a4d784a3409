//! Does a report say what happened?

use anyhow::{Context, Result};
use e2e::Stack;
use e2e::collector::Collector;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{await_consumed, epochs, result, send};

/// Two hours ago, at the full hour.
fn begin() -> Timestamp {
    let now = Timestamp::now().as_second();
    Timestamp::from_second(now - now % 3_600 - 7_200).expect("a time of our days")
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// One check of the shop each minute, with these outcomes.
fn checks(epoch: Uuid, first: u64, outcomes: &[&str]) -> Vec<Value> {
    let check = |(minute, outcome): (u64, &&str)| {
        let mut value = result(epoch, first + minute, begin() + minutes(minute as i64));
        value["monitor"] = json!("shop");
        value["name"] = json!("Shop");
        value["agent"] = json!(agent(epoch));
        value["outcome"] = json!(outcome);
        value["response_time_us"] = json!(20_000);
        if *outcome != "success" {
            value["error"] = json!(format!("failed at minute {minute}"));
        }
        value
    };
    (0..).zip(outcomes).map(check).collect()
}

fn agent(epoch: Uuid) -> String {
    format!("agent of {epoch}")
}

fn start(epoch: Uuid, seq: u64, at: Timestamp, event: &str, monitors: Value) -> Value {
    json!({
        "v": 1, "kind": "agent", "epoch": epoch, "seq": seq, "agent": agent(epoch), "event": event, "at": at,
        "version": "1", "highest_seq": seq - 1, "pending": 0, "outbox_bytes": 0, "monitors": monitors,
        "configuration": {"revision": monitors.to_string(), "faults": 0},
    })
}

fn report(collector: &Collector, more: &[&str]) -> Result<Vec<Value>> {
    report_from(collector, begin(), more)
}

fn report_from(collector: &Collector, from: Timestamp, more: &[&str]) -> Result<Vec<Value>> {
    let (from, to) = (from.to_string(), (begin() + minutes(60)).to_string());
    let arguments = [&["report", "--from", &from, "--to", &to, "--format", "json"], more].concat();
    let ended = collector.command(&arguments)?;
    let read = || ended.stdout.lines().map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<_>>();
    read().with_context(|| format!("{:?} {}{}", ended.code(), ended.stdout, ended.stderr))
}

#[test]
fn a_report_tells_uptime_outages_and_response_times_over_any_window() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch, other] = epochs();
    let up = ["success"; 10];
    let outcomes = [&up[..], &["timeout", "agent_error", "timeout"], &up, &["connection_refused"], &up[..6]].concat();
    send(&stack, checks(epoch, 1, &outcomes))?;
    send(&stack, checks(other, 1, &["success", "pattern_mismatch"]))?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);

    let all = report(&collector, &[])?;
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((&all[0]["checks"], &all[0]["agent_errors"], &all[0]["failed"]), (&32.into(), &1.into(), &4.into()));
    let by_agent = report(&collector, &["--by-agent", "--agent", &agent(epoch), "--monitor", "shop"])?;
    assert_eq!(by_agent.len(), 1, "{by_agent:?}");
    let shop = &by_agent[0];
    assert_eq!((&shop["name"], &shop["agent"]), (&json!("Shop"), &json!(agent(epoch))));
    assert_eq!(shop["uptime"], json!(26.0 / 29.0));
    let outages: Vec<_> = shop["outages"].as_array().context("outages")?.iter().collect();
    assert_eq!(outages.len(), 2, "{shop}");
    let at = |minute| json!(begin() + minutes(minute));
    assert_eq!((&outages[0]["began"], &outages[0]["ended"]), (&at(10), &at(13)));
    assert_eq!((&outages[0]["failures"], &outages[0]["outcome"]), (&2.into(), &json!("timeout")));
    assert_eq!(outages[0]["error"], "failed at minute 10");
    assert_eq!((&outages[1]["began"], &outages[1]["ended"]), (&at(23), &at(24)));
    assert_eq!(shop["downtime_seconds"], json!(240.0));
    assert_eq!((&shop["response_times"]["answered"], &shop["response_times"]["max_us"]), (&26.into(), &20_000.into()));
    let p95 = shop["response_times"]["p95_us"].as_f64().context("p95")?;
    assert!((16_000.0..=20_000.0).contains(&p95), "{p95}");
    assert_eq!(shop["coverage"], Value::Null, "no agent said what was due");
    Ok(())
}

#[test]
fn an_outage_over_hours_without_a_check_and_one_that_lasts_are_told_as_such() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch] = epochs();
    let check = |seq: u64, minute: i64, outcome: &str| {
        let mut value = result(epoch, seq, begin() + minutes(minute));
        value["monitor"] = json!("shop");
        value["name"] = json!("Shop");
        value["outcome"] = json!(outcome);
        value
    };
    let failure = "connection_refused";
    let checks = [
        check(1, -600, "success"),
        check(2, -599, failure),
        check(3, -300, failure),
        // Nothing fails in this hour: it is not looked through, but for its first success.
        check(4, -185, "success"),
        check(5, -184, "success"),
        check(6, 10, "success"),
        check(7, 20, failure),
    ];
    send(&stack, checks)?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);

    let all = report_from(&collector, begin() - minutes(610), &[])?;
    assert_eq!(all.len(), 1, "{all:?}");
    let outages = all[0]["outages"].as_array().context("outages")?;
    assert_eq!(outages.len(), 2, "{all:?}");
    let at = |minute| json!(begin() + minutes(minute));
    assert_eq!((&outages[0]["began"], &outages[0]["ended"]), (&at(-599), &at(-185)));
    assert_eq!((&outages[1]["began"], &outages[1]["ended"]), (&at(20), &Value::Null));
    Ok(())
}

#[test]
fn coverage_is_what_arrived_of_what_agents_said_should() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let [epoch] = epochs();
    let each_minute = json!([{"id": "shop", "interval_ms": 60_000}, {"id": "unseen", "interval_ms": 30_000}]);
    send(&stack, [start(epoch, 1, begin(), "start", each_minute)])?;
    send(&stack, checks(epoch, 2, &["success"; 15]))?;
    // After half an hour the shop is checked every two minutes, and nothing else.
    let seldom = json!([{"id": "shop", "interval_ms": 120_000}]);
    send(&stack, [start(epoch, 17, begin() + minutes(30), "reload", seldom)])?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);

    let all = report(&collector, &[])?;
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!((&all[0]["monitor"], &all[0]["arrived"], &all[0]["due"]), (&json!("shop"), &15.into(), &45.into()));
    assert_eq!((&all[1]["monitor"], &all[1]["due"], &all[1]["uptime"]), (&json!("unseen"), &60.into(), &Value::Null));
    assert_eq!(all[1]["coverage"], json!(0.0));

    let (from, to) = (begin().to_string(), (begin() + minutes(60)).to_string());
    let table = collector.command(&["report", "--from", &from, "--to", &to])?.stdout;
    assert!(table.contains("100.000%   33.333%"), "{table}");
    let csv = collector.command(&["report", "--from", &from, "--to", &to, "--format", "csv"])?.stdout;
    assert_eq!(csv.lines().count(), 3, "{csv}");
    Ok(())
}
