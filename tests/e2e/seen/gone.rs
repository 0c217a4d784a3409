//! An agent is retired. The tests ask whether the collector expects nothing more from it, and whether the agent counts
//! again when it comes back.

use super::*;

/// Returns how many results of the shop were due in the first two hours, and how many of them did not arrive.
fn due(collector: &Collector) -> Result<(i64, i64)> {
    let told = told(collector)?;
    let of = |name: &str| told[name].as_i64().with_context(|| format!("no {name} in {told}"));
    Ok((of("due")?, of("unseen")?))
}

fn retire(collector: &Collector, more: &[&str]) -> Result<(Option<i32>, String)> {
    let ended = collector.command(&[&["agents", "retire"], more].concat())?;
    Ok((ended.code(), ended.stdout + &ended.stderr))
}

/// Returns the row of an agent in `agents list`.
fn listed(collector: &Collector, name: &str) -> Result<Value> {
    let ended = collector.command(&["agents", "list", "--format", "json"])?;
    let mut rows = ended.stdout.lines().map(serde_json::from_str::<Value>);
    let row = rows.find(|row| row.as_ref().is_ok_and(|row| row["name"] == name));
    Ok(row.with_context(|| format!("{} {}", ended.stdout, ended.stderr))??)
}

/// Waits until the presence of an agent has this value in the API and in the metrics. A retired agent has no metrics.
fn await_presence(collector: &Collector, name: &str, wanted: &str) {
    eventually(&format!("{name} is {wanted}"), || {
        let agents = api(collector, "agents")?;
        let agent = agents["agents"].as_array().into_iter().flatten().find(|it| it["name"] == name).cloned();
        ensure!(agent.is_some_and(|it| it["presence"] == wanted), "{agents}");
        let metrics = collector.get("/metrics")?;
        match wanted {
            "retired" => ensure!(!metrics.contains(&format!("agent=\"{name}\"")), "{metrics}"),
            _ => ensure!(metrics.contains(&format!("{{agent=\"{name}\",presence=\"{wanted}\"}} 1")), "{metrics}"),
        }
        Ok(())
    });
}

#[test]
fn of_an_agent_that_is_gone_nothing_is_due_its_backlog_is_welcome_and_a_report_makes_it_one_again() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().with_pages()?.start()?;
    let mut stays = Run::start("stays", -60);
    stays.checks(-60..120, |_| "success");
    stays.send(&stack, ..)?;
    let mut dies = Run::start("dies", -60);
    dies.checks(-60..90, |_| "success");
    dies.report("periodic", 90);
    // The host failed at minute 90. Half an hour of results and the last report are in an outbox that may be found
    // later.
    let backlog = 60 + 60 + 1;
    dies.send(&stack, ..backlog)?;
    await_consumed(&stack, &collector);
    // The time is set as if the agent had been seen last at minute 90.
    let seen = minute(90);
    stack.database.execute(&format!("update website_monitor.agents set last_seen = '{seen}' where name = 'dies'"))?;
    assert_eq!(due(&collector)?, (240, 60), "it is still expected");
    await_presence(&collector, "dies", "silent");

    let (code, told) = retire(&collector, &["deis"])?;
    assert_eq!((code, told.as_str()), (Some(1), "there is no agent \"deis\"; did you mean \"dies\"?\n"));
    let (code, told) = retire(&collector, &["dies", "--since", "2100-01-01"])?;
    assert!(code == Some(1) && told.contains("yet to come"), "{told}");
    let (code, told) = retire(&collector, &["dies"])?;
    assert!(code == Some(0) && told.starts_with(&format!("nothing is due from dies since {seen};")), "{told}");

    assert_eq!(due(&collector)?, (210, 30), "what was due until then, and did not come");
    await_presence(&collector, "dies", "retired");
    let row = listed(&collector, "dies")?;
    assert_eq!((&row["presence"], &row["retired_since"]), (&json!("retired"), &json!(seen)));
    assert_eq!(retire(&collector, &["dies", "--since", &minute(60).to_string()])?.0, Some(0), "it can be corrected");
    assert_eq!(due(&collector)?, (180, 0));
    assert_eq!(retire(&collector, &["dies"])?.0, Some(0));
    assert_eq!(due(&collector)?, (180, 0), "said again it stays as it is");
    eventually("pages are right again: only who stays is to look, and nothing is missing of the last hour", || {
        let shop = api(&collector, "monitors/shop")?;
        let latest = shop["monitor"]["latest"].as_array().or(shop["latest"].as_array()).cloned().unwrap_or_default();
        let agents: Vec<&Value> = latest.iter().map(|it| &it["agent"]).collect();
        ensure!(agents == [&json!("stays")], "{shop}");
        Ok(())
    });

    // The records that waited arrive, with a report that the agent made before it was retired. They are stored, and the
    // agent stays retired.
    dies.send(&stack, backlog..)?;
    await_consumed(&stack, &collector);
    let stored = "website_monitor.results join website_monitor.epochs using (epoch_id)
                  join website_monitor.agents a using (agent_id) where a.name = 'dies'";
    assert_eq!(stack.database.count(stored)?, 150);
    assert_eq!(collector.verify()?.total.missing, 0);
    assert_eq!(listed(&collector, "dies")?["presence"], "retired");
    assert_eq!(due(&collector)?, (180, 0));

    // Another host takes the place of the retired agent.
    let mut again = Run::start("dies", Timestamp::now().duration_since(begin()).as_mins());
    again.records[0]["at"] = json!(Timestamp::now());
    again.send(&stack, ..)?;
    await_consumed(&stack, &collector);
    await_presence(&collector, "dies", "running");
    assert_eq!(listed(&collector, "dies")?["retired_since"], Value::Null);
    assert_eq!(due(&collector)?, (180, 0), "the time in which it was gone stays as it was said");
    let rows: Vec<Value> = stack.database.rows(
        "select count(*) as open from website_monitor.schedule_spans(now() - interval '1 hour', now() + interval '1 hour')
         where ends is null",
    )?;
    assert_eq!(rows[0]["open"], 2, "both are expected from now on");
    Ok(())
}

#[test]
fn a_run_that_reports_after_it_was_said_to_be_gone_was_there_all_the_time_and_one_that_stopped_is_waited_for_no_more()
-> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let mut cut_off = Run::start("cut off", -60);
    cut_off.checks(-60..30, |_| "success");
    cut_off.send(&stack, ..)?;
    let mut stops = Run::start("stops", -60);
    stops.checks(-60..60, |_| "success");
    stops.report("stop", 60);
    stops.send(&stack, ..)?;
    await_consumed(&stack, &collector);
    for agent in ["cut off", "stops"] {
        assert_eq!(retire(&collector, &[agent, "--since", &minute(60).to_string()])?.0, Some(0));
    }
    assert_eq!(due(&collector)?, (120, 30));
    let nobody: Vec<Value> = stack.database.rows(&format!(
        "select count(*) as waits from website_monitor.schedule_spans('{}', now()) where is_stopped and resumes is null",
        begin()
    ))?;
    assert_eq!(nobody[0]["waits"], 0);

    let sent = cut_off.records.len();
    cut_off.checks(30..120, |_| "success");
    cut_off.report("periodic", 120);
    let last = cut_off.records.len() - 1;
    cut_off.records[last]["at"] = json!(Timestamp::now());
    cut_off.send(&stack, sent..)?;
    await_consumed(&stack, &collector);

    assert_eq!(listed(&collector, "cut off")?["presence"], "running");
    assert_eq!(due(&collector)?, (180, 0), "what it did meanwhile was due");
    Ok(())
}
