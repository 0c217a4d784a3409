//! Does each message come to exactly one end, whatever happens to the database and to collectors?

use anyhow::{Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use e2e::collector::{Collector, Verification};
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

/// A result of some monitor, as it is on the wire.
fn result(epoch: Uuid, seq: u64, checked_at: Timestamp) -> Value {
    let monitor = format!("monitor {}", seq % 7);
    json!({
        "v": 1, "kind": "result", "epoch": epoch, "seq": seq, "agent": format!("agent of {epoch}"),
        "monitor": monitor, "name": monitor, "url": "http://127.0.0.1/", "scheduled_at": checked_at,
        "checked_at": checked_at, "outcome": "success", "status_code": 200, "reason": "OK", "response_time_us": seq,
    })
}

fn days_ago(days: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days)
}

/// Sends values, all under one key.
fn send(stack: &Stack, values: impl IntoIterator<Item = Value>) -> Result<()> {
    let values: Vec<Vec<u8>> = values.into_iter().map(|value| value.to_string().into_bytes()).collect();
    stack.topic.produce_all(values.iter().map(|value| (Some(&b"key"[..]), Some(value.as_slice()))))?;
    Ok(())
}

/// Sends results 1 to `count` of some epochs, those of an epoch in order.
fn send_results(stack: &Stack, epochs: &[Uuid], count: u64) -> Result<()> {
    let now = Timestamp::now();
    send(stack, (1..=count).flat_map(|seq| epochs.iter().map(move |epoch| result(*epoch, seq, now))))
}

/// Waits until the collectors' group has consumed and committed all.
fn await_consumed(stack: &Stack, group: &str) {
    eventually("everything is consumed and committed", || {
        let lag = stack.topic.lag(group)?;
        ensure!(lag == 0, "{lag} messages are left");
        Ok(())
    });
}

fn rows(stack: &Stack) -> Result<u64> {
    stack.database.count("website_monitor.results")
}

fn numbers(stack: &Stack) -> Result<u64> {
    stack.database.count("(select distinct epoch_id, seq from website_monitor.results) numbers")
}

fn assert_proven(proof: &Verification) {
    assert_eq!((proof.code, proof.total.missing), (Some(0), 0), "{proof:?}");
}

fn epochs<const N: usize>() -> [Uuid; N] {
    std::array::from_fn(|_| Uuid::new_v4())
}

#[test]
fn the_whole_topic_replayed_into_a_new_group_changes_nothing() -> Result<()> {
    let stack = Stack::start()?;
    let epochs = epochs::<3>();
    send_results(&stack, &epochs, 2_000)?;
    send_results(&stack, &epochs[..1], 10)?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);
    assert_eq!((rows(&stack)?, numbers(&stack)?), (6_000, 6_000));
    collector.stop()?;

    let again = stack.collector().group("once more").start()?;
    await_consumed(&stack, "once more");

    assert_eq!(rows(&stack)?, 6_000);
    assert_proven(&again.verify()?);
    let ended = again.stop()?;
    assert_eq!(ended.code(), Some(0), "{}", again.log());
    Ok(())
}

#[test]
fn what_no_rule_can_read_is_set_aside_whole_and_the_partition_goes_on() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let [epoch] = epochs();
    let with = |seq: u64, field: &str, value: Value| {
        let mut message = result(epoch, seq, Timestamp::now());
        message[field] = value;
        message
    };
    send(&stack, [result(epoch, 1, Timestamp::now())])?;
    stack.topic.produce(Some(b"no"), Some(b"\xff\x00 what?"))?;
    stack.topic.produce(None, None)?;
    let no_certificate_ends_then = json!({"not_after": "-009999-06-01T00:00:00Z", "subject": "s", "issuer": "i"});
    send(
        &stack,
        [
            with(2, "v", json!(2)),
            with(3, "kind", json!("poem")),
            with(4, "outcome", json!("fine")),
            with(5, "name", json!("a\u{0}b")),
            result(epoch, 6, days_ago(91)),
            result(epoch, 7, days_ago(-2)),
            with(8, "certificate", no_certificate_ends_then),
            result(epoch, 9, days_ago(89)),
        ],
    )?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);

    let reasons: Vec<Value> =
        stack.database.rows("select reason, count(*) from website_monitor.rejected group by 1 order by 1")?;
    let all = [
        "bad_field",
        "in_the_future",
        "no_value",
        "not_json",
        "refused_by_database",
        "too_old",
        "unknown_kind",
        "unknown_outcome",
        "unknown_version",
    ];
    assert_eq!(reasons, all.map(|reason| json!({"reason": reason, "count": 1})));
    let whole = "key = 'no' and value = decode('ff0020776861743f', 'hex')";
    assert_eq!(stack.database.count(&format!("website_monitor.rejected where {whole}"))?, 1);
    assert_eq!(rows(&stack)?, 2);
    let proof = collector.verify()?;
    assert_proven(&proof);
    assert_eq!((proof.total.issued, proof.total.stored, proof.total.rejected), (9, 2, 7));
    Ok(())
}

#[test]
fn two_collectors_with_the_same_messages_store_each_once() -> Result<()> {
    let stack = Stack::start()?;
    let epochs = epochs::<4>();
    let setup = |group: &str, size: u32| stack.collector().group(group).set("batch.max_messages", size);
    let (one, other) = (setup("one", 300).start()?, setup("other", 170).start()?);
    for count in [500, 1_000, 1_500, 2_000] {
        send_results(&stack, &epochs, count)?;
    }
    await_consumed(&stack, &one.group);
    await_consumed(&stack, &other.group);

    assert_eq!((rows(&stack)?, numbers(&stack)?), (8_000, 8_000));
    assert_proven(&one.verify()?);
    Ok(())
}

#[test]
fn a_collector_that_is_killed_again_and_again_stores_each_once() -> Result<()> {
    let stack = Stack::start()?;
    let epochs = epochs::<4>();
    let collector = stack.collector().set("batch.max_messages", 200).start()?;
    let mut sent = 0;
    for _ in 0..5 {
        sent += 1_000;
        let now = Timestamp::now();
        let seqs = sent - 999..=sent;
        send(&stack, seqs.flat_map(|seq| epochs.iter().map(move |epoch| result(*epoch, seq, now))))?;
        let before = rows(&stack).unwrap_or(0);
        eventually("some of them are stored", || {
            let rows = rows(&stack)?;
            ensure!(rows > before, "{rows} rows");
            Ok(())
        });
        collector.kill();
        collector.start()?;
    }
    await_consumed(&stack, &collector.group);
    assert_eq!((rows(&stack)?, numbers(&stack)?), (4 * sent, 4 * sent));
    assert_proven(&collector.verify()?);
    Ok(())
}

#[test]
fn rows_that_a_restored_ledger_does_not_know_are_met_without_a_copy_of_them() -> Result<()> {
    let stack = Stack::start()?;
    let epochs = epochs::<2>();
    send_results(&stack, &epochs, 500)?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);
    collector.stop()?;
    stack.database.execute("update website_monitor.epochs set accounted = '{[1,100)}'")?;

    let again = stack.collector().group("again").start()?;
    await_consumed(&stack, "again");

    assert_eq!((rows(&stack)?, numbers(&stack)?), (1_000, 1_000));
    assert_proven(&again.verify()?);
    Ok(())
}

#[test]
fn a_database_that_comes_and_goes_loses_nothing() -> Result<()> {
    let stack = Stack::with().own_postgres().start()?;
    let epochs = epochs::<2>();
    stack.database.proxy.refuse();
    let collector = stack.collector().start()?;
    send_results(&stack, &epochs, 300)?;
    eventually("it says that it waits", || {
        let log = collector.log();
        ensure!(log.contains("the database does not store: waiting for it"), "{log}");
        ensure!(!log.contains(stack.database.password()), "the password is shown");
        Ok(())
    });
    stack.database.proxy.open()?;
    await_consumed(&stack, &collector.group);

    stack.database.server.kill()?;
    let now = Timestamp::now();
    send(&stack, (301..=600).flat_map(|seq| epochs.iter().map(move |epoch| result(*epoch, seq, now))))?;
    eventually("the other processes let go", || stack.database.server.start());
    await_consumed(&stack, &collector.group);

    assert_eq!((rows(&stack)?, numbers(&stack)?), (1_200, 1_200));
    assert_proven(&collector.verify()?);
    stack.database.proxy.refuse();
    assert_eq!(collector.command(&["verify"])?.code(), Some(69));
    Ok(())
}

#[test]
fn the_locks_of_a_collector_that_hangs_are_freed() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch] = epochs();
    let collector = stack.collector().start()?;
    send(&stack, [result(epoch, 1, Timestamp::now())])?;
    await_consumed(&stack, &collector.group);
    let mut hanging = PgConnection::establish(&stack.database.url())?;
    hanging.batch_execute(
        "set application_name = 'website-monitor-collector'; begin; select from website_monitor.epochs for update",
    )?;

    send(&stack, [result(epoch, 2, Timestamp::now())])?;
    await_consumed(&stack, &collector.group);

    assert_eq!(rows(&stack)?, 2);
    assert!(hanging.batch_execute("commit").is_err(), "the other session was ended");
    Ok(())
}

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
fn a_user_without_rights_is_told_which_ones_are_needed() -> Result<()> {
    let stack = Stack::start()?;
    let role = format!("poor_{}", Uuid::new_v4().simple());
    stack.database.execute(&format!("create role {role} login password 'hunter2'"))?;
    let setup = stack.collector().set("database.user", role.as_str());
    let collector: Collector = setup.build()?;
    std::fs::write(collector.directory().join("password"), "hunter2\n")?;

    let ended = collector.command(&["migrate"])?;

    assert_eq!(ended.code(), Some(69));
    assert!(ended.stderr.contains("permission denied"), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("grant create on database \"{}\" to \"{role}\"", stack.database.name())));
    Ok(())
}

#[test]
fn two_collectors_that_start_at_once_make_the_tables_once() -> Result<()> {
    let stack = Stack::start()?;
    let collectors = [stack.collector().start()?, stack.collector().start()?, stack.collector().start()?];
    let [epoch] = epochs();
    send_results(&stack, &[epoch], 100)?;
    await_consumed(&stack, &collectors[0].group);
    assert_eq!(rows(&stack)?, 100);
    for collector in &collectors {
        assert!(!collector.log().contains("level=warn"), "{}", collector.log());
    }
    Ok(())
}

#[test]
fn the_partitions_of_a_killed_collector_are_taken_over() -> Result<()> {
    let stack = Stack::start()?;
    let collectors = [stack.collector().start()?, stack.collector().start()?];
    let epochs = epochs::<8>();
    for collector in &collectors {
        eventually("each has partitions", || {
            let log = collector.log();
            ensure!(log.contains("took partitions") && log.contains("partitions=2"), "{log}");
            Ok(())
        });
    }
    collectors[0].kill();
    let now = Timestamp::now();
    let values: Vec<_> = (1..=200).flat_map(|seq| epochs.map(|epoch| (epoch, result(epoch, seq, now)))).collect();
    let values: Vec<_> = values.iter().map(|(epoch, value)| (epoch.to_string(), value.to_string())).collect();
    stack.topic.produce_all(values.iter().map(|(key, value)| (Some(key.as_bytes()), Some(value.as_bytes()))))?;

    await_consumed(&stack, &collectors[1].group);

    assert_eq!((rows(&stack)?, numbers(&stack)?), (1_600, 1_600));
    assert_proven(&collectors[1].verify()?);
    let shown = stack.database.count("website_monitor.website_status where reason = 'OK' and response_time > 0")?;
    assert_eq!(shown, 1_600);
    Ok(())
}
