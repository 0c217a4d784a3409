//! A broker loses the tail of a log, a partition is added, or a topic is made again.

use anyhow::{Context, Result};
use e2e::{Stack, eventually};
use serde_json::json;

use super::Story;

/// Sets the log back to before 200 messages, which were stored, and fills it again past the offset up to which the
/// collector read.
fn lose_a_tail(is_running: bool) -> Result<()> {
    let stack = Stack::with().own_kafka().partitions(1).start()?;
    let collector = stack.collector().start()?;
    let mut story = Story::default();
    story.send(&stack, "edge-1", "shop", 100)?;
    story.await_told(&stack, &collector);
    stack.kafka.stop()?;
    let node = stack.kafka.nodes()?.first().context("no node")?;
    let copy = node.copy_log(stack.topic.name(), 0)?;
    stack.kafka.start()?;
    story.send(&stack, "edge-2", "bank", 200)?;
    story.await_told(&stack, &collector);
    if !is_running {
        collector.stop()?;
    }

    stack.kafka.stop()?;
    node.set_log_back(stack.topic.name(), 0, &copy)?;
    stack.kafka.start()?;
    story.send(&stack, "edge-3", "mail", 150)?;
    story.send(&stack, "edge-4", "news", 150)?;
    collector.start()?;

    story.assert_proven(&stack, &collector)
}

#[test]
fn a_log_that_lost_its_tail_and_filled_up_again_while_no_one_read_it_is_read_from_where_it_was_cut() -> Result<()> {
    lose_a_tail(false)
}

#[test]
fn a_log_that_loses_its_tail_under_a_running_collector_is_read_from_where_it_was_cut() -> Result<()> {
    lose_a_tail(true)
}

#[test]
fn a_partition_that_is_added_is_read_too() -> Result<()> {
    let stack = Stack::with().own_kafka().partitions(2).start()?;
    let collectors = [stack.collector().start()?, stack.collector().start()?];
    let mut story = Story::default();
    story.send(&stack, "edge-1", "shop", 20)?;
    story.await_told(&stack, &collectors[0]);
    stack.topic.add_partition()?;
    for n in 2..9 {
        story.send(&stack, &format!("edge-{n}"), "bank", 20)?;
    }
    story.assert_proven(&stack, &collectors[0])
}

#[test]
fn partitions_that_no_member_of_the_group_reads_are_dealt_out_again() -> Result<()> {
    let stack = Stack::with().partitions(2).start()?;
    // As when a topic was away while its partitions were dealt out, and the collector was killed and came back.
    let collector = stack.collector().set("kafka.properties", json!({"group.instance.id": "first"})).build()?;
    eventually("the group has a coordinator", || {
        stack.topic.committed(&collector.group)?;
        stack.topic.deal_out_nothing(&collector.group, "first")
    });
    collector.start()?;
    let mut story = Story::default();
    story.send(&stack, "edge-1", "shop", 20)?;
    story.assert_proven(&stack, &collector)
}

#[test]
fn a_topic_that_is_made_again_is_read_though_its_leaders_are_younger_than_those_before() -> Result<()> {
    let stack = Stack::with().own_kafka().partitions(1).start()?;
    let collector = stack.collector().set("kafka.create_topic", false).start()?;
    let mut story = Story::default();
    // Each start of Kafka gives the partition a new leader epoch with a higher number.
    for n in 1..4 {
        story.send(&stack, &format!("edge-{n}"), "shop", 20)?;
        story.await_told(&stack, &collector);
        stack.kafka.stop()?;
        stack.kafka.start()?;
    }
    story.send(&stack, "edge-4", "bank", 20)?;
    story.await_told(&stack, &collector);

    stack.topic.delete()?;
    eventually("the topic is made again", || stack.topic.make());
    story.send(&stack, "edge-5", "mail", 20)?;
    story.assert_proven(&stack, &collector)
}
