//! Results arrive for a day whose partition was dropped. They are new results, so the summaries of the day must count
//! them in addition to the dropped ones.

use anyhow::{Result, ensure};
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::summaries::{assert_true, await_summed_up, random_result};
use super::{assert_proven, await_consumed, epochs, rows, send};

/// The statements that keep a copy of each result, so that the copy outlives the partition.
const KEEP: &str = "
    create table website_monitor.kept (like website_monitor.results);
    create function website_monitor.keep() returns trigger language plpgsql
        as 'begin insert into website_monitor.kept select new.*; return null; end';
    create trigger keep after insert on website_monitor.results
        for each row execute function website_monitor.keep()";

const BRING_BACK: &str = "
    drop trigger keep on website_monitor.results;
    select website_monitor.make_results_partition(day)
    from (select distinct (checked_at at time zone 'UTC')::date as day from website_monitor.kept) days;
    insert into website_monitor.results select * from website_monitor.kept";

#[test]
fn what_comes_for_a_day_that_is_past_its_retention_is_added_to_what_its_summaries_were() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    eventually("the tables are there, with all of their columns", || {
        ensure!(collector.log().contains("brought the tables up to date"), collector.log());
        Ok(())
    });
    stack.database.execute(KEEP)?;
    let owner = stack.collector().set("retention.results", "2d").build()?;
    let upkeep = || -> Result<()> {
        let ended = owner.command(&["upkeep"])?;
        ensure!(ended.code() == Some(0), "{}", ended.stderr);
        Ok(())
    };
    let [epoch] = epochs();
    let mut random = StdRng::seed_from_u64(7);
    let now = Timestamp::now();
    let mut seq = 0;
    for round in 0..4 {
        let results: Vec<_> = (0..300)
            .map(|_| {
                seq += 1;
                let mut result = random_result(&mut random, epoch, seq);
                // All results lie within ten hours, so that each hour has results of several rounds.
                let at = now
                    - SignedDuration::from_hours(24 * 5)
                    - SignedDuration::from_secs(random.random_range(0..36_000));
                result["checked_at"] = at.to_string().into();
                result
            })
            .collect();
        send(&stack, results)?;
        // In every second round the partitions are dropped after everything is summed up. In the other rounds they are
        // dropped while results arrive.
        if round % 2 == 0 {
            await_consumed(&stack, &collector.group);
            await_summed_up(&stack);
        }
        upkeep()?;
    }
    await_consumed(&stack, &collector.group);
    upkeep()?;
    assert_eq!(rows(&stack)?, 0);
    assert_eq!(stack.database.count("website_monitor.kept")?, seq);
    await_summed_up(&stack);
    assert_proven(&collector.verify()?);

    collector.stop()?;
    stack.database.execute(BRING_BACK)?;
    assert_true(&stack)
}
