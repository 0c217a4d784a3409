//! The disk of an agent's outbox refuses. The tests ask whether the agent goes on meanwhile, and whether it recovers
//! without help.

mod refusing;
mod small;

use anyhow::{Result, ensure};
use e2e::agent::Agent;
use e2e::collector::Collector;
use e2e::ports::free_port;
use e2e::systemd::Systemd;
use e2e::web::Answer;
use e2e::{Stack, eventually};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::truth::{
    assert_each_request_has_one_row, assert_no_number_twice, assert_verified, await_no_lag, await_requests, await_rows,
    mismatches, settle,
};
use refusing::{Refusal, RefusingDisk};
use small::SmallDisk;

const REFUSES: &str = "the outbox's disk refuses; results wait in memory";
const HEALS: &str = "the outbox's disk takes records again";
const SITES: [&str; 3] = ["/a", "/b", "/c"];
/// The number of refused attempts that a test waits for. After them it is certain that the agent does not log the state
/// with each attempt.
const ATTEMPTS: u64 = 5;
/// The number of bytes of results that the agent holds in memory.
const MEMORY: u64 = 16 * 1024 * 1024;

#[test]
fn checks_go_on_while_the_disk_refuses_and_every_result_is_stored_without_a_restart() -> Result<()> {
    let (stack, collector, agent) = start_stack()?;
    let disk = RefusingDisk::new(&agent)?;
    let systemd = Systemd::listen(agent.directory())?;
    agent.start_by(systemd.told_by(disk.preloaded_into(agent.invocation(&["run"]))))?;
    await_rows(&stack, 10)?;
    let began_as = agent.id();
    await_told(&agent, &systemd, false);
    for refusal in Refusal::ALL {
        let (refused, healed) = (said(&agent, REFUSES), said(&agent, HEALS));
        disk.refuse(refusal)?;
        eventually("the agent says it", || {
            ensure!(said(&agent, REFUSES) == refused + 1, "{refusal:?}\n{}", agent.log());
            Ok(())
        });
        await_told(&agent, &systemd, true);
        await_requests(&stack, 30);
        let before = disk.refusals();
        eventually("it is tried again", || {
            let now = disk.refusals();
            ensure!(now >= before + ATTEMPTS, "{} more refusals of {refusal:?}", now - before);
            Ok(())
        });
        disk.heal()?;
        eventually("the agent says that too", || {
            ensure!(said(&agent, HEALS) == healed + 1, "{refusal:?}\n{}", agent.log());
            Ok(())
        });
        await_told(&agent, &systemd, false);
        await_rows(&stack, 30)?;
        assert_eq!(said(&agent, REFUSES), refused + 1, "{}", agent.log());
    }
    assert_eq!(agent.id(), began_as);
    settle(&stack, &agent, &collector)?;

    assert_each_request_has_one_row(&stack)?;
    assert_eq!(assert_verified(&collector)?.total.dropped, 0);
    assert_told_once(&agent, Refusal::ALL.len());
    Ok(())
}

#[test]
fn an_agent_that_starts_on_a_disk_that_refuses_checks_and_keeps_its_results_until_it_heals() -> Result<()> {
    let (stack, collector, agent) = start_stack()?;
    let disk = RefusingDisk::new(&agent)?;
    disk.refuse(Refusal::Full)?;
    agent.start_by(disk.preloaded_into(agent.invocation(&["run"])))?;
    await_requests(&stack, 30);
    assert!(agent.log().contains("checks go on, results wait in memory"), "{}", agent.log());
    disk.heal()?;
    await_rows(&stack, 30)?;
    settle(&stack, &agent, &collector)?;

    assert_each_request_has_one_row(&stack)?;
    assert_eq!(assert_verified(&collector)?.total.dropped, 0);
    assert_told_once(&agent, 1);
    Ok(())
}

/// The results are so large that memory is full after some hundred of them.
#[test]
fn what_memory_cannot_hold_while_the_disk_refuses_is_declared_with_that_reason_and_nothing_is_missing() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let tags: serde_json::Map<String, Value> =
        (0..25).map(|n| (format!("tag-{n}"), "x".repeat(4_000).into())).collect();
    let size = 25 * 4_000;
    let mut setup = stack.agent().interval("50ms");
    for path in SITES {
        setup = setup.monitor(path, stack.web.site(path, Answer::ok(""))).option("tags", tags.clone());
    }
    let agent = setup.build()?;
    let disk = RefusingDisk::new(&agent)?;
    agent.start_by(disk.preloaded_into(agent.invocation(&["run"])))?;
    await_rows(&stack, 10)?;
    disk.refuse(Refusal::FailingSync)?;
    eventually("the agent says it", || {
        ensure!(said(&agent, REFUSES) == 1, "{}", agent.log());
        Ok(())
    });
    await_requests(&stack, MEMORY / size + 50);
    disk.heal()?;
    await_rows(&stack, 30)?;
    settle(&stack, &agent, &collector)?;

    let total = assert_verified(&collector)?.total;
    let found = mismatches(&stack)?;
    assert!(found.requests_with_several_rows.is_empty() && found.rows_without_request.is_empty(), "{found:#?}");
    let without_row = found.requests_without_row.len() as u64;
    assert!(without_row > 0 && total.dropped == without_row, "{without_row} without a row, {total:#?}");
    assert_eq!(declared(&stack)?, [("disk_failed".to_owned(), without_row)]);
    assert_no_number_twice(&stack)
}

#[test]
fn an_agent_on_a_full_disk_goes_on_checking_and_stores_everything_once_there_is_room() -> Result<()> {
    let (stack, collector, agent) = start_stack()?;
    let disk = match SmallDisk::try_new(&agent) {
        Ok(disk) => disk,
        Err(reason) => {
            ground::again_as_root(ground::this_test!(), &format!("{reason:#}"));
            return Ok(());
        }
    };
    agent.start_by(disk.mounted_for(agent.invocation(&["run"]))?)?;
    await_rows(&stack, 10)?;
    for time in 1..=2 {
        disk.fill(&agent)?;
        eventually("the agent says it", || {
            ensure!(said(&agent, REFUSES) == time, "{}", agent.log());
            Ok(())
        });
        await_requests(&stack, 30);
        eventually("its status says it", || {
            let status = disk.status(&agent)?;
            ensure!(status["refused"].is_string() && status["in_memory"].as_u64() > Some(10), "{status}");
            Ok(())
        });
        disk.make_room(&agent)?;
        await_rows(&stack, 30)?;
        assert_eq!((said(&agent, REFUSES), said(&agent, HEALS)), (time, time), "{}", agent.log());
    }
    // The files of the outbox are gone after the stop, so the outbox cannot be asked for its status.
    let ended = agent.stop()?;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    await_no_lag(&stack, &collector);

    assert_each_request_has_one_row(&stack)?;
    let total = assert_verified(&collector)?.total;
    assert_eq!((total.dropped, total.pending), (0, 0), "{total:#?}");
    assert_told_once(&agent, 2);
    Ok(())
}

fn start_stack() -> Result<(Stack, Collector, Agent)> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let mut setup = stack.agent().interval("100ms").set("outbox.max_size", "16MiB");
    setup = setup.set("http.listen", format!("127.0.0.1:{}", free_port()?));
    for path in SITES {
        setup = setup.monitor(path, stack.web.site(path, Answer::ok("")));
    }
    let agent = setup.build()?;
    Ok((stack, collector, agent))
}

/// Waits until metrics and systemd's status say that the disk refuses, or that it does not.
#[track_caller]
fn await_told(agent: &Agent, systemd: &Systemd, refuses: bool) {
    eventually("the metrics tell", || {
        let metrics = agent.get("/metrics")?;
        let line = format!("website_monitor_outbox_refused {}\n", u8::from(refuses));
        ensure!(metrics.contains(&line), "{metrics}");
        Ok(())
    });
    eventually("systemd is told", || {
        let status = systemd.status()?;
        ensure!(status.contains("the outbox's disk refuses") == refuses, "{status}");
        ensure!(status.contains("3 monitors; ") && systemd.is_ready(), "{status}");
        Ok(())
    });
}

fn said(agent: &Agent, what: &str) -> usize {
    agent.log().matches(what).count()
}

/// Asserts that the agent logged no warning and no error more often than the disk began to refuse.
#[track_caller]
fn assert_told_once(agent: &Agent, times: usize) {
    let log = agent.log();
    let mut told = std::collections::BTreeMap::<&str, usize>::new();
    for line in log.lines().filter(|line| ["level=warn", "level=error"].iter().any(|level| line.contains(level))) {
        let message = line.split_once("msg=").map_or(line, |(_, rest)| rest);
        let words = message.strip_prefix('"').and_then(|quoted| quoted.split('"').next());
        *told.entry(words.unwrap_or(message)).or_default() += 1;
    }
    assert!(!told.is_empty() && told.values().all(|count| *count <= times), "{told:#?}\n{log}");
}

/// Returns how many numbers were declared dropped, by reason.
fn declared(stack: &Stack) -> Result<Vec<(String, u64)>> {
    #[derive(Deserialize)]
    struct Range {
        first: u64,
        last: u64,
    }
    let mut declared = std::collections::BTreeMap::<String, u64>::new();
    for message in stack.topic.messages()? {
        let record: Value = serde_json::from_slice(&message.value.unwrap_or_default())?;
        if record["kind"] == json!("dropped") {
            let ranges: Vec<Range> = serde_json::from_value(record["ranges"].clone())?;
            let reason = record["reason"].as_str().unwrap_or_default().to_owned();
            *declared.entry(reason).or_default() +=
                ranges.iter().map(|range| range.last - range.first + 1).sum::<u64>();
        }
    }
    Ok(declared.into_iter().collect())
}
