//! The tests ask whether the command `verify` finds everything that is missing, and nothing else.

use anyhow::Result;
use e2e::Stack;
use e2e::collector::{Collector, Verdict, Verification};
use e2e::web::Answer;
use serde_json::json;
use uuid::Uuid;
use wire::Previous;

use crate::forge::{Forge, produce};
use crate::truth::{RESULTS, assert_verified, await_delivered, await_no_lag, settle};

#[test]
fn nothing_is_missing_where_nothing_was_ever_sent() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().build()?;
    assert_eq!(collector.command(&["migrate"])?.code(), Some(0));
    let verification = assert_verified(&collector)?;
    assert_eq!((verification.epochs.len(), verification.total.issued), (0, 0));
    Ok(())
}

#[test]
fn rows_that_were_deleted_are_missing_by_their_numbers() -> Result<()> {
    let (stack, collector) = start()?;
    let forge = Forge::new("edge-1");
    let results = (2..=10).map(|seq| forge.result(seq));
    tell(&stack, &collector, [forge.start(None)].into_iter().chain(results).chain([forge.stop(11)]))?;
    assert_eq!(assert_verified(&collector)?.total.stored, 11);

    stack.database.execute(&format!("delete from {RESULTS} where seq in (4, 5, 6, 9)"))?;

    let verification = assert_missing(&collector, json!([[4, 6], [9, 9]]))?;
    assert_eq!((verification.total.missing, verification.total.stored), (4, 7));
    let table = collector.verify_table()?;
    assert!(table.contains("missing: 4-6,9"), "{table}");
    assert_eq!(collector.command(&["verify"])?.code(), Some(1));
    Ok(())
}

#[test]
fn a_number_that_never_arrived_is_missing_once_its_agent_has_nothing_more_to_send() -> Result<()> {
    let (stack, collector) = start()?;
    let forge = Forge::new("edge-1");
    let before = [2, 3, 4, 5, 7].map(|seq| forge.result(seq));
    tell(&stack, &collector, [forge.start(None)].into_iter().chain(before))?;
    assert_eq!(assert_verified(&collector)?.total.pending, 1, "it may still come");

    tell(&stack, &collector, [forge.periodic(8)])?;
    assert_missing(&collector, json!([[6, 6]]))?;

    tell(&stack, &collector, [forge.result(6)])?;
    assert_eq!(assert_verified(&collector)?.total.stored, 8, "late is not lost");
    Ok(())
}

#[test]
fn numbers_that_were_declared_dropped_are_dropped_unless_they_arrived() -> Result<()> {
    let (stack, collector) = start()?;
    let forge = Forge::new("edge-1");
    let records = [forge.start(None), forge.result(2), forge.result(4), forge.dropped(7, 3, 6), forge.stop(8)];
    tell(&stack, &collector, records)?;
    let verification = assert_verified(&collector)?;
    let total = &verification.total;
    assert_eq!((total.issued, total.stored, total.dropped, total.pending), (8, 5, 3, 0), "{verification:#?}");
    Ok(())
}

#[test]
fn numbers_that_wait_in_an_outbox_are_pending_and_not_missing() -> Result<()> {
    let (stack, collector) = start()?;
    let forge = Forge::new("edge-1");
    tell(&stack, &collector, [forge.start(None), forge.result(2), forge.result(4), forge.waiting(9, 5)])?;
    let verification = assert_missing(&collector, json!([[3, 3]]))?;
    let total = &verification.total;
    assert_eq!((total.issued, total.stored, total.pending, total.missing), (9, 4, 4, 1), "{verification:#?}");
    assert!(!verification.epochs[0].closed);
    Ok(())
}

#[test]
fn a_lost_tail_is_missing_since_the_next_epoch_says_where_it_ended() -> Result<()> {
    let (stack, collector) = start()?;
    let (lost, next) = (Forge::new("edge-1"), Forge::new("edge-1"));
    tell(&stack, &collector, [lost.start(None), lost.result(2), lost.result(3)])?;
    assert_verified(&collector)?;
    let previous = Some(Previous { epoch: lost.epoch, highest_seq: 6 });
    tell(&stack, &collector, [next.start(previous), next.stop(2)])?;

    let verification = collector.verify()?;
    assert_eq!((verification.code, verification.total.missing), (Some(1), 3), "{verification:#?}");
    let account = verification.epochs.iter().find(|account| account.epoch == lost.epoch.to_string());
    assert_eq!(account.map(|account| &account.missing_ranges), Some(&json!([[4, 6]])), "{verification:#?}");
    Ok(())
}

#[test]
fn a_lost_epoch_is_missing_since_the_next_one_names_it() -> Result<()> {
    let (stack, collector) = start()?;
    let (lost, next) = (Uuid::new_v4(), Forge::new("edge-1"));
    tell(&stack, &collector, [next.start(Some(Previous { epoch: lost, highest_seq: 7 })), next.stop(2)])?;

    let verification = collector.verify()?;
    assert_eq!((verification.code, verification.total.missing), (Some(1), 7), "{verification:#?}");
    let account = verification.epochs.iter().find(|account| account.epoch == lost.to_string());
    assert_eq!(account.map(|account| &account.missing_ranges), Some(&json!([[1, 7]])), "{verification:#?}");
    Ok(())
}

/// Makes an agent whose outbox holds fifty results. The records up to the report that says so have arrived.
fn holds_fifty(stack: &Stack, collector: &Collector) -> Result<Forge> {
    let forge = Forge::new("edge-1");
    let arrived = (2..=4).map(|seq| forge.result(seq));
    tell(stack, collector, [forge.start(None)].into_iter().chain(arrived).chain([forge.waiting(56, 6)]))?;
    let verification = assert_missing(collector, json!([[5, 5]]))?;
    assert_eq!((verification.total.pending, verification.total.given_up), (50, 0), "{verification:#?}");
    tell(stack, collector, [forge.result(5)])?;
    assert_eq!(assert_verified(collector)?.total.pending, 50);
    Ok(forge)
}

/// Asserts that `count` numbers are given up, that no other number is missing, and that no number is pending.
#[track_caller]
fn assert_given_up(collector: &Collector, count: u64) -> Result<()> {
    let verification = collector.verify()?;
    let Verdict { pending, missing, given_up, .. } = verification.total;
    assert_eq!((verification.code, pending, missing, given_up), (Some(1), 0, count, count), "{verification:#?}");
    Ok(())
}

#[test]
fn what_waited_in_an_outbox_that_was_wiped_is_given_up_once_its_agent_runs_without_it() -> Result<()> {
    let (stack, collector) = start()?;
    let wiped = holds_fifty(&stack, &collector)?;

    let agent = stack.agent().name("edge-1").monitor("site", stack.web.site("/", Answer::ok(""))).start()?;
    await_delivered(&agent, 1);
    await_no_lag(&stack, &collector);
    assert_given_up(&collector, 50)?;
    let table = collector.verify_table()?;
    assert!(table.contains("  missing: 6-55\n  given up of these: 6-55 ("), "{table}");
    agent.kill();
    agent.start()?;
    await_delivered(&agent, agent.outbox_status()?.position);
    await_no_lag(&stack, &collector);
    assert_given_up(&collector, 50)?;

    // The outbox was not wiped: two hosts have one name. The next report of the other host shows this by itself, and
    // then its results arrive.
    tell(&stack, &collector, [wiped.waiting(57, 6)])?;
    assert_eq!(assert_verified(&collector)?.total.pending, 50);
    tell(&stack, &collector, (6..=55).map(|seq| wiped.result(seq)).chain([wiped.periodic(58)]))?;
    settle(&stack, &agent, &collector)?;
    let total = assert_verified(&collector)?.total;
    assert_eq!((total.pending, total.given_up), (0, 0), "{total:#?}");
    Ok(())
}

#[test]
fn an_outbox_that_was_wiped_while_no_collector_ran_is_given_up_though_its_last_word_comes_with_the_next_runs_first()
-> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let (wiped, next) = (Forge::new("edge-1"), Forge::new("edge-1"));
    // All of these messages are in one batch.
    produce(&stack.topic, [wiped.start(None), wiped.waiting(52, 2), next.start(None), next.periodic(2)])?;
    let collector = stack.collector().start()?;
    await_no_lag(&stack, &collector);
    assert_given_up(&collector, 50)
}

#[test]
fn what_a_retired_agent_held_is_given_up_until_it_reports_again() -> Result<()> {
    let (stack, collector) = start()?;
    let forge = holds_fifty(&stack, &collector)?;
    let ended = collector.command(&["agents", "retire", "edge-1"])?;
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_given_up(&collector, 50)?;

    tell(&stack, &collector, [forge.result(6), forge.waiting(57, 7)])?;
    assert_eq!(assert_verified(&collector)?.total.pending, 49);
    Ok(())
}

#[test]
fn without_a_database_there_is_no_verdict() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().build()?;
    stack.database.proxy.refuse();
    let ended = collector.command(&["verify"])?;
    assert_eq!(ended.code(), Some(69), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("refused"), "{}", ended.stderr);
    Ok(())
}

fn start() -> Result<(Stack, Collector)> {
    let stack = Stack::with().partitions(1).start()?;
    let collector = stack.collector().start()?;
    Ok((stack, collector))
}

fn tell(stack: &Stack, collector: &Collector, records: impl IntoIterator<Item = Vec<u8>>) -> Result<()> {
    produce(&stack.topic, records)?;
    await_no_lag(stack, collector);
    Ok(())
}

/// Asserts that there is only one epoch, and that exactly these of its numbers are missing.
#[track_caller]
fn assert_missing(collector: &Collector, ranges: serde_json::Value) -> Result<Verification> {
    let verification = collector.verify()?;
    assert_eq!(verification.code, Some(1), "{verification:#?}");
    assert_eq!(verification.epochs.len(), 1, "{verification:#?}");
    assert_eq!(verification.epochs[0].missing_ranges, ranges, "{verification:#?}");
    Ok(verification)
}
