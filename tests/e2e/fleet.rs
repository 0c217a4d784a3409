//! Many agents run, and some of them are copies of others. The test asks whether the database keeps them apart.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Result, ensure};
use e2e::agent::Agent;
use e2e::web::Answer;
use e2e::{Stack, eventually};

use crate::truth::{assert_no_number_twice, assert_verified, await_no_lag, rows};

const AGENTS: usize = 20;

#[test]
fn twenty_agents_have_twenty_identities_and_a_cloned_one_is_told_apart() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let site = stack.web.site("/", Answer::ok(""));
    // All agents have the same configuration. Only values of the host make them different.
    let setup = || stack.agent().name("${HOST_NAME}").interval("1s").monitor("site", &site);
    let mut fleet = Vec::new();
    for number in 1..=AGENTS {
        fleet.push(start(setup().build()?, &format!("edge-{number}"))?);
    }
    let expected: BTreeSet<String> = (1..=AGENTS).map(|number| format!("edge-{number}")).collect();
    eventually("results of all agents are stored", || {
        let seen: BTreeSet<String> = rows(&stack)?.into_iter().map(|row| row.agent).collect();
        ensure!(seen == expected, "{seen:?}");
        Ok(())
    });

    // A host is cloned with its state while it is off. Then the host and the clone both go on.
    let original = fleet.remove(0);
    ensure!(original.stop()?.code() == Some(0), "{}", original.log());
    let clone = setup().build()?;
    let copied = Command::new("cp").arg("-a").args([outbox(&original), outbox(&clone)]).status()?;
    ensure!(copied.success(), "the outbox was not copied");
    let clone = start(clone, "edge-1")?;
    let original = start(original, "edge-1")?;
    let before = rows(&stack)?.len();
    eventually("results of both are stored", || {
        let epochs: BTreeSet<String> =
            rows(&stack)?.into_iter().filter(|row| row.agent == "edge-1").map(|row| row.epoch).collect();
        ensure!(epochs.len() == 3, "{epochs:?}");
        ensure!(rows(&stack)?.len() > before + AGENTS, "they stand still");
        Ok(())
    });

    fleet.extend([original, clone]);
    for agent in &fleet {
        let ended = agent.stop()?;
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    }
    await_no_lag(&stack, &collector);
    let verification = assert_verified(&collector)?;
    assert_eq!(verification.total.pending, 0, "{verification:#?}");
    assert_eq!(verification.epochs.len(), AGENTS + 2, "one for each run: {verification:#?}");
    for epoch in &verification.epochs {
        assert!(epoch.issued > 2 && expected.contains(&epoch.agent), "{epoch:?}");
    }
    assert_no_number_twice(&stack)?;
    let table = collector.verify_table()?;
    assert_eq!(table.matches("forked").count(), 1, "{table}");
    Ok(())
}

fn outbox(agent: &Agent) -> String {
    agent.settings.0["outbox"]["path"].as_str().unwrap_or_default().to_owned()
}

fn start(agent: Agent, host: &str) -> Result<Agent> {
    let mut command = agent.invocation(&["run"]);
    command.env("HOST_NAME", host);
    agent.start_by(command)?;
    Ok(agent)
}
