//! The clock of an agent is wrong. The tests ask whether the collector tells this. They also ask whether the agent is
//! not shown as silent while it checks, and not shown as checking while it does not.

use std::sync::mpsc;
use std::thread;

use e2e::kafka::Producer;

use super::*;

/// An agent whose clock is wrong. A negative value of `behind` means that the clock is ahead.
struct Wrong {
    run: Run,
    behind: SignedDuration,
    sent: usize,
    previous: Option<Value>,
}

impl Wrong {
    /// Starts an agent that should check the shop and another site each minute.
    fn start(behind: SignedDuration) -> Wrong {
        Wrong::start_after(None, behind)
    }

    /// Starts an agent after an earlier run, which its outbox names.
    fn start_after(before: Option<&Wrong>, behind: SignedDuration) -> Wrong {
        let run = Run { epoch: Uuid::new_v4(), agent: "edge", records: Vec::new() };
        let previous = before.map(|it| json!({"epoch": it.run.epoch, "highest_seq": it.run.records.len()}));
        let mut agent = Wrong { run, behind, sent: 0, previous };
        let due = |id: &str| json!({"id": id, "interval_ms": 60_000});
        agent.report("start", json!([due("shop"), due("lost")]));
        agent
    }

    /// Returns the time by the wrong clock, in microseconds as in records.
    fn now(&self) -> Timestamp {
        let now = Timestamp::now() - self.behind;
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    fn report(&mut self, event: &str, monitors: Value) {
        self.run.add(json!({
            "kind": "agent", "event": event, "at": self.now(), "version": "1", "highest_seq": self.run.records.len(),
            "pending": 0, "outbox_bytes": 0, "monitors": monitors, "configuration": {"revision": "1", "faults": 0},
            "previous": self.previous,
        }));
    }

    fn checked(&mut self, monitor: &str, minutes_ago: i64, outcome: &str) {
        let at = self.now() - SignedDuration::from_mins(minutes_ago);
        self.run.add(json!({
            "kind": "result", "monitor": monitor, "name": monitor, "url": "http://127.0.0.1/", "scheduled_at": at,
            "checked_at": at, "outcome": outcome,
        }));
    }

    /// Returns the time of the latest report, by the agent's clock.
    fn reported(&self) -> Value {
        let mut reports = self.run.records.iter().filter(|record| record["kind"] == "agent");
        reports.next_back().map(|record| record["at"].clone()).unwrap_or_default()
    }

    /// Sends the records that were not sent before.
    fn send(&mut self, producer: &Producer) -> Result<()> {
        for record in &self.run.records[self.sent..] {
            producer.produce_at(0, self.now(), record.to_string().as_bytes())?;
        }
        self.sent = self.run.records.len();
        Ok(())
    }
}

/// Returns the agent as the API shows it.
fn agent(collector: &Collector) -> Result<Value> {
    let agents = api(collector, "agents")?;
    agents["agents"].get(0).cloned().with_context(|| agents.to_string())
}

fn behind(agent: &Value) -> Result<SignedDuration> {
    Ok(SignedDuration::from_micros(agent["clock_behind_us"].as_i64().with_context(|| agent.to_string())?))
}

/// Sends reports until the collector knows nearly how wrong the clock is. The collector never tells more than is
/// certain.
fn await_known(collector: &Collector, wrong: &mut Wrong, producer: &Producer) {
    eventually("how far the clock is off is known", || {
        wrong.report("periodic", json!([]));
        wrong.send(producer)?;
        let known = behind(&agent(collector)?)?;
        let is_certain = known.abs() <= wrong.behind.abs() + SignedDuration::from_secs(1);
        ensure!(is_certain && (wrong.behind - known).abs() < SignedDuration::from_secs(20), "{known}");
        Ok(())
    });
}

fn await_look(collector: &Collector, monitor: &str, wanted: &str) {
    eventually(&format!("{monitor} is seen so: {wanted}"), || {
        let shown = api(collector, &format!("monitors/{monitor}"))?;
        ensure!(shown["monitor"]["latest"][0]["look"] == wanted, "{shown}");
        Ok(())
    });
}

#[test]
fn who_looks_by_a_wrong_clock_looks_who_does_not_is_silent_and_a_lag_is_no_wrong_clock() -> Result<()> {
    let stack = Stack::start()?;
    let producer = stack.topic.producer()?;
    // A message that waited in Kafka for a collector looks as if an agent whose clock is behind had sent it.
    let mut waited = Wrong::start(SignedDuration::from_mins(10));
    waited.send(&producer)?;
    let collector = stack.collector().with_pages()?.start()?;
    await_consumed(&stack, &collector);
    eventually("the agent is known, and its clock may be right", || {
        ensure!(behind(&agent(&collector)?)?.is_zero(), "{}", agent(&collector)?);
        Ok(())
    });
    let mut right = Wrong::start(SignedDuration::ZERO);
    right.checked("shop", 0, "timeout");
    right.send(&producer)?;
    await_look(&collector, "shop", "failure");

    // The clock is changed, so a new run begins. Its results and reports are dated ten minutes too early in the first
    // round and five minutes too late in the second round.
    let mut last = right;
    for minutes in [10, -5] {
        let mut wrong = Wrong::start(SignedDuration::from_mins(minutes));
        // A check that was under way when the clock was changed is dated by the time of its begin.
        wrong.checked("shop", -minutes, "timeout");
        wrong.checked("shop", 0, "success");
        wrong.checked("lost", 5, "success");
        wrong.send(&producer)?;
        await_known(&collector, &mut wrong, &producer);
        await_look(&collector, "shop", "success");
        await_look(&collector, "lost", "silent");
        let told = agent(&collector)?;
        assert_eq!(told["presence"], "running", "{told}");
        let page = collector.get("/agents")?;
        assert!(page.contains(if minutes > 0 { "behind: its checks" } else { "ahead: its checks" }), "{page}");
        let metrics = collector.get("/metrics")?;
        let metric = "website_monitor_agent_clock_behind_seconds{agent=\"edge\"} ";
        let told: f64 =
            metrics.split_once(metric).and_then(|(_, rest)| rest.lines().next()?.parse().ok()).unwrap_or(0.0);
        assert!(told.signum() == (minutes as f64).signum() && told.abs() > 60.0, "{metrics}");
        last = wrong;
    }
    stack.topic.configure("message.timestamp.type", "LogAppendTime")?;
    eventually("nothing is known of a clock that does not tell when it sends", || {
        last.report("periodic", json!([]));
        last.send(&producer)?;
        ensure!(behind(&agent(&collector)?)?.is_zero(), "{}", agent(&collector)?);
        Ok(())
    });
    Ok(())
}

#[test]
fn an_agent_that_starts_again_by_a_clock_that_was_set_back_runs_and_looks_and_is_missed_once_it_dies() -> Result<()> {
    for keeps_times_of_sending in [true, false] {
        let stack = stack_that_keeps_times_of_sending(keeps_times_of_sending)?;
        let producer = stack.topic.producer()?;
        let collector = stack.collector().with_pages()?.start()?;
        let mut before = Wrong::start(SignedDuration::ZERO);
        before.checked("shop", 0, "timeout");
        before.report("stop", json!([]));
        before.send(&producer)?;
        await_consumed(&stack, &collector);
        assert_eq!(agent(&collector)?["presence"], "stopped");

        let mut after = Wrong::start_after(Some(&before), SignedDuration::from_mins(10));
        after.checked("shop", 0, "success");
        after.checked("lost", 0, "success");
        after.send(&producer)?;
        await_consumed(&stack, &collector);
        eventually("it runs", || {
            let told = agent(&collector)?;
            ensure!(told["presence"] == "running" && told["last_report"] == json!(after.reported()), "{told}");
            Ok(())
        });
        let open: Vec<Value> = stack.database.rows(
            "select s.monitor, s.begins from website_monitor.schedule_spans(now(), now()) s
             where s.ends is null order by 1",
        )?;
        assert_eq!(open.iter().map(|row| &row["monitor"]).collect::<Vec<_>>(), [&json!("lost"), &json!("shop")]);
        if keeps_times_of_sending {
            await_look(&collector, "shop", "success");
        }

        stack.database.execute("update website_monitor.agents set last_seen = last_seen - interval '4 minutes'")?;
        eventually("it is missed", || {
            let told = agent(&collector)?;
            ensure!(told["presence"] == "silent", "{told}");
            Ok(())
        });
    }
    Ok(())
}

#[test]
fn what_comes_late_of_an_earlier_run_hides_nothing_of_the_run_that_reports() -> Result<()> {
    let stack = Stack::start()?;
    let producer = stack.topic.producer()?;
    let collector = stack.collector().with_pages()?.start()?;
    let mut now = Wrong::start(SignedDuration::ZERO);
    now.checked("shop", 0, "success");
    now.send(&producer)?;
    await_look(&collector, "shop", "success");
    // An outbox is found on another disk. The collector did not know it before, and its agent had stopped.
    let mut found = Wrong::start(SignedDuration::from_mins(30));
    found.checked("other", 0, "success");
    found.report("stop", json!([]));
    found.behind = SignedDuration::ZERO;
    found.send(&producer)?;
    await_consumed(&stack, &collector);
    let stored = "website_monitor.results join website_monitor.monitors using (monitor_id) where id = 'other'";
    assert_eq!(stack.database.count(stored)?, 1);
    let told = agent(&collector)?;
    assert_eq!((&told["presence"], &told["last_report"]), (&json!("running"), &json!(now.reported())));
    let open = "website_monitor.schedule_spans(now(), now()) where ends is null and monitor in ('shop', 'lost')";
    assert_eq!(stack.database.count(open)?, 2);
    Ok(())
}

#[test]
fn a_clock_that_was_set_right_is_right_also_where_its_partition_is_never_quiet() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let mut other = Wrong::start(SignedDuration::ZERO);
    other.run.agent = "other";
    let again = other.run.records[0].to_string();
    thread::scope(|scope| {
        let (goes_on, goes) = mpsc::channel();
        // Each of four threads sends one message at a time and waits for the broker, so that at least one message is
        // always on its way.
        for _ in 0..4 {
            let (producer, goes_on, again) = (stack.topic.producer()?, goes_on.clone(), again.as_bytes());
            scope.spawn(
                move || {
                    while goes_on.send(()).is_ok() && producer.produce_at(0, Timestamp::now(), again).is_ok() {}
                },
            );
        }
        // The collector starts after 100 messages, so that it finds a busy partition.
        goes.iter().take(100).for_each(drop);
        let collector = stack.collector().with_pages()?.start()?;
        let producer = stack.topic.producer()?;
        for seconds in [-300, 0] {
            let mut edge = Wrong::start(SignedDuration::from_secs(seconds));
            edge.send(&producer)?;
            await_known(&collector, &mut edge, &producer);
        }
        Ok(())
    })
}
