//! The tests ask whether the command `report` says what happened.

use anyhow::{Context, Result, ensure};
use e2e::agent::AgentSetup;
use e2e::collector::Collector;
use e2e::ports::free_port;
use e2e::web::Answer;
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{await_consumed, epochs, result, send};
use crate::seen::api;
use crate::truth::{await_no_lag, await_requests};

/// Returns the full hour of two hours ago.
fn begin() -> Timestamp {
    let now = Timestamp::now().as_second();
    Timestamp::from_second(now - now % 3_600 - 7_200).expect("a time of our days")
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// Returns how many whole minutes have passed since `begin`.
fn minutes_since(begin: Timestamp) -> i64 {
    Timestamp::now().duration_since(begin).as_mins()
}

/// Returns one check of the shop for each outcome, one minute apart.
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
    assert_eq!((&shop["due"], &shop["coverage"]), (&0.into(), &json!(1.0)), "no agent said what was due");
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
        // Nothing fails in this hour, so the report reads only the first success of the hour.
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
    // No known agent should still check the shop, so the outage ends with its last failure.
    assert_eq!((&outages[1]["began"], &outages[1]["ended"]), (&at(20), &at(20)));
    assert_eq!([0, 1].map(|n: usize| outages[n]["is_end_known"].clone()), [json!(true), json!(false)]);
    Ok(())
}

#[test]
fn coverage_is_what_arrived_of_what_agents_said_should() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let [epoch] = epochs();
    let each_minute = json!([{"id": "shop", "interval_ms": 60_000}, {"id": "unseen", "interval_ms": 30_000}]);
    send(&stack, [start(epoch, 1, begin(), "start", each_minute)])?;
    send(&stack, checks(epoch, 2, &["success"; 15]))?;
    // After half an hour the agent checks only the shop, every two minutes.
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

#[test]
fn what_is_yet_to_come_is_neither_unseen_nor_down() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let [epoch] = epochs();
    let each_minute = json!([{"id": "shop", "interval_ms": 60_000}]);
    send(&stack, [start(epoch, 1, begin(), "start", each_minute)])?;
    // The shop is checked each minute from `begin` on, and it is down from one hour after `begin` on.
    let checked = minutes_since(begin());
    let outcomes: Vec<&str> = (0..=checked).map(|minute| if minute < 60 { "success" } else { "timeout" }).collect();
    send(&stack, checks(epoch, 2, &outcomes))?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);

    let (from, tomorrow) = (begin().to_string(), (Timestamp::now() + minutes(24 * 60)).to_string());
    let ended = collector.command(&["report", "--from", &from, "--to", &tomorrow, "--format", "json"])?;
    let shop: Value = serde_json::from_str(&ended.stdout).with_context(|| ended.stderr.clone())?;
    let until: Timestamp = shop["until"].as_str().context("until")?.parse()?;
    assert!(until <= Timestamp::now() && until > Timestamp::now() - minutes(2), "{shop}");
    // A slot may have passed since the checks were made, or a slot may be too new to be counted.
    let [due, unseen] = ["due", "unseen"].map(|name| shop[name].as_i64().unwrap_or(-1));
    assert!((checked - 1..=checked + 2).contains(&due) && (0..=1).contains(&unseen), "{shop}");
    let as_of: Timestamp = shop["as_of"].as_str().context("as_of")?.parse()?;
    assert!(as_of > until && as_of <= Timestamp::now(), "what failed is told at once: {shop}");
    let down = as_of.duration_since(begin() + minutes(60)).as_secs_f64();
    assert_eq!(shop["downtime_seconds"], json!(down), "{shop}");

    let later = (Timestamp::now() + minutes(60)).to_string();
    let ended = collector.command(&["report", "--from", &later, "--to", &tomorrow])?;
    assert_eq!(ended.code(), Some(1));
    assert!(ended.stderr.contains(&format!("begins at {later}, which is yet to come: now it is ")), "{}", ended.stderr);
    let ended = collector.command(&["report", "--from", &until.to_string(), "--to", &from])?;
    assert_eq!(ended.code(), Some(1));
    assert!(ended.stderr.contains("is empty; let it end after its begin"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn percentiles_are_exact_to_their_bucket() -> Result<()> {
    let stack = Stack::start()?;
    assert_eq!(stack.collector().build()?.command(&["migrate"])?.code(), Some(0));
    stack.database.execute(
        "create table times as
         select i, (exp(random() * 13) * 100)::bigint as us from generate_series(1, 20) i, generate_series(1, i * i)",
    )?;

    let samples: Vec<Value> = stack.database.rows(
        "select s.*, estimate, coalesce(bounds[bucket - 1], 0) as low, least(bounds[bucket], longest) as high
         from (
             select t.i, f as fraction, max(t.us) as longest, percentile_disc(f) within group (order by t.us) as exact,
                    array(
                        select (select count(*) from times n
                                where n.i = t.i and website_monitor.response_time_bucket(n.us) = b)
                        from generate_series(1, 24) b
                    ) as response_times
             from times t, unnest(array[0.01, 0.5, 0.95, 0.99, 1]::float[]) f group by t.i, f
         ) s,
         website_monitor.response_time_percentile(s.response_times, s.longest, s.fraction) estimate,
         website_monitor.response_time_bucket(s.exact) bucket,
         website_monitor.response_time_bounds() bounds",
    )?;

    assert_eq!(samples.len(), 100);
    for sample in samples {
        let [low, estimate, high] = ["low", "estimate", "high"].map(|name| sample[name].as_f64().unwrap_or(f64::NAN));
        assert!(low <= estimate && estimate <= high * 1.000_001, "{sample}");
    }
    Ok(())
}

#[test]
fn a_running_agents_results_are_measured_by_its_own_schedule() -> Result<()> {
    let stack = Stack::start()?;
    let agent = stack.agent().interval("500ms").monitor("shop", stack.web.site("/", Answer::ok("fine"))).start()?;
    let collector = stack.collector().start()?;
    eventually("ten results are there", || {
        let rows = stack.database.count("website_monitor.results")?;
        ensure!(rows >= 10, "{rows} rows");
        Ok(())
    });
    agent.stop()?;
    stack.await_arrival(&agent, &collector);

    assert_measured_by_its_schedule(&stack, &collector)
}

#[test]
fn what_is_due_ends_with_the_checks_though_the_last_attempt_to_publish_lasts() -> Result<()> {
    let stack = Stack::start()?;
    let nowhere = format!("127.0.0.1:{}", free_port()?);
    let site = stack.web.site("/", Answer::ok("fine"));
    let agent = AgentSetup::new(&nowhere, stack.topic.name()).interval("500ms").monitor("shop", site).start()?;
    await_requests(&stack, 10);
    agent.stop()?;
    let file = agent.directory().join("export");
    let file = file.to_str().context("a path")?;
    assert_eq!(agent.command(&["outbox", "export", file])?.code(), Some(0));
    let importer = stack.agent().name("importer").build()?;
    assert_eq!(importer.command(&["outbox", "import", file])?.code(), Some(0));
    let collector = stack.collector().start()?;
    await_no_lag(&stack, &collector);

    assert_measured_by_its_schedule(&stack, &collector)
}

/// Asserts that the number of due results while the agent ran is the number that arrived plus the number of slots that
/// the agent says it missed. A difference of two is accepted, because the agent began and ended between slots. The
/// report ends at the agent's stop, because the number of unseen results grows after it.
fn assert_measured_by_its_schedule(stack: &Stack, collector: &Collector) -> Result<()> {
    let (mut begin, mut end, mut missed) = (String::new(), String::new(), 0);
    for message in stack.topic.messages()? {
        let record: Value = serde_json::from_slice(&message.value.unwrap_or_default())?;
        let at = || record["at"].as_str().map(str::to_owned).context("the time of a report");
        match record["event"].as_str() {
            Some("start") => begin = at()?,
            Some("stop") => {
                end = at()?;
                let by_reason = record["missed"].as_object().into_iter().flatten();
                missed += by_reason.filter_map(|(_, count)| count.as_i64()).sum::<i64>();
            }
            _ => {}
        }
    }
    let shown = collector.command(&["report", "--from", &begin, "--to", &end, "--format", "json"])?.stdout;
    let shop: Value = serde_json::from_str(&shown)?;
    let (arrived, due) = (shop["arrived"].as_i64().unwrap_or(0), shop["due"].as_i64().unwrap_or(0));
    assert!((arrived + missed - due).abs() <= 2 && due >= 8, "{missed} slots were missed: {shown}");
    Ok(())
}

/// One agent died in the middle of an outage, and another agent goes on.
#[test]
fn a_report_the_page_and_the_tables_tell_the_same_of_the_same_time() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let [dead, alive] = epochs();
    let each_minute = json!([{"id": "shop", "interval_ms": 60_000}]);
    for epoch in [dead, alive] {
        send(&stack, [start(epoch, 1, begin(), "start", each_minute.clone())])?;
    }
    send(&stack, checks(dead, 2, &[&["success"; 20][..], &["timeout"; 5]].concat()))?;
    let made = usize::try_from(minutes_since(begin()))? + 1;
    let outcomes: Vec<&str> = (0..made).map(|minute| if minute % 50 == 7 { "timeout" } else { "success" }).collect();
    send(&stack, checks(alive, 2, &outcomes))?;
    let collector = stack.collector().with_pages()?.start()?;
    await_consumed(&stack, &collector.group);

    let page = api(&collector, "monitors/shop?period=24h")?;
    let [since, until] = ["since", "until"].map(|end| page[end].as_str().unwrap_or_default().to_owned());
    let asked = ["report", "--from", &since, "--to", &until, "--format", "json"];
    let ended = collector.command(&asked)?;
    let report: Value = serde_json::from_str(&ended.stdout).with_context(|| ended.stderr.clone())?;
    let seen = &page["monitor"]["seen"];
    for figure in ["checks", "success", "agent_errors", "unseen", "uptime", "bounds", "coverage"] {
        assert_eq!(report[figure], seen[figure], "{figure}: {report}\n{page}");
    }
    assert_eq!(report["response_times"], page["monitor"]["response_times"]);
    // The outage of the dead agent lasts until its last check. The other outages last a minute each.
    let last_look = json!(begin() + minutes(24));
    let outages = report["outages"].as_array().context("outages")?;
    let of_dead = outages.iter().find(|outage| outage["agent"] == agent(dead).as_str()).context("none of the dead")?;
    assert_eq!((&of_dead["ended"], &of_dead["is_end_known"]), (&last_look, &json!(false)));
    let incidents = api(&collector, "monitors/shop/outages")?;
    let ends: Vec<&Value> =
        incidents["incidents"].as_array().context("incidents")?.iter().map(|it| &it["ended"]).collect();
    assert!(ends.contains(&&last_look), "{incidents}");

    let by_sql: Vec<Value> = stack.database.rows(&format!(
        "select sum(checks)::bigint as checks, sum(success)::bigint as success from website_monitor.uptime('{since}', '{until}')"
    ))?;
    let due: Vec<Value> = stack
        .database
        .rows(&format!("select sum(due)::bigint as due from website_monitor.results_due('{since}', '{until}')"))?;
    assert_eq!((&by_sql[0]["checks"], &by_sql[0]["success"]), (&report["checks"], &report["success"]));
    assert_eq!(due[0]["due"], report["due"]);
    Ok(())
}
