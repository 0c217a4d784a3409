//! Messages were set aside. The tests ask whether commands show them, and store them after their cause was corrected.

use anyhow::Result;
use e2e::Stack;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{assert_proven, await_consumed, days_ago, epochs, result, rows, send};

#[test]
fn messages_that_were_set_aside_are_stored_after_a_mend_and_once() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let [epoch] = epochs();
    let now = Timestamp::now();
    let unknown = json!({"v": 1, "kind": "poem", "epoch": epoch, "seq": 4, "agent": "a"});
    send(&stack, [result(epoch, 1, now), result(epoch, 2, days_ago(91)), result(epoch, 3, days_ago(95)), unknown])?;
    send(&stack, [result(epoch, 5, days_ago(91)), result(epoch, 6, now), json!("\u{1b}[2J")])?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);
    let proof = collector.verify()?;
    assert_eq!((proof.total.stored, proof.total.rejected), (2, 4));

    let listed = collector.command(&["rejected", "list"])?.stdout;
    assert_eq!(listed.lines().count(), 6, "{listed}");
    let listed = collector.command(&["rejected", "list", "--reason", "too_old", "--format", "json"])?.stdout;
    let listed: Vec<Value> = listed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(listed.len(), 3);
    let place = |offset: u32| format!("{}/0/{offset}", stack.topic.name());
    let shown = collector.command(&["rejected", "show", &place(6)])?;
    assert!(shown.stdout.contains("value     \"\\u001b[2J\""), "{}", shown.stdout);
    assert_eq!(collector.command(&["rejected", "show", &place(0)])?.code(), Some(1));

    let early = collector.command(&["rejected", "replay", "--all"])?;
    assert_eq!(
        (early.code(), early.stdout.ends_with("stored 0, still aside 5\n")),
        (Some(1), true),
        "{}",
        early.stdout
    );

    collector.stop()?;
    let mended = stack.collector().set("retention.results", "93d").start()?;
    let one = mended.command(&["rejected", "replay", &place(1)])?;
    assert_eq!((one.code(), one.stdout.as_str()), (Some(0), "stored 1, still aside 0\n"), "{}", one.stderr);
    let all = mended.command(&["rejected", "replay", "--all"])?;
    assert_eq!(all.code(), Some(1));
    assert!(all.stdout.contains(&format!("{} stays aside: too_old", place(2))), "{}", all.stdout);
    assert!(all.stdout.ends_with("stored 1, still aside 3\n"), "{}", all.stdout);
    let again = mended.command(&["rejected", "replay", "--all"])?;
    assert!(again.stdout.ends_with("stored 0, still aside 3\n"), "{}", again.stdout);

    assert_eq!((rows(&stack)?, stack.database.count("website_monitor.rejected")?), (4, 3));
    let proof = mended.verify()?;
    assert_proven(&proof);
    assert_eq!((proof.total.stored, proof.total.rejected), (4, 2));
    // Reading the whole topic again changes nothing.
    stack.read_again()?;
    let third = stack.collector().set("retention.results", "93d").group("third").start()?;
    await_consumed(&stack, &third.group);
    assert_eq!((rows(&stack)?, mended.verify()?.total.stored), (4, 4));
    Ok(())
}

#[test]
fn what_the_database_refused_is_stored_once_it_takes_it_and_not_over_another_of_its_number() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let [epoch] = epochs();
    let with_name = |seq: u64, name: &str| {
        let mut value = result(epoch, seq, Timestamp::now());
        value["name"] = json!(name);
        value
    };
    let collector = stack.collector().start()?;
    send(&stack, [result(epoch, 1, Timestamp::now())])?;
    await_consumed(&stack, &collector.group);
    stack.database.execute("alter table website_monitor.monitors add constraint no check (name <> 'odd')")?;
    send(&stack, [with_name(2, "odd"), with_name(3, "odd"), with_name(4, "even")])?;
    await_consumed(&stack, &collector.group);
    let refused = "website_monitor.rejected where reason = 'refused_by_database'";
    assert_eq!(stack.database.count(refused)?, 2);
    let ended = collector.command(&["rejected", "replay", "--reason", "refused_by_database"])?;
    assert_eq!(ended.code(), Some(1));
    assert!(ended.stdout.contains("stays aside: the database refuses it"), "{}", ended.stdout);

    // The ledger is changed as if number 3 had arrived in another message.
    stack.database.execute(
        "alter table website_monitor.monitors drop constraint no;
         update website_monitor.epochs set rejected = rejected - '{[3,4)}', notices = notices + '{[3,4)}'",
    )?;
    let ended = collector.command(&["rejected", "replay", "--all"])?;

    assert!(ended.stdout.contains("was stored from another message"), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("stored 1, still aside 1\n"), "{}", ended.stdout);
    assert_eq!(rows(&stack)?, 3);
    assert_proven(&collector.verify()?);
    Ok(())
}
