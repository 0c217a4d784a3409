//! A running agent reloads its configuration. The tests ask whether it takes over the new configuration and keeps
//! running correctly.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::agent::{Agent, AgentSetup};
use e2e::daemon::Settings;
use e2e::ports::free_port;
use e2e::web::{Answer, Web};
use e2e::{Stack, eventually};
use jiff::Timestamp;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::truth::{assert_each_request_has_one_row, assert_verified, await_requests, settle};

/// The text of the log at the end of a successful reload.
const TAKEN: &str = "the agent runs with the new configuration";
const REFUSED: &str = "the configuration is refused";

#[test]
fn monitors_are_added_removed_and_changed_and_the_others_miss_no_slot_and_have_none_twice() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let site = |path: &str| stack.web.site(path, Answer::ok("here"));
    let monitor = |name: &str, path: &str| json!({"name": name, "url": site(path), "interval": "100ms"});
    let stays = json!({"name": "stays", "url": site("/stays"), "interval": 1});
    let agent = stack.agent().build()?;
    let mut settings = agent.settings.clone();
    settings.set("monitors", json!([stays, monitor("goes", "/goes"), monitor("changes", "/before")]));
    agent.configure(&settings)?;
    agent.start()?;
    await_path(&stack.web, "/stays", 2);
    await_path(&stack.web, "/goes", 1);
    await_path(&stack.web, "/before", 1);

    settings.set("monitors", json!([monitor("comes", "/comes"), monitor("changes", "/after"), stays]));
    settings.set("workers", 3);
    reload(&agent, &settings, TAKEN)?;
    await_path(&stack.web, "/comes", 1);
    await_path(&stack.web, "/after", 1);
    // A check that ran during the reload has ended, because a check of the new configuration has come.
    let (goes, before) = (stack.web.count("/goes"), stack.web.count("/before"));
    for _ in 0..3 {
        reload(&agent, &settings, TAKEN)?;
        await_path(&stack.web, "/stays", 1);
    }
    assert_eq!((stack.web.count("/goes"), stack.web.count("/before")), (goes, before));

    settle(&stack, &agent, &collector)?;
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&collector)?;
    assert_grid(&stack, &agent, "/stays", 1_000_000)?;
    let reports = reports_of_reloads(&stack)?;
    // One report may tell of several reloads.
    let last = reports.last().context("a report")?;
    assert_eq!(
        last["monitors"],
        json!([
            {"id": "comes", "interval_ms": 100}, {"id": "changes", "interval_ms": 100},
            {"id": "stays", "interval_ms": 1000}
        ])
    );
    Ok(())
}

#[test]
fn an_id_stays_over_reloads_and_restarts_when_another_monitor_comes_with_its_name() -> Result<()> {
    let web = Web::start()?;
    let agent = alone(&web, "/one")?;
    await_path(&web, "/one", 1);
    let newcomer = format!("one {}", web.site("/two", Answer::ok("")));
    let checked = |told: &[&str]| {
        eventually("check-config tells the ids", || {
            let ended = agent.command(&["check-config", "--format", "json"])?;
            let checked: Value = serde_json::from_str(&ended.stdout).with_context(|| ended.stdout.clone())?;
            let ids = checked["monitors"].as_array().into_iter().flatten().map(|monitor| monitor["id"].clone());
            ensure!(ids.collect::<Vec<_>>() == ["one", &newcomer], "{checked}");
            ensure!(checked["ids"] == json!({"new": told, "changed": [], "gone": []}), "{checked}");
            Ok(())
        });
    };
    let mut settings = agent.settings.clone();
    settings.0["monitors"].as_array_mut().context("a list")?.push(json!({"name": "one", "url": web.url("/two")}));
    agent.configure(&settings)?;
    checked(&[&newcomer]);
    signal(&agent, TAKEN);
    checked(&[]);
    assert!(agent.log().contains(&format!("beside what ran last, new: {newcomer}")), "{}", agent.log());

    agent.stop()?;
    agent.start()?;
    await_path(&web, "/two", 1);
    checked(&[]);
    Ok(())
}

#[test]
fn a_faulty_file_changes_nothing_and_a_faulty_entry_leaves_its_monitor_as_it_was() -> Result<()> {
    let web = Web::start()?;
    let agent = alone(&web, "/one")?;
    let sound = agent.settings.clone();
    await_path(&web, "/one", 1);

    let mut faulty = sound.clone();
    faulty.set("workers", "many");
    faulty.set("monitors", json!([{"name": "other", "url": web.url("/other")}]));
    reload(&agent, &faulty, REFUSED)?;
    fs::write(agent.config(), "interval: [1\n")?;
    signal(&agent, REFUSED);
    fs::remove_file(agent.config())?;
    signal(&agent, REFUSED);
    await_path(&web, "/one", 3);
    let log = agent.log();
    assert!(log.contains(": workers: ") && log.contains("is not YAML") && log.contains("can't be read"), "{log}");

    let mut slip = sound.clone();
    slip.0["monitors"][0]["url"] = json!("htp:/one");
    slip.0["monitors"].as_array_mut().context("a list")?.push(json!({"name": "two", "url": web.url("/two")}));
    reload(&agent, &slip, TAKEN)?;
    await_path(&web, "/two", 1);
    await_path(&web, "/one", 3);
    let log = agent.log();
    assert!(log.contains("skipped: ") && log.contains("the monitor goes on as it was"), "{log}");
    assert_eq!(web.count("/other"), 0);

    reload(&agent, &sound, TAKEN)?;
    assert!(agent.is_running());
    Ok(())
}

#[test]
fn what_needs_a_restart_is_named_and_what_does_not_is_taken_over() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let site = stack.web.site("/", Answer::ok(""));
    let agent = stack.agent().interval("100ms").monitor("site", &site).start()?;
    await_requests(&stack, 2);
    let mut settings = agent.settings.clone();
    for (option, value) in [
        ("kafka.bootstrap_servers", json!("127.0.0.1:1")),
        ("kafka.topic", json!("elsewhere")),
        ("agent.name", json!("other")),
        ("outbox.when_full", json!("pause")),
        ("log.format", json!("json")),
    ] {
        settings.set(option, value);
    }
    settings.set("monitors", json!([{"name": "site", "url": site, "pattern": "absent"}]));
    reload(&agent, &settings, TAKEN)?;
    let log = agent.log();
    for option in ["kafka.bootstrap_servers", "kafka.topic", "agent.name", "outbox.when_full", "log.format"] {
        assert!(log.contains(&format!("option={option}")), "{option}: {log}");
    }
    eventually("results of the new monitor arrive where the old ones did", || {
        let rows = crate::truth::rows(&stack)?;
        ensure!(rows.iter().any(|row| row.outcome == "pattern_mismatch"), "{} rows", rows.len());
        assert!(rows.iter().all(|row| row.agent == "edge-1"));
        Ok(())
    });
    settle(&stack, &agent, &collector)?;
    assert_verified(&collector)?;
    Ok(())
}

#[test]
fn files_that_match_a_glob_are_looked_for_again() -> Result<()> {
    let web = Web::start()?;
    let agent = alone(&web, "/one")?;
    await_path(&web, "/one", 1);
    let mut settings = agent.settings.clone();
    settings.set("include", json!(["monitors.d/*.yaml"]));
    reload(&agent, &settings, TAKEN)?;
    let directory = agent.directory().join("monitors.d");
    fs::create_dir(&directory)?;
    fs::write(directory.join("two.yaml"), format!("- {{name: two, url: \"{}\"}}\n", web.url("/two")))?;
    signal(&agent, TAKEN);
    await_path(&web, "/two", 1);

    fs::remove_file(directory.join("two.yaml"))?;
    signal(&agent, TAKEN);
    let seen = web.count("/two");
    await_path(&web, "/one", 3);
    // One check may have been under way.
    assert!(web.count("/two") <= seen + 1, "{} after {seen}", web.count("/two"));
    Ok(())
}

#[test]
fn a_hangup_ends_no_agent_neither_before_it_has_read_its_configuration_nor_in_a_burst_nor_while_it_stops() -> Result<()>
{
    let web = Web::start()?;
    let agent = alone(&web, "/one")?;
    agent.kill();
    // The included file is a pipe, so the agent reads it until the test writes it.
    let slow = agent.directory().join("slow.yaml");
    mknodat(CWD, &slow, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    let mut settings = agent.settings.clone();
    settings.set("include", json!(["slow.yaml"]));
    agent.configure(&settings)?;
    agent.start()?;

    let being_read = await_reader(&slow);
    (0..10).for_each(|_| agent.hang_up());
    write_monitor(being_read, &web, "/before");
    await_path(&web, "/before", 1);
    // The ten signals that came during the start now cause one reload.
    let being_read = await_reader(&slow);
    (0..10).for_each(|_| agent.hang_up());
    write_monitor(being_read, &web, "/after");
    await_path(&web, "/after", 1);
    let being_read = await_reader(&slow);
    write_monitor(being_read, &web, "/last");
    await_path(&web, "/last", 1);

    // A reload that hangs in a file does not delay the stop.
    agent.hang_up();
    let being_read = await_reader(&slow);
    agent.hang_up();
    let ended = agent.stop()?;
    drop(being_read);
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches(TAKEN).count(), 2, "{}", ended.stderr);
    Ok(())
}

/// Starts an agent without Kafka.
fn alone(web: &Web, path: &str) -> Result<Agent> {
    let nowhere = format!("127.0.0.1:{}", free_port()?);
    AgentSetup::new(&nowhere, "topic").interval("100ms").monitor("one", web.site(path, Answer::ok(""))).start()
}

/// Writes a configuration, asks the agent to read it, and waits until the log says so once more.
#[track_caller]
fn reload(agent: &Agent, settings: &Settings, told: &str) -> Result<()> {
    agent.configure(settings)?;
    signal(agent, told);
    Ok(())
}

#[track_caller]
fn signal(agent: &Agent, told: &str) {
    let before = agent.log().matches(told).count();
    agent.hang_up();
    eventually(told, || {
        ensure!(agent.log().matches(told).count() > before, "{}", agent.log());
        Ok(())
    });
}

#[track_caller]
fn await_path(web: &Web, path: &str, more: u64) {
    let before = web.count(path);
    eventually(&format!("{more} more requests of {path}"), || {
        ensure!(web.count(path) >= before + more, "{} more", web.count(path) - before);
        Ok(())
    });
}

/// Asserts that the results of a path lie on one grid, one result for each slot. Slots may be empty only if the agent
/// logged that slots had no check.
#[track_caller]
fn assert_grid(stack: &Stack, agent: &Agent, path: &str, interval_us: i64) -> Result<()> {
    #[derive(Deserialize)]
    struct Checked {
        url: String,
        scheduled_at: Timestamp,
    }
    let messages = stack.topic.messages()?;
    let results =
        messages.iter().filter_map(|message| serde_json::from_slice::<Checked>(message.value.as_deref()?).ok());
    let of_path = results.filter(|result| result.url == stack.web.url(path));
    let mut slots: Vec<i64> = of_path.map(|result| result.scheduled_at.as_microsecond()).collect();
    slots.sort_unstable();
    let steps: Vec<i64> = slots.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let has_gaps = agent.log().contains("slots had no check");
    let is_right = |step: &i64| *step == interval_us || has_gaps && *step > 0 && step % interval_us == 0;
    assert!(!steps.is_empty() && steps.iter().all(is_right), "{path}: {steps:?}\n{}", agent.log());
    Ok(())
}

fn reports_of_reloads(stack: &Stack) -> Result<Vec<Value>> {
    let messages = stack.topic.messages()?;
    let values = messages.iter().filter_map(|message| message.value.as_deref());
    let records = values.map(serde_json::from_slice::<Value>).collect::<Result<Vec<_>, _>>()?;
    Ok(records.into_iter().filter(|record| record["event"] == "reload").collect())
}

/// Waits until the agent reads a pipe, and returns the writing end of the pipe.
#[track_caller]
fn await_reader(pipe: &Path) -> File {
    eventually("the agent reads the file", || {
        let writing = File::options().write(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(pipe);
        writing.context("no one reads")
    })
}

fn write_monitor(mut file: File, web: &Web, path: &str) {
    file.write_all(format!("- {{name: slow, url: \"{}\"}}\n", web.url(path)).as_bytes()).expect("it is being read");
}
