//! Collectors make the summaries of hours and days while something happens to them or to the results. The tests ask
//! whether the summaries agree with the results.

use std::fmt::Write;

use anyhow::{Result, ensure};
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{assert_proven, await_consumed, days_ago, epochs, numbers, result, rows, send};

/// The bounds between the documented buckets of response times, in microseconds.
const BOUNDS: [u64; 23] = [
    1_000, 1_600, 2_500, 4_000, 6_300, 10_000, 16_000, 25_000, 40_000, 63_000, 100_000, 160_000, 250_000, 400_000,
    630_000, 1_000_000, 1_600_000, 2_500_000, 4_000_000, 6_300_000, 10_000_000, 16_000_000, 25_000_000,
];
const ANSWERED: &str =
    "outcome in ('success', 'status_mismatch', 'pattern_mismatch', 'too_slow', 'certificate_expiring')";
const OUTCOMES: [&str; 7] =
    ["success", "success", "success", "timeout", "status_mismatch", "agent_error", "connection_refused"];

/// Returns a result of a random moment of the last three days.
pub(crate) fn random_result(random: &mut impl RngExt, epoch: Uuid, seq: u64) -> Value {
    let mut value = result(epoch, seq, Timestamp::now() - SignedDuration::from_secs(random.random_range(0..259_200)));
    value["outcome"] = json!(OUTCOMES.choose(random));
    // Some response times lie exactly on a bound.
    let us = BOUNDS.choose(random).map_or(0, |bound| bound + [0, 0, 1, 377][random.random_range(0..4)]);
    value["response_time_us"] = if random.random_ratio(1, 10) { Value::Null } else { json!(us - us % 2) };
    value
}

/// Returns the query that makes the summaries of past hours from the results. It is written differently from the
/// collector's own query.
fn fresh() -> String {
    let mut buckets = String::new();
    let ends = BOUNDS.iter().copied().chain([u64::MAX >> 1]);
    for (start, end) in [0].into_iter().chain(BOUNDS).zip(ends) {
        let comma = if buckets.is_empty() { "" } else { "," };
        let range = format!("response_time_us >= {start} and response_time_us < {end}");
        write!(buckets, "{comma} count(*) filter (where {ANSWERED} and {range})").expect("a String takes any text");
    }
    format!(
        "select monitor_id, date_trunc('hour', checked_at, 'UTC') as hour, agent_id, count(*) as checks,
                count(*) filter (where outcome = 'success') as success,
                count(*) filter (where outcome = 'timeout') as timeout,
                count(*) filter (where outcome = 'status_mismatch') as status_mismatch,
                count(*) filter (where outcome = 'connection_refused') as connection_refused,
                count(*) filter (where outcome = 'agent_error') as agent_error,
                count(response_time_us) filter (where {ANSWERED}) as answered,
                coalesce(sum(response_time_us) filter (where {ANSWERED}), 0) as sum,
                max(response_time_us) filter (where {ANSWERED}) as max,
                array[{buckets}]::integer[] as response_times
         from website_monitor.results join website_monitor.epochs using (epoch_id)
         where checked_at < date_trunc('hour', now() - interval '2 hours', 'UTC')
         group by 1, 2, 3"
    )
}

const SUMMED: &str = "select monitor_id, hour, agent_id, checks, success, timeout, status_mismatch,
                             connection_refused, agent_error, answered, response_time_sum_us, response_time_max_us,
                             response_times
                      from website_monitor.hourly where hour < date_trunc('hour', now() - interval '2 hours', 'UTC')";

/// Returns the query that makes the summaries of past days from the results.
fn days() -> String {
    format!(
        "select monitor_id, date_trunc('day', checked_at, 'UTC') as day, agent_id, count(*) as checks,
                count(*) filter (where outcome = 'success') as success,
                count(*) filter (where outcome = 'agent_error') as agent_error,
                count(response_time_us) filter (where {ANSWERED}) as answered,
                coalesce(sum(response_time_us) filter (where {ANSWERED}), 0) as sum,
                max(response_time_us) filter (where {ANSWERED}) as max,
                count(response_time_us) filter (where {ANSWERED} and response_time_us >= 100000
                                                  and response_time_us < 160000) as eleventh
         from website_monitor.results join website_monitor.epochs using (epoch_id)
         where checked_at < date_trunc('day', now() - interval '26 hours', 'UTC')
         group by 1, 2, 3"
    )
}

const DAYS: &str = "select monitor_id, day, agent_id, checks, success, agent_error, answered, response_time_sum_us,
                           response_time_max_us, response_times[12]
                    from website_monitor.daily where day < date_trunc('day', now() - interval '26 hours', 'UTC')";

/// Returns the number of kills: 6 in a usual run, and 60 in a long run.
fn rounds() -> u64 {
    if std::env::var("TORTURE").is_ok_and(|how| how == "full") { 60 } else { 6 }
}

pub(crate) fn await_summed_up(stack: &Stack) {
    let hours = "select hour as begins from website_monitor.rollup_due where hour <= now() - interval '61 minutes'";
    let days = "select day from website_monitor.daily_due where day <= now() - interval '25 hours 1 minute'";
    // A busy machine takes minutes for thousands of hours, so each wait ends as soon as fewer hours and days are due
    // than before.
    let mut left = u64::MAX;
    while left > 0 {
        left = eventually("less of what is over is due", || {
            let due = stack.database.count(&format!("({hours} union all {days}) due"))?;
            ensure!(due < left, "{due} hours and days");
            Ok(due)
        });
    }
}

pub(crate) fn assert_true(stack: &Stack) -> Result<()> {
    let (hours, days) = (fresh(), days());
    for (summed, fresh) in [(SUMMED, hours.as_str()), (DAYS, days.as_str())] {
        let differences: Vec<Value> = stack
            .database
            .rows(&format!("(({fresh}) except all ({summed})) union all (({summed}) except all ({fresh}))"))?;
        assert_eq!(differences, Vec::<Value>::new());
    }
    Ok(())
}

/// Asserts that readers of the summaries see all results that are stored at this moment.
fn assert_readers_miss_nothing(stack: &Stack) -> Result<()> {
    let of_all = |by: &str| {
        format!(
            "select sum(checks) from website_monitor.{by}(now() - interval '100 hours', now() + interval '3 hours')"
        )
    };
    let of_each = |by: &str| {
        format!(
            "select sum(checks) from website_monitor.monitors m cross join lateral website_monitor.{by}(
                 now() - interval '100 hours', now() + interval '3 hours', array[m.monitor_id])"
        )
    };
    let sums = ["checks_by_hour", "checks_by_day"].iter().flat_map(|by| [of_all(by), of_each(by)]);
    let sums: Vec<String> = sums.map(|sum| format!("coalesce(({sum}), 0)")).collect();
    let seen: Vec<Value> = stack.database.rows(&format!(
        "select (select count(*) from website_monitor.results) as rows, array[{}] as sums",
        sums.join(", ")
    ))?;
    let rows = seen[0]["rows"].clone();
    assert_eq!(seen[0]["sums"], Value::Array(vec![rows; sums.len()]));
    Ok(())
}

#[test]
fn summaries_are_what_the_results_say_after_kills_of_two_collectors_and_late_data() -> Result<()> {
    let stack = Stack::start()?;
    let mut random = StdRng::seed_from_u64(7);
    let epochs = epochs::<3>();
    let collectors: Vec<_> = [("one", 170), ("other", 290)]
        .iter()
        .map(|(group, size)| stack.collector().group(group).set("batch.max_messages", *size).start())
        .collect::<Result<_>>()?;
    let mut sent = 0;
    for round in 0..rounds() {
        let mut portion: Vec<Value> = (sent + 1..=sent + 500)
            .flat_map(|seq| epochs.map(|epoch| (epoch, seq)))
            .map(|(epoch, seq)| random_result(&mut random, epoch, seq))
            .collect();
        portion.shuffle(&mut random);
        sent += 500;
        send(&stack, portion)?;
        eventually("the tables are there", || assert_rows(&stack, 3 * 500 * round + 1));
        for _ in 0..5 {
            assert_readers_miss_nothing(&stack)?;
        }
        let collector = &collectors[random.random_range(0..2)];
        collector.kill();
        collector.start()?;
    }
    for collector in &collectors {
        await_consumed(&stack, &collector.group);
    }
    eventually("nothing that is over is due, and readers miss nothing meanwhile", || {
        assert_readers_miss_nothing(&stack)?;
        let due = stack.database.count("website_monitor.rollup_due where hour <= now() - interval '61 minutes'")?;
        ensure!(due == 0, "{due} marks");
        Ok(())
    });
    await_summed_up(&stack);

    assert_eq!((rows(&stack)?, numbers(&stack)?), (3 * sent, 3 * sent));
    assert_true(&stack)?;
    assert_proven(&collectors[0].verify()?);
    Ok(())
}

fn assert_rows(stack: &Stack, least: u64) -> Result<()> {
    let rows = rows(stack)?;
    ensure!(rows >= least, "{rows} rows");
    Ok(())
}

#[test]
fn late_results_rewrite_an_hour_that_was_summed_up() -> Result<()> {
    let stack = Stack::start()?;
    let [early, late] = epochs();
    let at = days_ago(2);
    let collector = stack.collector().start()?;
    send(&stack, (1..=5).map(|seq| result(early, seq, at)))?;
    await_consumed(&stack, &collector.group);
    await_summed_up(&stack);
    assert_true(&stack)?;

    send(&stack, (1..=7).map(|seq| result(late, seq, at)))?;
    send(&stack, (6..=9).map(|seq| result(early, seq, at)))?;
    await_consumed(&stack, &collector.group);
    await_summed_up(&stack);

    assert_true(&stack)?;
    assert_eq!(stack.database.count("website_monitor.hourly")?, 7 + 7);
    let late: Vec<Value> = stack.database.rows(
        "select sum(results) as results, count(distinct agent_id) as agents from website_monitor.late_arrivals",
    )?;
    assert_eq!(late, [json!({"results": 16, "agents": 2})]);
    Ok(())
}

#[test]
fn summaries_outlive_the_results_and_go_by_their_own_retention() -> Result<()> {
    let stack = Stack::start()?;
    let [epoch] = epochs();
    let collector = stack.collector().start()?;
    send(&stack, (1..=3).map(|seq| result(epoch, seq, days_ago(if seq == 3 { 9 } else { 5 }))))?;
    await_consumed(&stack, &collector.group);
    // The results are marked as not summed up before their partitions are past the retention. The collector must sum
    // them up before it drops the partitions.
    collector.stop()?;
    stack.database.execute(
        "insert into website_monitor.rollup_due select distinct date_trunc('hour', checked_at, 'UTC'), '{[1,100)}'::int4multirange
         from website_monitor.results; delete from website_monitor.hourly",
    )?;

    let strict = stack.collector().set("retention.results", "2d").set("retention.hourly", "7d").start()?;
    eventually("the results are gone", || {
        let rows = rows(&stack)?;
        ensure!(rows == 0, "{rows} rows\n{}", strict.log());
        Ok(())
    });

    eventually("the older summary is gone", || {
        let summaries = stack.database.count("website_monitor.hourly")?;
        ensure!(summaries == 2, "{summaries} summaries\n{}", strict.log());
        Ok(())
    });
    assert_proven(&strict.verify()?);
    Ok(())
}

#[test]
fn the_marks_of_a_running_hour_are_gathered() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let [epoch] = epochs();
    send(&stack, [result(epoch, 1, Timestamp::now())])?;
    await_consumed(&stack, &collector.group);
    stack.database.execute(
        "insert into website_monitor.rollup_due
         select date_trunc('hour', now(), 'UTC'), int4multirange(int4range(n, n + 1)) from generate_series(1, 150) n",
    )?;

    eventually("few marks are left", || {
        let marks = stack.database.count("website_monitor.rollup_due")?;
        ensure!(marks <= 2, "{marks} marks");
        Ok(())
    });

    let gathered = "website_monitor.rollup_due where monitors @> '{[1,151)}'";
    assert_eq!(stack.database.count(gathered)?, 1);
    Ok(())
}

#[test]
fn marks_of_what_is_packed_already_are_gathered_apart_from_the_others() -> Result<()> {
    let stack = Stack::start()?;
    assert_eq!(stack.collector().build()?.command(&["migrate"])?.code(), Some(0));
    // The begin of the hour is packed for all monitors, up to seven minutes after the full hour. For one of the
    // monitors, results of the minute before that arrived late.
    stack.database.execute(
        "insert into website_monitor.summary_blocks (is_day, begins, block, until, format, content)
         select false, hour, 0, hour + interval '7 minutes', 1, '\\x0000' from date_trunc('hour', now(), 'UTC') hour;
         insert into website_monitor.rollup_due
         select begins, '{[1,500)}'::int4multirange, until from website_monitor.summary_blocks
         union all
         select begins, '{[7,8)}'::int4multirange, until - interval '1 minute' from website_monitor.summary_blocks, generate_series(1, 150)",
    )?;

    let _collector = stack.collector().start()?;
    eventually("few marks are left", || {
        let marks = stack.database.count("website_monitor.rollup_due")?;
        ensure!(marks <= 2, "{marks} marks");
        Ok(())
    });

    let late: Vec<Value> = stack.database.rows(
        "select d.monitors::text as monitors from website_monitor.rollup_due d
         join website_monitor.summary_blocks b on b.begins = d.hour and d.since < b.until",
    )?;
    assert_eq!(late, [json!({"monitors": "{[7,8)}"})]);
    Ok(())
}

#[test]
fn a_mark_of_a_monitor_that_no_one_knows_keeps_no_one_from_summing_up() -> Result<()> {
    let stack = Stack::start()?;
    let _collector = stack.collector().start()?;
    eventually("the tables are there", || stack.database.count("website_monitor.rollup_due").map(drop));
    // The marks are inserted three times, so that the hour that goes on is also summed up.
    for _ in 0..3 {
        stack.database.execute(
            "insert into website_monitor.rollup_due (hour, monitors)
             select date_trunc('hour', now() - n * interval '50 minutes', 'UTC'), '{[1,2)}' from generate_series(0, 2) n",
        )?;
        await_summed_up(&stack);
    }
    Ok(())
}

#[test]
fn the_counts_of_what_came_late_are_gathered_and_none_is_lost() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let [epoch] = epochs();
    send(&stack, [result(epoch, 1, days_ago(1))])?;
    await_consumed(&stack, &collector.group);
    stack.database.execute(
        "insert into website_monitor.late_arrivals (hour, agent_id, results)
         select l.hour, l.agent_id, n from website_monitor.late_arrivals l, generate_series(1, 150) n",
    )?;

    let ended = collector.command(&["upkeep"])?;

    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let late: Vec<Value> = stack.database.rows(
        "select count(*) as rows, sum(results) as results, max(received_at) <= now() as is_past
         from website_monitor.late_arrivals",
    )?;
    assert_eq!(late, [json!({"rows": 1, "results": 1 + 150 * 151 / 2, "is_past": true})]);
    Ok(())
}
