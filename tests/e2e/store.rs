//! The database and collectors fail in several ways. The tests ask whether each message is still stored once or set
//! aside once.

use anyhow::{Result, ensure};
use e2e::collector::{Collector, Verification};
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

mod aside;
mod dropped;
mod functions;
mod packed;
mod proof;
mod reports;
mod rights;
mod rivals;
pub(crate) mod summaries;
mod surprises;

/// Returns a result in the format of the wire. The sequence number decides the monitor.
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

/// Sends all values under one key.
fn send(stack: &Stack, values: impl IntoIterator<Item = Value>) -> Result<()> {
    let values: Vec<Vec<u8>> = values.into_iter().map(|value| value.to_string().into_bytes()).collect();
    stack.topic.produce_all(values.iter().map(|value| (Some(&b"key"[..]), Some(value.as_slice()))))?;
    Ok(())
}

/// Sends the results 1 to `count` of each epoch. The results of an epoch are in order.
fn send_results(stack: &Stack, epochs: &[Uuid], count: u64) -> Result<()> {
    let now = Timestamp::now();
    send(stack, (1..=count).flat_map(|seq| epochs.iter().map(move |epoch| result(*epoch, seq, now))))
}

/// Waits until the collectors' group has consumed and committed all messages.
pub(crate) fn await_consumed(stack: &Stack, group: &str) {
    eventually("everything is consumed and committed", || {
        let lag = stack.topic.lag(group)?;
        ensure!(lag == 0, "{lag} messages are left");
        Ok(())
    });
}

pub(crate) fn rows(stack: &Stack) -> Result<u64> {
    stack.database.count("website_monitor.results")
}

pub(crate) fn numbers(stack: &Stack) -> Result<u64> {
    stack.database.count("(select distinct epoch_id, seq from website_monitor.results) numbers")
}

pub(crate) fn assert_proven(proof: &Verification) {
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

    stack.read_again()?;
    let again = stack.collector().group("once more").start()?;
    await_consumed(&stack, "once more");

    assert_eq!(rows(&stack)?, 6_000);
    assert_proven(&again.verify()?);
    let ended = again.stop()?;
    assert_eq!(ended.code(), Some(0), "{}", again.log());
    Ok(())
}

#[test]
fn results_are_those_of_the_agent_that_made_them_though_it_was_renamed_before_they_were_read() -> Result<()> {
    let stack = Stack::start()?;
    let [before, after] = epochs();
    let start = json!({
        "v": 1, "kind": "agent", "epoch": after, "seq": 1, "agent": "renamed", "event": "start", "at": Timestamp::now(),
        "version": "1", "previous": {"epoch": before, "highest_seq": 40}, "highest_seq": 0, "pending": 0,
        "outbox_bytes": 0, "monitors": [], "configuration": {"revision": "1", "faults": 0},
    });
    send(&stack, [start])?;
    let collector = stack.collector().start()?;
    eventually("it is known that there was a run before", || {
        let epochs = stack.database.count("website_monitor.epochs")?;
        ensure!(epochs == 2, "{epochs} epochs");
        Ok(())
    });
    let now = Timestamp::now();
    let of = |epoch: Uuid, agent: &str, seq: u64| {
        let mut value = result(epoch, seq, now);
        value["agent"] = json!(agent);
        value
    };
    send(&stack, (1..=40).map(|seq| of(before, "edge", seq)).chain((2..=10).map(|seq| of(after, "renamed", seq))))?;
    await_consumed(&stack, &collector.group);

    let told: Vec<Value> = stack.database.rows(
        "select a.name, count(*) from website_monitor.results join website_monitor.epochs using (epoch_id)
         join website_monitor.agents a using (agent_id) group by 1 order by 1",
    )?;
    assert_eq!(told, [json!({"name": "edge", "count": 40}), json!({"name": "renamed", "count": 9})]);
    Ok(())
}

#[test]
fn of_the_runs_of_an_agent_a_later_one_has_the_higher_number_however_they_come() -> Result<()> {
    let stack = Stack::start()?;
    let runs = epochs::<9>();
    let of_run = |(run, epoch): (usize, &Uuid)| {
        let mut first = result(*epoch, 1, Timestamp::now());
        first["agent"] = json!("edge");
        first["response_time_us"] = json!(run);
        first
    };
    send(&stack, runs.iter().enumerate().map(of_run))?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);

    let in_order: Vec<Value> =
        stack.database.rows("select response_time_us as run from website_monitor.results order by epoch_id")?;
    assert_eq!(in_order, (0..9).map(|run| json!({"run": run})).collect::<Vec<_>>());
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
    send(
        &stack,
        [
            with(2, "v", json!(2)),
            with(3, "kind", json!("poem")),
            with(4, "outcome", json!("fine")),
            with(5, "name", json!("a\u{0}b")),
            result(epoch, 6, days_ago(91)),
            result(epoch, 7, days_ago(-2)),
            result(epoch, 8, Timestamp::now()),
            result(epoch, 9, days_ago(89)),
        ],
    )?;
    let collector = stack.collector().build()?;
    assert_eq!(collector.command(&["migrate"])?.code(), Some(0));
    stack.database.execute("alter table website_monitor.results add constraint never check (seq <> 8)")?;
    collector.start()?;
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
fn rows_that_a_restored_ledger_does_not_know_are_met_without_a_copy_of_them() -> Result<()> {
    let stack = Stack::start()?;
    let epochs = epochs::<2>();
    send_results(&stack, &epochs, 500)?;
    let collector = stack.collector().start()?;
    await_consumed(&stack, &collector.group);
    collector.stop()?;
    stack.database.execute("update website_monitor.epochs set accounted = '{[1,100)}'")?;

    stack.read_again()?;
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

    assert_eq!(stack.collector().build()?.command(&["migrate"])?.code(), Some(0));
    let owner = stack.database.user();
    for command in ["verify", "migrate"] {
        let ended = collector.command(&[command])?;
        assert_eq!(ended.code(), Some(69));
        let told = format!("schema website_monitor belongs to {owner}, and user {role} may not use it");
        assert!(ended.stderr.contains(&told), "{command}: {}", ended.stderr);
    }
    stack.database.execute(&format!("grant usage on schema website_monitor to {role}"))?;
    let ended = collector.command(&["verify"])?;
    assert!(ended.stderr.contains("grant select on all tables"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn a_bad_configuration_ends_with_all_its_faults() -> Result<()> {
    let stack = Stack::start()?;
    let setup = stack.collector().set("batch.max_wait", "soon").set("database.schemas", "x");
    let ended = setup.build()?.command(&["check-config"])?;
    assert_eq!(ended.code(), Some(78));
    assert!(ended.stderr.contains("batch.max_wait: \"soon\" is no duration"), "{}", ended.stderr);
    assert!(ended.stderr.contains("database.schemas: is no option; did you mean `schema`?"), "{}", ended.stderr);

    let setup = stack.collector().set("kafka.properties", json!({"sesion.timeout.ms": "6000"}));
    let ended = setup.build()?.command(&["run"])?;
    assert_eq!(ended.code(), Some(78));
    assert!(ended.stderr.contains("sesion.timeout.ms"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn another_schema_holds_everything() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().set("database.schema", "Web \"Status\"").start()?;
    let [epoch] = epochs();
    send_results(&stack, &[epoch], 5)?;
    await_consumed(&stack, &collector.group);
    assert_eq!(stack.database.count(r#""Web ""Status""".website_status"#)?, 5);
    assert_eq!(collector.verify()?.code, Some(0));
    Ok(())
}

#[test]
fn a_database_that_refuses_everything_costs_no_record() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch] = epochs();
    let collector = stack.collector().start()?;
    send_results(&stack, &[epoch], 10)?;
    await_consumed(&stack, &collector.group);
    stack.database.execute("alter table website_monitor.results add constraint never check (seq <= 10) not valid")?;
    stack
        .database
        .execute("alter table website_monitor.rejected add constraint small check (length(value) < 100000)")?;
    send_results(&stack, &[epoch], 20)?;
    eventually("it says that it waits", || {
        let log = collector.log();
        ensure!(log.contains("the database does not store: waiting for it"), "{log}");
        Ok(())
    });
    stack.database.execute(
        "alter table website_monitor.results drop constraint never;
         alter table website_monitor.rejected drop constraint small",
    )?;
    await_consumed(&stack, &collector.group);

    assert_eq!((rows(&stack)?, stack.database.count("website_monitor.rejected")?), (20, 0));
    Ok(())
}

#[test]
fn connections_that_are_cut_at_any_moment_cost_nothing() -> Result<()> {
    let stack = Stack::start()?;
    let epochs = epochs::<4>();
    let collector = stack.collector().set("batch.max_messages", 100).start()?;
    send_results(&stack, &epochs, 3_000)?;
    let (mut cuts, mut stored) = (0, 0);
    while stored < 12_000 {
        stack.database.proxy.cut();
        cuts += 1;
        // The next cut waits for new rows, because on a busy machine a batch may take longer than the time between two
        // looks.
        stored = eventually("more is stored since the last cut", || {
            let now = rows(&stack)?;
            ensure!(now > stored, "{now} rows\n{}", collector.log());
            Ok(now)
        });
    }
    assert!(cuts > 1);
    await_consumed(&stack, &collector.group);
    assert_eq!((rows(&stack)?, numbers(&stack)?), (12_000, 12_000));
    assert_eq!(stack.database.count("website_monitor.rejected")?, 0);
    assert_proven(&collector.verify()?);
    Ok(())
}
