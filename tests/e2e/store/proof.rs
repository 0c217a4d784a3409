//! The tests ask whether `verify` shows every missing number, and no other number.

use anyhow::{Result, ensure};
use e2e::{Stack, eventually};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{assert_proven, await_consumed, days_ago, epochs, result, rows, send, send_results};

#[test]
fn deleted_rows_are_missing_by_their_numbers() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch] = epochs();
    send_results(&stack, &[epoch], 20)?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);
    stack.database.execute("delete from website_monitor.results where seq in (3, 4, 9)")?;

    let proof = collector.verify()?;

    assert_eq!((proof.code, proof.total.missing, proof.total.stored), (Some(1), 3, 17));
    assert_eq!(proof.epochs[0].missing_ranges, json!([[3, 4], [9, 9]]));
    assert!(collector.verify_table()?.contains("  missing: 3-4,9\n"));
    Ok(())
}

#[test]
fn rows_past_the_retention_go_with_their_partition_and_are_not_missed() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch] = epochs();
    let at = |seq: u64| days_ago(if seq <= 10 { 5 } else { 0 });
    send(&stack, (1..=30).map(|seq| result(epoch, seq, at(seq))))?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);
    collector.stop()?;

    let strict = stack.collector().set("retention.results", "2d").start()?;
    let expired = || -> Result<()> {
        let rows = rows(&stack)?;
        ensure!(rows == 20, "{rows} rows\n{}", strict.log());
        Ok(())
    };
    eventually("the old rows are gone", expired);

    let proof = strict.verify()?;
    assert_proven(&proof);
    assert_eq!(proof.total.stored, 30);
    Ok(())
}

#[test]
fn an_agents_own_records_are_accounted_for_and_a_lost_epoch_shows() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let [lost, epoch] = epochs();
    let now = Timestamp::now();
    let of_agent = |seq: u64, kind: &str, more: Value| {
        let mut record = json!({"v": 1, "kind": kind, "epoch": epoch, "seq": seq, "agent": "edge"});
        record.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        record
    };
    let report = |seq: u64, event: &str, pending: Value| {
        let oldest = pending.as_u64().map(|seq| json!({"epoch": epoch, "seq": seq}));
        let mut more = json!({
            "event": event, "at": now, "version": "1.2.3", "highest_seq": seq - 1, "pending": 0, "outbox_bytes": 0,
            "previous": {"epoch": lost, "highest_seq": 5}, "labels": {"site": "north"},
        });
        if let Some(oldest) = oldest {
            more["oldest_pending"] = oldest;
        }
        of_agent(seq, "agent", more)
    };
    let ranges =
        json!({"ranges": [{"epoch": lost, "first": 1, "last": 2}], "reason": "outbox_full", "dropped_at": now});
    send(&stack, [report(1, "start", json!(null)), of_agent(2, "dropped", ranges), result(epoch, 3, now)])?;
    send(&stack, [report(6, "periodic", json!(5))])?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);

    let proof = collector.verify()?;
    assert_eq!(proof.code, Some(1));
    let [of_lost, of_epoch] = ["lost", "running"].map(|which| {
        let wanted = if which == "lost" { lost } else { epoch };
        proof.epochs.iter().find(|verdict| verdict.epoch == wanted.to_string()).expect(which).clone()
    });
    assert_eq!((of_lost.issued, of_lost.dropped, of_lost.missing, of_lost.closed), (5, 2, 3, true));
    assert_eq!((of_epoch.issued, of_epoch.stored, of_epoch.pending, of_epoch.missing), (6, 4, 1, 1));
    assert_eq!(of_epoch.missing_ranges, json!([[4, 4]]));

    send(&stack, [result(epoch, 4, now), result(epoch, 5, now), report(7, "stop", json!(null))])?;
    await_consumed(&stack, &collector.group);
    let proof = collector.verify()?;
    assert_eq!((proof.total.missing, proof.total.pending), (3, 0), "{proof:?}");
    assert!(proof.epochs.iter().all(|verdict| verdict.closed));
    let agents: Vec<Value> = stack.database.rows("select name, version, labels from website_monitor.agents")?;
    let known = json!({"name": "edge", "version": "1.2.3", "labels": {"site": "north"}});
    assert!(agents.contains(&known), "{agents:?}");
    Ok(())
}

#[test]
fn a_report_from_the_far_future_does_not_make_later_ones_look_old() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let epochs = epochs::<3>();
    let collector = stack.collector().start()?;
    let far: Timestamp = "9999-06-01T00:00:00Z".parse()?;
    for (version, (epoch, at)) in (1..).zip(epochs.into_iter().zip([Timestamp::now(), far, days_ago(-1)])) {
        let report = json!({
            "v": 1, "kind": "agent", "epoch": epoch, "seq": 1, "agent": "edge", "event": "periodic", "at": at,
            "version": version.to_string(), "highest_seq": 0, "pending": 0, "outbox_bytes": 0,
        });
        send(&stack, [report])?;
        await_consumed(&stack, &collector.group);
        let known = format!("website_monitor.agents where version = '{version}' and last_report <= now()");
        assert_eq!(stack.database.count(&known)?, 1);
    }
    Ok(())
}

#[test]
fn a_proof_can_be_asked_for_some_agents_and_for_lately() -> Result<()> {
    let stack = Stack::start()?;
    let [one, other] = epochs();
    send_results(&stack, &[one, other], 10)?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);
    stack.database.execute(
        "update website_monitor.epochs set first_seen = now() - interval '3 days' where epoch_id = 1;
         delete from website_monitor.results where epoch_id = 1 and seq = 5",
    )?;
    let ask = |more: &[&str]| -> Result<(Option<i32>, Vec<Value>)> {
        let ended = collector.command(&[&["verify", "--format", "json"], more].concat())?;
        let lines = ended.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok((ended.code(), lines))
    };

    let (code, all) = ask(&[])?;
    assert_eq!((code, all.len()), (Some(1), 3));
    assert_eq!((&all[2]["missing"], &all[2]["strays"], &all[2]["duplicates"]), (&1.into(), &0.into(), &0.into()));
    let broken = all.iter().position(|line| line["missing"] == 1).unwrap_or_default();
    let sound = all[1 - broken]["agent"].as_str().unwrap_or_default().to_owned();
    let (code, only) = ask(&["--agent", &sound])?;
    assert_eq!((code, only.len(), &only[1]["stored"]), (Some(0), 2, &10.into()));

    // The epoch that was first seen three days ago counts as recent because of its later results. It no longer counts
    // after these results are deleted.
    assert_eq!(ask(&["--since", "1d"])?.1.len(), 3);
    stack.database.execute("update website_monitor.results set checked_at = now() where epoch_id = 2")?;
    stack.database.execute("delete from website_monitor.results where epoch_id = 1")?;
    let (code, lately) = ask(&["--since", "1d"])?;
    assert_eq!((code, lately.len()), (Some(0), 2), "{lately:?}");
    Ok(())
}
