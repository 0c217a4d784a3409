//! Two hosts report under one name. The tests ask whether the collector tells this, and whether the monitors of both
//! hosts count as checked.

use super::*;

/// A run of an agent named edge. It checks one monitor, and reports only when the test asks for a report.
struct Host {
    run: Run,
    monitor: &'static str,
    sent: usize,
}

impl Host {
    fn start(stack: &Stack, collector: &Collector, monitor: &'static str, previous: Option<Value>) -> Result<Host> {
        let run = Run { epoch: Uuid::new_v4(), agent: "edge", records: Vec::new() };
        let mut host = Host { run, monitor, sent: 0 };
        host.add("start", previous);
        host.check();
        host.send(stack, collector)?;
        Ok(host)
    }

    /// Returns what the next run says about this run.
    fn previous(&self) -> Option<Value> {
        Some(json!({"epoch": self.run.epoch, "highest_seq": self.run.records.len()}))
    }

    fn add(&mut self, event: &str, previous: Option<Value>) {
        let monitors = match event {
            "start" | "reload" => json!([{"id": self.monitor, "interval_ms": 60_000}]),
            _ => json!([]),
        };
        self.run.add(json!({
            "kind": "agent", "event": event, "at": Timestamp::now(), "version": "1", "pending": 0, "outbox_bytes": 0,
            "highest_seq": self.run.records.len(), "monitors": monitors, "previous": previous,
            "configuration": {"revision": "1", "faults": 0},
        }));
    }

    fn check(&mut self) {
        let at = Timestamp::now();
        self.run.add(json!({
            "kind": "result", "monitor": self.monitor, "name": self.monitor, "url": "http://127.0.0.1/",
            "scheduled_at": at, "checked_at": at, "outcome": "success",
        }));
    }

    /// Adds a report and sends it at once.
    fn report(&mut self, stack: &Stack, collector: &Collector, event: &str) -> Result<()> {
        self.add(event, None);
        self.send(stack, collector)
    }

    /// Sends the records that were not sent before, and waits until they are stored.
    fn send(&mut self, stack: &Stack, collector: &Collector) -> Result<()> {
        self.run.send(stack, self.sent..)?;
        self.sent = self.run.records.len();
        await_consumed(stack, collector);
        Ok(())
    }
}

fn rules(stack: &Stack) -> Value {
    json!({
        "rules": [{"name": "two hosts", "what": "doubled"}],
        "receivers": [{"name": "hook", "webhook": {"url": stack.web.site("/hook", e2e::web::Answer::status(204))}}],
        "group_wait": "0s",
    })
}

/// Returns the monitors that some agent should check now.
fn looked_at(stack: &Stack) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Open {
        monitor: String,
    }
    let open: Vec<Open> = stack.database.rows(
        "select distinct monitor from website_monitor.schedule_spans(now(), now()) where ends is null order by 1",
    )?;
    Ok(open.into_iter().map(|row| row.monitor).collect())
}

/// Waits until the page of agents, the API and the metrics say whether the name is doubled.
fn await_doubled(collector: &Collector, doubled: bool) {
    eventually(&format!("it is told that the name is doubled: {doubled}"), || {
        let agents = api(collector, "agents")?;
        ensure!(agents["agents"][0]["doubled"] == doubled, "{agents}");
        let metrics = collector.get("/metrics")?;
        let metric = format!("website_monitor_agent_doubled{{agent=\"edge\"}} {}", i32::from(doubled));
        ensure!(metrics.contains(&metric), "{metrics}");
        ensure!(
            collector.get("/agents")?.contains("two hosts report under this name") == doubled,
            "the page of agents"
        );
        Ok(())
    });
}

#[test]
fn two_hosts_with_one_name_are_told_and_the_monitors_of_both_are_looked_at() -> Result<()> {
    for keeps_times_of_sending in [true, false] {
        let stack = stack_that_keeps_times_of_sending(keeps_times_of_sending)?;
        let collector = stack.collector().with_pages()?.set("alerts", rules(&stack)).start()?;
        let mut shop = Host::start(&stack, &collector, "shop", None)?;
        // The second host was made from an image of the first one, and has its own outbox.
        let mut news = Host::start(&stack, &collector, "news", None)?;
        // Only reports that are read as soon as they are sent show that both hosts report in turn. On a busy machine
        // some reports are read later, so the test sends more of them.
        eventually("both are heard in turn", || {
            shop.report(&stack, &collector, "periodic")?;
            news.report(&stack, &collector, "periodic")?;
            ensure!(api(&collector, "agents")?["agents"][0]["doubled"] == true, "{}", collector.log());
            Ok(())
        });
        await_doubled(&collector, true);
        eventually("it is told", || {
            let told = stack.web.requests();
            let is_told =
                |request: &e2e::web::Request| String::from_utf8_lossy(&request.body).contains("two hosts report");
            ensure!(told.iter().any(is_told), "{told:?}");
            Ok(())
        });
        let listed = collector.command(&["agents", "list"])?;
        assert!(listed.stdout.contains("running (two hosts)"), "{}", listed.stdout);
        let said = collector.log().matches("two hosts report as one agent").count();
        assert_eq!(said, 1, "{}", collector.log());
        for _ in 0..2 {
            assert_eq!(looked_at(&stack)?, ["news", "shop"]);
            shop.report(&stack, &collector, "periodic")?;
        }

        // One host stops, and the other one goes on. Then the first one starts again.
        shop.report(&stack, &collector, "stop")?;
        assert_eq!(looked_at(&stack)?, ["news"]);
        eventually("one of them still runs", || {
            let agents = api(&collector, "agents")?;
            ensure!(agents["agents"][0]["presence"] == "running", "{agents}");
            Ok(())
        });
        let again = Host::start(&stack, &collector, "shop", shop.previous())?;
        assert_eq!(looked_at(&stack)?, ["news", "shop"]);
        drop(again);
    }
    Ok(())
}

#[test]
fn neither_a_restart_nor_a_late_backlog_nor_an_outbox_from_a_backup_looks_like_two_hosts() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().with_pages()?.set("alerts", rules(&stack)).start()?;
    let mut first = Host::start(&stack, &collector, "shop", None)?;
    first.report(&stack, &collector, "periodic")?;
    // The next report of this run waits in its outbox, and a backup also holds the report.
    first.add("periodic", None);
    let last_of_first = first.run.records.len() - 1;
    first.run.records[last_of_first]["at"] = json!(Timestamp::now() - SignedDuration::from_mins(2));
    let mut second = Host::start(&stack, &collector, "shop", first.previous())?;
    for _ in 0..3 {
        second.report(&stack, &collector, "periodic")?;
    }
    first.send(&stack, &collector)?;
    second.report(&stack, &collector, "periodic")?;
    first.run.send(&stack, ..)?;
    second.report(&stack, &collector, "reload")?;
    second.report(&stack, &collector, "stop")?;

    let mut restored = Host::start(&stack, &collector, "shop", first.previous())?;
    // The records that waited in the backup are sent again, and so are all records that were sent before.
    first.run.send(&stack, ..)?;
    for _ in 0..3 {
        restored.report(&stack, &collector, "periodic")?;
        second.run.send(&stack, ..)?;
    }
    // The records of an older run of the agent are found and also arrive late.
    let mut found = Host { run: Run::start("edge", -60), monitor: "shop", sent: 0 };
    found.run.checks(-60..0, |_| "success");
    found.run.report("stop", 0);
    found.send(&stack, &collector)?;
    restored.report(&stack, &collector, "periodic")?;

    await_doubled(&collector, false);
    assert_eq!(stack.database.count("website_monitor.epochs where returns > 0")?, 0);
    assert_eq!(looked_at(&stack)?, ["shop"]);
    let agents = api(&collector, "agents")?;
    assert_eq!(agents["agents"][0]["presence"], "running", "{agents}");
    assert!(!collector.log().contains("two hosts"), "{}", collector.log());
    Ok(())
}
