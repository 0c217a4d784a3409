//! The database is set back to a copy, or a collector has another database than the rest of its group.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::collector::{Collector, CollectorSetup};
use e2e::postgres::Postgres;
use e2e::{Stack, eventually};

use super::Story;

/// A database with results of one agent, and a copy of it.
struct Begun {
    stack: Stack,
    collector: Collector,
    story: Story,
    copy: PathBuf,
}

fn begin() -> Result<Begun> {
    let server = Arc::new(Postgres::start_own()?);
    let stack = Stack::with().partitions(2).start_on(&server)?;
    let collector = stack.collector().start()?;
    let mut story = Story::default();
    story.send(&stack, "edge-1", "shop", 50)?;
    story.await_told(&stack, &collector);
    let copy = server.back_up()?;
    Ok(Begun { stack, collector, story, copy })
}

#[test]
fn a_database_that_was_set_back_is_filled_again_and_no_id_means_something_else() -> Result<()> {
    let Begun { stack, collector, mut story, copy } = begin()?;
    story.send(&stack, "edge-2", "bank", 100)?;
    story.await_told(&stack, &collector);

    // The database is set back while no batch is under way. The collector still remembers the ids of the newer state.
    stack.database.server.set_back(&copy)?;
    story.send(&stack, "edge-3", "mail", 60)?;
    story.send(&stack, "edge-4", "news", 60)?;

    story.assert_proven(&stack, &collector)
}

#[test]
fn a_database_that_was_set_back_while_its_collector_was_away_is_filled_again_though_nothing_more_comes() -> Result<()> {
    let Begun { stack, collector, mut story, copy } = begin()?;
    story.send(&stack, "edge-2", "bank", 301)?;
    story.await_told(&stack, &collector);
    collector.kill();

    stack.database.server.set_back(&copy)?;
    collector.start()?;

    story.assert_proven(&stack, &collector)
}

#[test]
fn a_quiet_collector_notices_that_its_database_was_set_back() -> Result<()> {
    let Begun { stack, collector, mut story, copy } = begin()?;
    let other = stack.collector().start()?;
    story.send(&stack, "edge-2", "bank", 80)?;
    story.send(&stack, "edge-3", "mail", 80)?;
    story.await_told(&stack, &collector);

    stack.database.server.set_back(&copy)?;

    // The test sends nothing more to any partition.
    story.assert_proven(&stack, &other)
}

#[test]
fn a_collector_of_another_database_does_not_join_a_group_until_it_is_told_to_take_it_over() -> Result<()> {
    let stack = Stack::with().partitions(2).start()?;
    let (production, other) = (stack.collector().start()?, stack.database.server.database()?);
    let mut story = Story::default();
    story.send(&stack, "edge-1", "shop", 40)?;
    story.await_told(&stack, &production);
    let name = production.group.clone();
    let staging = CollectorSetup::new(stack.kafka.bootstrap_servers(), stack.topic.name(), &name, &other);
    let staging = staging.build()?;

    let refused = staging.command(&["run"])?;
    assert_eq!(refused.code(), Some(78), "{}", refused.stderr);
    assert!(refused.stderr.contains("another database") && refused.stderr.contains(&name), "{}", refused.stderr);
    for agent in ["edge-2", "edge-3", "edge-4"] {
        story.send(&stack, agent, "shop", 40)?;
    }
    story.assert_proven(&stack, &production)?;

    // The collector of the first database learns that its group was taken over, and ends.
    staging.start_by(staging.invocation(&["run", "--take-over-group"]))?;
    let ended = production.wait()?;
    assert_eq!(ended.code(), Some(78), "{}", ended.stderr);
    eventually("the other database has all that Kafka has", || {
        let rows = other.count("website_monitor.results")?;
        ensure!(rows == 160, "{rows} rows\n{}", staging.log());
        Ok(())
    });
    Ok(())
}
