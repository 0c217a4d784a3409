//! Status pages read packed summaries. The tests ask whether the pages agree with the results when summaries are
//! packed, when they are due, and when they are neither.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use e2e::collector::Collector;
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::summaries::{await_summed_up, random_result};
use super::{await_consumed, epochs, send};
use crate::seen::api;

const PERIODS: [&str; 3] = ["24h", "30d", "90d"];

/// Returns a random result. Half of the results are of the last two days, and the others are up to 85 days old. One
/// monitor has another url in its newest results.
fn random(random: &mut impl RngExt, epoch: Uuid, seq: u64) -> Value {
    let mut value = random_result(random, epoch, seq);
    let hours = if random.random_bool(0.5) { random.random_range(0..48) } else { random.random_range(48..2_040) };
    // The result is at least a minute old, so that it cannot count as still on its way.
    let seconds = hours * 3_600 + random.random_range(60..3_600);
    value["checked_at"] = json!(Timestamp::now() - SignedDuration::from_secs(seconds));
    if seq % 7 == 3 && hours < 30 {
        value["url"] = json!("http://127.0.0.1/moved");
    }
    value
}

/// Returns the report of an agent's start. It says that the agent checks each of seven monitors once a day from now on.
fn started(epoch: Uuid, seq: u64) -> Value {
    let monitors: Vec<Value> =
        (0..7).map(|n| json!({"id": format!("monitor {n}"), "interval_ms": 86_400_000})).collect();
    json!({
        "v": 1, "kind": "agent", "epoch": epoch, "seq": seq, "agent": format!("agent of {epoch}"), "event": "start",
        "at": Timestamp::now(), "version": "1", "highest_seq": seq - 1, "pending": 0, "outbox_bytes": 0,
        "monitors": monitors, "configuration": {"revision": "1", "faults": 0},
    })
}

/// Starts a collector that serves pages and has not read anything from the database for them yet.
fn reader(stack: &Stack) -> Result<Collector> {
    let collector = stack.collector().with_pages()?.start()?;
    eventually("pages are served", || collector.get("/healthz").map(drop));
    Ok(collector)
}

/// Asserts that the list of all monitors, which is read from packed summaries, agrees with the answer for each monitor,
/// which is read from rows. Asserts that both agree with the results.
fn assert_pages_are_true(stack: &Stack) -> Result<()> {
    let collector = reader(stack)?;
    for period in PERIODS {
        let told = api(&collector, &format!("monitors?period={period}"))?;
        let mut totals = BTreeMap::new();
        for monitor in told["monitors"].as_array().context("no monitors")? {
            let id = monitor["id"].as_str().context("no id")?;
            let path = format!("monitors/{}?period={period}", id.replace(' ', "%20"));
            let at_length = &api(&collector, &path)?["monitor"];
            for what in ["seen", "response_times", "url"] {
                assert_eq!(monitor[what], at_length[what], "{what} of {id} in {period}");
            }
            let (seen, times) = (&monitor["seen"], &monitor["response_times"]);
            let [checks, success, errors] = ["checks", "success", "agent_errors"].map(|count| seen[count].clone());
            totals.insert(id.to_owned(), json!([checks, success, errors, times["answered"], times["max_us"]]));
        }
        let of = |edge: &str| told[edge].as_str().map(str::to_owned).context("no window");
        let results: Vec<Value> = stack.database.rows(&format!(
            "select m.id, count(*) as checks, count(*) filter (where outcome = 'success') as success,
                    count(*) filter (where outcome = 'agent_error') as errors, count(us) as answered, max(us) as longest
             from website_monitor.results join website_monitor.monitors m using (monitor_id),
                  lateral (select case when outcome in ('success', 'status_mismatch', 'pattern_mismatch', 'too_slow',
                                                        'certificate_expiring') then response_time_us end) t(us)
             where checked_at >= '{}' and checked_at < '{}' group by 1",
            of("since")?,
            of("until")?
        ))?;
        let total = |row: &Value| {
            let counts = ["checks", "success", "errors", "answered", "longest"].map(|count| row[count].clone());
            Some((row["id"].as_str()?.to_owned(), json!(counts)))
        };
        assert_eq!(totals, results.iter().filter_map(total).collect(), "{period}");
    }
    collector.stop()?;
    Ok(())
}

/// Waits until the hours of two days and ninety days are packed.
fn await_packed(stack: &Stack) {
    await_summed_up(stack);
    eventually("all that pages show is packed", || {
        let packed = "(select distinct is_day, begins from website_monitor.summary_blocks where format > 0) packed";
        let packed = stack.database.count(packed)?;
        ensure!(packed >= 48 + 89, "{packed} are packed");
        // Hours and days without rows are packed all at once. Hours and days with rows are packed one by one.
        let left = stack.database.count(
            "(select false as is_day, hour as begins from website_monitor.hourly
              where hour between now() - interval '49 hours' and now() - interval '61 minutes'
              union
              select true, day from website_monitor.daily where day <= now() - interval '25 hours 1 minute') w
             where not exists (
                 select from website_monitor.summary_blocks b
                 where b.is_day = w.is_day and b.begins = w.begins and b.format > 0
             )",
        )?;
        ensure!(left == 0, "{left} with rows are not packed");
        Ok(())
    });
}

#[test]
fn pages_tell_what_the_results_say_whatever_is_packed_or_due() -> Result<()> {
    let stack = Stack::start()?;
    // Some days of this time zone have 23 or 25 hours.
    let zone = format!("alter database {} set timezone = 'Europe/Berlin'", stack.database.name());
    stack.database.execute(&zone)?;
    // The monitors are in two blocks, and one further monitor has an id that is far from all others.
    assert_eq!(stack.collector().build()?.command(&["migrate"])?.code(), Some(0));
    stack.database.execute(
        "alter table website_monitor.monitors alter monitor_id restart with 509;
         insert into website_monitor.monitors (monitor_id, id, name, url, hash) overriding system value
         select 2000000000, 'far', 'far', 'far', website_monitor.monitor_hash('far', 'far', 'far', null)",
    )?;
    let mut dice = StdRng::seed_from_u64(11);
    let [one, other, late] = epochs();
    let collector = stack.collector().start()?;
    let portion = |dice: &mut StdRng, epochs: &[Uuid], seqs: std::ops::Range<u64>| {
        let of = |(seq, epoch)| random(dice, epoch, seq);
        seqs.flat_map(|seq| epochs.iter().map(move |epoch| (seq, *epoch))).map(of).collect::<Vec<_>>()
    };
    send(&stack, portion(&mut dice, &[one, other], 1..1_500))?;
    send(&stack, [started(one, 1_500)])?;
    await_consumed(&stack, &collector.group);
    assert_pages_are_true(&stack)?;
    await_packed(&stack);
    assert_pages_are_true(&stack)?;

    // Late results arrive. The pages are compared while the marks of the late results exist and after they are gone.
    // Some of the results belong to hours that still go on and whose begin is packed.
    send(&stack, portion(&mut dice, &[late], 1..300))?;
    await_consumed(&stack, &collector.group);
    assert_pages_are_true(&stack)?;
    await_packed(&stack);
    assert_pages_are_true(&stack)?;
    stack.database.execute("update website_monitor.summary_blocks set packed_at = packed_at - interval '1 hour'")?;
    eventually("the begin of the hours that go on is packed again", || {
        let late = stack.database.count(
            "website_monitor.rollup_due d join website_monitor.summary_blocks b on b.begins = d.hour and not b.is_day
             where coalesce(d.since, d.hour) < b.until",
        )?;
        ensure!(late == 0, "{late} marks");
        Ok(())
    });
    assert_pages_are_true(&stack)?;

    // The blocks are changed as if there had been too much to pack. The pages then read the rows and the results.
    stack.database.execute("update website_monitor.summary_blocks set until = begins, content = '\\x0000'")?;
    assert_pages_are_true(&stack)?;

    // A collector for which an hour still went on may have packed the begin of the hour with nothing in it. The hour is
    // no longer due, so the pages read its rows.
    let mut packer = session(&stack)?;
    packer.batch_execute(LOCK)?;
    packer.batch_execute(
        "update summary_blocks set until = begins + interval '20 minutes', content = '\\x0000'
         where not is_day and begins < now() - interval '1 hour' and not exists (select from rollup_due where hour = begins)",
    )?;
    assert_pages_are_true(&stack)?;
    drop(packer);

    // Blocks of another version count as absent until they are packed again. Hours that no collector packed are read
    // from the rows.
    stack.database.execute("update website_monitor.summary_blocks set format = 0, content = '\\x00' where is_day")?;
    stack.database.execute("delete from website_monitor.summary_blocks where not is_day")?;
    assert_pages_are_true(&stack)?;
    await_packed(&stack);
    assert_pages_are_true(&stack)
}

/// Returns the number of checks of the first monitor, as a collector shows it.
fn checks(stack: &Stack, period: &str) -> Result<Value> {
    let reader = reader(stack)?;
    let told = api(&reader, &format!("monitors?period={period}"))?["monitors"][0]["seen"]["checks"].clone();
    reader.stop()?;
    Ok(told)
}

/// The statement that takes the lock of collectors that sum up and pack.
const LOCK: &str = "select pg_advisory_lock(hashtextextended('website_monitor', 70316262736))";

fn session(stack: &Stack) -> Result<PgConnection> {
    let mut session = PgConnection::establish(&stack.database.url())?;
    session.batch_execute("set search_path = website_monitor")?;
    Ok(session)
}

#[test]
fn a_summary_that_anybody_changes_is_shown_at_once_and_its_day_is_made_again() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch] = epochs();
    let collector = stack.collector().start()?;
    let at = |seq| Timestamp::now() - SignedDuration::from_hours(if seq % 2 == 0 { 72 } else { 5 });
    send(&stack, (1..=100).map(|seq| super::result(epoch, seq * 7, at(seq))).chain([started(epoch, 701)]))?;
    await_consumed(&stack, &collector.group);
    await_packed(&stack);

    let checks = |period| checks(&stack, period);
    // The rows are changed without the triggers. The pages must not show the change, because they do not read the rows
    // of packed hours and days.
    let behind_its_back = |statement: &str| {
        let all = ["hourly", "daily"].map(|table| statement.replace("summaries", &format!("website_monitor.{table}")));
        all.iter().try_for_each(|statement| stack.database.execute(statement))
    };
    behind_its_back(
        "alter table summaries disable trigger user; update summaries set checks = checks + 1000;
                     alter table summaries enable trigger user",
    )?;
    assert_eq!((checks("24h")?, checks("30d")?), (json!(50), json!(100)));

    // The rows are changed as by a collector of an earlier version, which does not know packed summaries.
    collector.kill();
    stack
        .database
        .execute("update website_monitor.hourly set checks = checks + 1 where hour > now() - interval '1 day'")?;
    let due = stack.database.count("website_monitor.daily_due where monitors @> 1")?;
    assert!(due > 0, "its day is not due");
    assert_eq!(checks("24h")?, json!(1_051));
    Ok(())
}

#[test]
fn a_day_that_no_one_packed_yet_is_told_as_its_rows_have_it() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch] = epochs();
    let collector = stack.collector().start()?;
    let at = Timestamp::now() - SignedDuration::from_hours(72);
    send(&stack, (1..=100).map(|seq| super::result(epoch, seq * 7, at)).chain([started(epoch, 701)]))?;
    await_consumed(&stack, &collector.group);
    await_packed(&stack);
    collector.kill();

    // The hours are deleted and the lock is held, so that no collector can pack anything now.
    session(&stack)?.batch_execute("delete from hourly")?;
    let mut packer = session(&stack)?;
    packer.batch_execute(LOCK)?;
    packer.batch_execute("delete from summary_blocks")?;
    assert_eq!(checks(&stack, "30d")?, json!(100));
    Ok(())
}

/// Makes tables with one hourly and one daily summary in each of two blocks.
fn tables() -> Result<Stack> {
    let stack = Stack::start()?;
    assert_eq!(stack.collector().build()?.command(&["migrate"])?.code(), Some(0));
    session(&stack)?.batch_execute(
        "insert into hourly
         select monitor_id, '2026-11-20 05:00Z', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9, 9, '{1}'
         from unnest('{511,512}'::integer[]) monitor_id;
         insert into daily
         select monitor_id, '2026-11-20 00:00Z', 1, 1, 1, 0, 1, 9, 9, '{1}' from unnest('{511,512}'::integer[]) monitor_id",
    )?;
    Ok(stack)
}

#[test]
fn the_begin_of_an_hour_is_told_again_when_anybody_changes_its_results() -> Result<()> {
    let stack = Stack::start()?;
    assert_eq!(stack.collector().build()?.command(&["migrate"])?.code(), Some(0));
    // The blocks are those of an hour that goes on, of an hour that is over, and of the day of that hour.
    let pack = "
        insert into website_monitor.summary_blocks (is_day, begins, block, until, format, content)
        select false, hour, block, hour + interval '20 minutes', 1, ''
        from date_trunc('hour', now(), 'UTC') hour, generate_series(0, 1) block
        union all values (false, '2026-11-20 05:00Z'::timestamptz, 0, '2026-11-20 06:00Z'::timestamptz, 1, ''::bytea),
                         (true, '2026-11-20 00:00Z', 0, '2026-11-21 00:00Z', 1, '')";
    let blocks = || stack.database.count("website_monitor.summary_blocks");
    for change in ["update results set outcome = 'timeout'", "delete from results where seq = 7", "truncate results"] {
        stack.database.execute("delete from website_monitor.summary_blocks")?;
        stack.database.execute(pack)?;
        session(&stack)?.batch_execute(change)?;
        assert_eq!(blocks()?, 2, "{change}");
    }

    // This session does not see blocks that were packed after its transaction began.
    let mut other = session(&stack)?;
    other.batch_execute("insert into monitors (id, name, url, hash) values ('1', '1', '1', gen_random_uuid())")?;
    other.batch_execute("begin isolation level repeatable read; select from results")?;
    stack.database.execute("delete from website_monitor.summary_blocks")?;
    stack.database.execute(pack)?;
    let outcome = other.batch_execute("delete from results");
    assert!(outcome.is_err_and(|error| error.to_string().contains("could not serialize")));
    other.batch_execute("rollback")?;
    other.batch_execute("begin isolation level repeatable read; delete from results; commit")?;
    assert_eq!(blocks()?, 2);
    Ok(())
}

const PACK: &str = "
    insert into website_monitor.summary_blocks (is_day, begins, block, until, format, content)
    select is_day, begins, block, begins + interval '1 day', 1, ''
    from (values (false, '2026-11-20 05:00Z'::timestamptz), (false, '2026-11-20 06:00Z'), (true, '2026-11-20 00:00Z'),
                 (true, '2026-11-21 00:00Z')) packed(is_day, begins), generate_series(0, 1) block";

#[test]
fn no_block_outlives_a_change_of_what_it_is_of() -> Result<()> {
    let stack = tables()?;
    for (change, left) in [
        ("update hourly set checks = 2 where monitor_id = 512", 7),
        ("update daily set checks = 2 where monitor_id = 512", 7),
        ("update hourly set hour = hour + interval '1 hour' where monitor_id = 511", 6),
        ("update daily set day = day + interval '24 hours' where monitor_id = 511", 6),
        ("update hourly set monitor_id = 512 where monitor_id = 511", 6),
        ("update daily set monitor_id = 512 where monitor_id = 511", 6),
        ("update hourly set checks = 3 where monitor_id = 513", 8),
        ("delete from hourly where hour = '2026-11-20 05:00Z'", 7),
        ("delete from daily where day = '2026-11-20 00:00Z'", 7),
        ("truncate hourly", 4),
        ("truncate daily", 4),
    ] {
        stack.database.execute("delete from website_monitor.summary_blocks")?;
        stack.database.execute(PACK)?;
        session(&stack)?.batch_execute(change)?;
        assert_eq!(stack.database.count("website_monitor.summary_blocks")?, left, "{change}");
    }
    Ok(())
}

#[test]
fn a_transaction_that_does_not_see_what_was_packed_since_it_began_fails() -> Result<()> {
    let stack = tables()?;
    for (isolation, table) in [("repeatable read", "hourly"), ("serializable", "daily")] {
        let mut session = session(&stack)?;
        session.batch_execute(&format!("begin isolation level {isolation}; select from {table}"))?;
        stack.database.execute("delete from website_monitor.summary_blocks")?;
        stack.database.execute(PACK)?;
        let outcome = session.batch_execute(&format!("update {table} set checks = checks + 1"));
        assert!(outcome.is_err_and(|error| error.to_string().contains("could not serialize")));
        session.batch_execute("rollback")?;
        session.batch_execute(&format!("begin isolation level {isolation}; update {table} set checks = 9; commit"))?;
        assert_eq!(stack.database.count("website_monitor.summary_blocks")?, 6);
    }
    Ok(())
}

#[test]
fn anyone_who_changes_summaries_waits_for_those_who_make_them_without_holding_a_row() -> Result<()> {
    let stack = tables()?;
    let mut maker = session(&stack)?;
    maker.batch_execute(LOCK)?;
    let mut other = session(&stack)?;
    let change = std::thread::spawn(move || other.batch_execute("delete from hourly; delete from daily"));
    eventually("it waits", || {
        let here = "(select oid from pg_database where datname = current_database())";
        let waiting = format!("pg_locks where locktype = 'advisory' and not granted and database = {here}");
        let waiting = stack.database.count(&waiting)?;
        ensure!(waiting > 0, "no one waits");
        Ok(())
    });
    maker.batch_execute("begin; update hourly set checks = 5; update daily set checks = 5; commit")?;
    maker.batch_execute("select pg_advisory_unlock_all()")?;
    change.join().expect("the change panicked")?;
    assert_eq!(stack.database.count("website_monitor.hourly")?, 0);
    Ok(())
}
