//! Only a part of a window's results may have arrived. The tests ask whether the figures that people see for the window
//! are true in each such case.

use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use e2e::collector::Collector;
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

mod certificates;
mod clock;
mod doubled;
mod gone;
mod spans;

/// A run of an agent that checks the shop each minute. Its minutes count from three hours ago.
struct Run {
    epoch: Uuid,
    agent: &'static str,
    records: Vec<Value>,
}

/// Returns the full hour of three hours ago. The value stays the same for a whole test, even if an hour ends meanwhile.
fn begin() -> Timestamp {
    static BEGIN: OnceLock<Timestamp> = OnceLock::new();
    *BEGIN.get_or_init(|| {
        let now = Timestamp::now().as_second();
        Timestamp::from_second(now - now % 3_600 - 10_800).expect("a time of our days")
    })
}

fn minute(minute: i64) -> Timestamp {
    begin() + SignedDuration::from_mins(minute)
}

impl Run {
    fn start(agent: &'static str, at: i64) -> Run {
        let mut run = Run { epoch: Uuid::new_v4(), agent, records: Vec::new() };
        run.report("start", at);
        run
    }

    fn report(&mut self, event: &str, at: i64) {
        let monitors = match event {
            "start" => json!([{"id": "shop", "interval_ms": 60_000, "tags": {"team": "web"}}]),
            _ => json!([]),
        };
        self.add(json!({
            "kind": "agent", "event": event, "at": minute(at), "version": "1", "highest_seq": self.records.len(),
            "pending": 0, "outbox_bytes": 0, "monitors": monitors,
            "configuration": {"revision": "1", "faults": 0},
        }));
    }

    /// Adds one check in each of these minutes, 30 seconds after the begin of the minute.
    fn checks(&mut self, minutes: std::ops::Range<i64>, outcome: impl Fn(i64) -> &'static str) {
        for at in minutes {
            let checked_at = minute(at) + SignedDuration::from_secs(30);
            self.add(json!({
                "kind": "result", "monitor": "shop", "name": "Shop", "url": "http://127.0.0.1/",
                "scheduled_at": checked_at, "checked_at": checked_at, "outcome": outcome(at), "response_time_us": 20_000,
            }));
        }
    }

    fn add(&mut self, mut record: Value) {
        let seq = self.records.len() + 1;
        for (field, value) in
            [("v", json!(1)), ("epoch", json!(self.epoch)), ("seq", json!(seq)), ("agent", json!(self.agent))]
        {
            record[field] = value;
        }
        self.records.push(record);
    }

    /// Sends the records at these places.
    fn send(&self, stack: &Stack, places: impl std::slice::SliceIndex<[Value], Output = [Value]>) -> Result<()> {
        let values: Vec<Vec<u8>> = self.records[places].iter().map(|it| it.to_string().into_bytes()).collect();
        stack.topic.produce_all(values.iter().map(|value| (Some(self.agent.as_bytes()), Some(value.as_slice()))))?;
        Ok(())
    }
}

/// Starts a stack whose topic keeps the times at which messages were sent, or only the times at which they reached the
/// broker.
fn stack_that_keeps_times_of_sending(keeps: bool) -> Result<Stack> {
    let stack = Stack::start()?;
    if !keeps {
        stack.topic.configure("message.timestamp.type", "LogAppendTime")?;
    }
    Ok(stack)
}

fn await_consumed(stack: &Stack, collector: &Collector) {
    eventually("everything is consumed and committed", || {
        let lag = stack.topic.lag(&collector.group)?;
        ensure!(lag == 0, "{lag} messages are left\n{}", collector.log());
        Ok(())
    });
}

/// Returns the report on the shop for the first two hours.
fn told(collector: &Collector) -> Result<Value> {
    let (from, to) = (begin().to_string(), minute(120).to_string());
    let ended = collector.command(&["report", "--from", &from, "--to", &to, "--format", "json"])?;
    let line = ended.stdout.lines().next().with_context(|| format!("{:?} {}", ended.code(), ended.stderr))?;
    Ok(serde_json::from_str(line)?)
}

fn bounds(told: &Value) -> Result<(f64, f64)> {
    let of = |bound: &str| told["bounds"][bound].as_f64().with_context(|| format!("no {bound} bound in {told}"));
    Ok((of("lower")?, of("upper")?))
}

/// Returns the true outcome at a minute. The shop is down from minute 75 to minute 105, in the middle of the hour in
/// which the agent is away.
fn truth(minute: i64) -> &'static str {
    if (75..105).contains(&minute) { "timeout" } else { "success" }
}

#[test]
fn an_agent_that_was_away_leaves_bounds_that_hold_the_truth_and_its_backlog_makes_them_the_truth() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let mut run = Run::start("edge", -60);
    run.checks(-60..120, truth);
    // Everything but the second hour is sent. The results of the second hour are in the outbox of an agent that cannot
    // be reached.
    run.send(&stack, ..121)?;
    await_consumed(&stack, &collector);

    let away = told(&collector)?;
    assert_eq!((&away["checks"], &away["due"], &away["unseen"]), (&json!(60), &json!(120), &json!(60)));
    assert_eq!((&away["uptime"], &away["coverage"]), (&json!(1.0), &json!(0.5)));
    let (lower, upper) = bounds(&away)?;
    let true_uptime = 90.0 / 120.0;
    assert!(lower < true_uptime && true_uptime < upper, "{lower} to {upper}");

    run.send(&stack, 121..)?;
    await_consumed(&stack, &collector);
    let back = told(&collector)?;
    assert_eq!((&back["uptime"], &back["coverage"]), (&json!(true_uptime), &json!(1.0)));
    assert_eq!(bounds(&back)?, (true_uptime, true_uptime));
    let late: Vec<Value> = stack.database.rows(
        "select date_part('epoch', hour)::bigint as hour, sum(results) as results, bool_and(received_at > hour) as later
         from website_monitor.late_arrivals group by 1 order by 1",
    )?;
    let hour = |hour: i64| json!({"hour": minute(60 * hour).as_second(), "results": 60, "later": true});
    assert_eq!(late, [hour(-1), hour(0), hour(1)]);
    Ok(())
}

#[test]
fn time_in_which_no_one_looked_is_no_uptime_though_the_only_agent_stopped_cleanly() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let mut run = Run::start("edge", -60);
    run.checks(-60..60, |_| "success");
    run.report("stop", 60);
    let mut later = Run::start("edge", 90);
    later.checks(90..120, |_| "success");
    run.send(&stack, ..)?;
    later.send(&stack, ..)?;
    await_consumed(&stack, &collector);

    let alone = told(&collector)?;
    assert_eq!((&alone["uptime"], &alone["unseen"], &alone["coverage"]), (&json!(1.0), &json!(30), &json!(0.75)));
    assert_eq!(bounds(&alone)?, (0.75, 1.0));

    let mut other = Run::start("other", -60);
    other.checks(-60..120, |_| "success");
    other.send(&stack, ..)?;
    await_consumed(&stack, &collector);
    let watched = told(&collector)?;
    assert_eq!((&watched["unseen"], &watched["coverage"]), (&json!(0), &json!(1.0)), "somebody looked all the time");
    Ok(())
}

/// Returns the collector's answer at a path of its API. A collector on a busy machine may answer 503, and is then asked
/// again.
pub(crate) fn api(collector: &Collector, path: &str) -> Result<Value> {
    let answer = eventually("the collector has time for an answer", || {
        let answer = collector.get(&format!("/api/v1/{path}"))?;
        ensure!(!answer.starts_with("HTTP/1.1 503 "), "{answer}\n{}", collector.log());
        Ok(answer)
    });
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| answer.clone())?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(body).with_context(|| body.to_owned())
}

/// Returns the verdict on the shop, and what each agent sees of it.
fn verdict(collector: &Collector) -> Result<(Value, Vec<Value>)> {
    let shop = api(collector, "monitors/shop")?;
    let latest =
        shop["monitor"]["latest"].as_array().or(shop["latest"].as_array()).with_context(|| shop.to_string())?;
    let verdict = shop["monitor"].get("verdict").unwrap_or(&shop["verdict"]).clone();
    Ok((verdict, latest.iter().map(|it| it["look"].clone()).collect()))
}

fn await_verdict(collector: &Collector, wanted: &str, looks: [&str; 3]) {
    eventually(&format!("the shop is {wanted}"), || {
        let (verdict, seen) = verdict(collector)?;
        ensure!((&verdict, &seen[..]) == (&json!(wanted), &looks.map(Value::from)[..]), "{verdict} {seen:?}");
        Ok(())
    });
}

#[test]
fn one_of_three_agents_that_fails_is_the_path_all_three_are_the_target_and_silence_is_the_agents() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().with_pages()?.start()?;
    let now = Timestamp::now().duration_since(begin()).as_mins();
    let mut runs = ["a", "b", "c"].map(|agent| Run::start(agent, now - 20));
    for run in &mut runs {
        let fails = run.agent == "c";
        run.checks(now - 20..now - 1, |at| if fails && at >= now - 6 { "timeout" } else { "success" });
        run.send(&stack, ..)?;
    }
    await_consumed(&stack, &collector);
    await_verdict(&collector, "partial", ["success", "success", "failure"]);
    let outages = api(&collector, "monitors/shop/outages")?;
    let path = &outages["incidents"][0];
    assert_eq!(
        (&path["blame"], &path["failing"], &path["passing"]),
        (&json!("path"), &json!(["c"]), &json!(["a", "b"]))
    );

    for run in &mut runs {
        let sent = run.records.len();
        run.checks(now - 1..now, |_| "status_mismatch");
        run.send(&stack, sent..)?;
    }
    await_consumed(&stack, &collector);
    await_verdict(&collector, "down", ["failure"; 3]);
    eventually("it is the target's fault", || {
        let outages = api(&collector, "monitors/shop/outages")?;
        let target = &outages["incidents"][0];
        ensure!(target["failing"] == json!(["a", "b", "c"]), "{target}");
        ensure!(target["blame"] == "target" && target["ended"].is_null(), "{target}");
        Ok(())
    });

    // The times are moved back, as if the agents had made their last checks a quarter of an hour ago and had reported
    // nothing since then.
    stack.database.execute("select website_monitor.make_results_partition((now() - interval '1 day')::date)")?;
    for table in ["agents set last_seen = last_seen", "results set checked_at = checked_at"] {
        let earlier = format!("update website_monitor.{table} - interval '15 minutes'");
        stack.database.execute(&earlier)?;
    }
    await_verdict(&collector, "unknown", ["silent"; 3]);
    eventually("the agents are silent", || {
        let agents = api(&collector, "agents")?;
        let presences: Vec<&Value> =
            agents["agents"].as_array().into_iter().flatten().map(|agent| &agent["presence"]).collect();
        ensure!(presences == [&json!("silent"); 3], "{agents}");
        Ok(())
    });
    Ok(())
}

#[test]
fn pages_tell_the_percentiles_that_readers_of_the_tables_get() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().with_pages()?.start()?;
    let mut run = Run::start("edge", 0);
    run.checks(0..170, |_| "success");
    // The response times reach from below the first bound of the buckets to beyond the last one.
    for (n, record) in run.records.iter_mut().skip(1).enumerate() {
        record["response_time_us"] = json!((300.0 * 1.07_f64.powi(n as i32)) as u64);
    }
    run.send(&stack, ..)?;
    await_consumed(&stack, &collector);

    let told = api(&collector, "monitors/shop")?;
    let of = |name: &str| told[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {told}"));
    let read: Vec<Value> = stack.database.rows(&format!(
        "select answered, mean_us, p50_us, p95_us, p99_us, max_us from website_monitor.uptime('{}', '{}')",
        of("since")?,
        of("until")?
    ))?;
    let times = &told["monitor"]["response_times"];
    assert_eq!((&times["answered"], &times["max_us"]), (&read[0]["answered"], &read[0]["max_us"]));
    for name in ["mean_us", "p50_us", "p95_us", "p99_us"] {
        let of = |row: &Value| row[name].as_f64().with_context(|| format!("no {name} in {row}"));
        let (told, read) = (of(times)?, of(&read[0])?);
        assert!((told - read).abs() < 1e-6 * read, "{name}: {told} on pages, {read} in the tables");
    }
    Ok(())
}

#[test]
fn a_monitor_whose_list_is_said_twice_is_due_once() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().with_pages()?.start()?;
    let mut run = Run::start("edge", 120);
    run.report("start", 120);
    run.send(&stack, ..)?;
    await_consumed(&stack, &collector);
    eventually("the monitor is shown, with one agent that is to look", || {
        let shown = api(&collector, "monitors/shop")?;
        ensure!(shown["monitor"]["latest"].as_array().map(Vec::len) == Some(1), "{shown}");
        Ok(())
    });
    Ok(())
}
