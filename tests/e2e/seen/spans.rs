//! The configurations of agents change all the time. The test asks how much memory the public page needs then.

use super::*;

/// Gives each agent 500 monitors and a new list of them in each half hour of 30 days. In each list another monitor has
/// the shorter interval.
const SAID_AGAIN: &str = r#"
    insert into website_monitor.schedules (epoch_id, seq, at, event, revision, monitors, intervals_ms, tags)
    select e.epoch_id, 1000 + n, now() - (1440 - n) * interval '30 minutes', 'reload', n::text, m.ids, m.intervals, m.tags
    from website_monitor.epochs e, generate_series(0, 1439) n,
         lateral (select array_agg('m' || i), array_agg(case when i % 500 = n % 500 then 30000 else 60000 end::bigint),
                         array_agg('{"team": "web"}'::jsonb)
                  from generate_series(1, 500) i) m(ids, intervals, tags)"#;

const MOST_MEMORY_KIB: u64 = 200 * 1024;

#[test]
fn a_month_of_48_changes_a_day_costs_the_public_page_little_memory() -> Result<()> {
    let stack = Stack::start()?;
    let public = json!({"tags": {"team": "web"}});
    let collector = stack.collector().with_pages()?.set("http.public", public).start()?;
    for agent in ["a", "b", "c"] {
        Run::start(agent, -60).send(&stack, ..)?;
    }
    await_consumed(&stack, &collector);
    stack.database.execute(SAID_AGAIN)?;

    let of_one = "website_monitor.schedule_spans(now() - interval '30 days', now()) where monitor = 'm1'";
    assert_eq!(stack.database.count(of_one)?, 3 * 7, "for each agent three short intervals, and what lies around them");
    let page = eventually("the collector has time for the page", || {
        let page = collector.get("/public?period=30d")?;
        ensure!(page.starts_with("HTTP/1.1 200 "), "{page}\n{}", collector.log());
        Ok(page)
    });
    assert!(page.contains("m500"), "{page}");
    let process = procfs::process::Process::new(collector.id().context("the collector has ended")?.try_into()?)?;
    let peak = process.status()?.vmhwm.context("Linux tells")?;
    assert!(peak < MOST_MEMORY_KIB, "{peak} KiB");
    Ok(())
}
