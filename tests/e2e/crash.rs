//! Daemons are killed. The tests ask whether every result arrives, and whether no result arrives twice.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use e2e::collector::Collector;
use e2e::proxy::Proxy;
use e2e::web::Answer;
use e2e::{Stack, eventually};
use serde::Deserialize;

use crate::truth::{
    Mismatches, RESULTS, assert_each_request_has_one_row, assert_no_number_twice, assert_verified, await_no_lag,
    await_requests, mismatches, settle,
};

const KILLS: usize = 10;
const SITES: [&str; 4] = ["/a", "/b", "/c", "/d"];

#[derive(Deserialize)]
struct Epoch {
    epoch: String,
    previous: Option<String>,
    previous_highest: Option<u64>,
}

/// A check that is under way is lost with its agent, because it has no result yet. Only the last request of each site
/// before the kill can be such a check. The results of finished checks are in the outbox or in its journal.
#[test]
fn an_agent_killed_ten_times_while_kafka_is_away_loses_nothing_that_its_outbox_has_taken() -> Result<()> {
    let stack = Stack::start()?;
    let port = stack.kafka.bootstrap_servers().rsplit(':').next().context("a port")?.parse()?;
    let to_kafka = Proxy::start("127.0.0.1", port)?;
    to_kafka.refuse();
    let mut setup = stack.agent().interval("200ms");
    for path in SITES {
        setup = setup.monitor(path, stack.web.site(path, Answer::ok("")));
    }
    let agent = setup.set("kafka.bootstrap_servers", format!("127.0.0.1:{}", to_kafka.port())).build()?;
    let collector = stack.collector().start()?;

    let mut ends: Vec<(String, u64)> = Vec::new();
    let mut runs = Vec::new();
    let mut not_taken = 0;
    for _ in 0..KILLS {
        let first = stack.web.total() as usize;
        agent.start()?;
        await_requests(&stack, 5);
        agent.kill();
        let status = agent.outbox_status()?;
        assert_eq!(status.acknowledged_position, 0, "Kafka was not away");
        // The next start takes the records of the journal into the outbox, as the last records of this epoch.
        let end = status.highest_seq + status.in_journal;
        ends.push((status.epoch.context("an epoch")?.to_string(), end));
        stack.web.await_idle();
        let requests = first..stack.web.total() as usize;
        // The outbox has taken the report of the start in addition to the results.
        not_taken += requests.len() - (end as usize - 1);
        runs.push(requests);
    }
    to_kafka.open()?;
    agent.start()?;
    await_requests(&stack, 5);
    settle(&stack, &agent, &collector)?;

    let found = mismatches(&stack)?;
    assert_eq!(found.requests_without_row.len(), not_taken, "{found:#?}");
    assert_lost_are_the_last(&stack, &runs, &found);
    assert!(found.requests_with_several_rows.is_empty() && found.rows_without_request.is_empty(), "{found:#?}");
    assert_no_number_twice(&stack)?;

    // The outbox took only results and the agent's own reports, and all of these records were issued and stored.
    let verification = assert_verified(&collector)?;
    let taken = agent.outbox_status()?.position;
    assert_eq!((verification.total.issued, verification.total.stored), (taken, taken), "{verification:#?}");
    let reports = KILLS as u64 + 2;
    assert_eq!(stack.database.count(RESULTS)?, taken - reports, "one report at each start, one at the stop");

    // Each run is an epoch that names the epoch before it and the last number of that epoch.
    let epochs: Vec<Epoch> = stack
        .database
        .rows("select epoch, previous, previous_highest from website_monitor.epochs order by reported_at, epoch_id")?;
    assert_eq!(epochs.len(), KILLS + 1);
    let chain: BTreeMap<_, _> =
        epochs.iter().map(|epoch| (epoch.previous.clone().zip(epoch.previous_highest), &epoch.epoch)).collect();
    let mut before = None;
    for end in ends {
        assert_eq!(chain.get(&before), Some(&&end.0), "the chain breaks after {before:?}");
        before = Some(end);
    }
    assert!(chain.contains_key(&before), "the last run does not follow {before:?}");
    Ok(())
}

/// With 200 checks a second, several finished checks wait for their commit at any moment.
#[test]
fn an_agent_of_200_checks_a_second_that_is_killed_loses_none_that_has_finished() -> Result<()> {
    let stack = Stack::start()?;
    let port = stack.kafka.bootstrap_servers().rsplit(':').next().context("a port")?.parse()?;
    let to_kafka = Proxy::start("127.0.0.1", port)?;
    to_kafka.refuse();
    let mut setup = stack.agent().interval("100ms");
    for n in 0..20 {
        let path = format!("/{n}");
        setup = setup.monitor(&path, stack.web.site(&path, Answer::ok("")));
    }
    let agent = setup.set("kafka.bootstrap_servers", format!("127.0.0.1:{}", to_kafka.port())).build()?;
    let collector = stack.collector().start()?;
    let (mut runs, mut in_journal) = (Vec::new(), 0);
    for _ in 0..6 {
        let first = stack.web.total() as usize;
        agent.start()?;
        await_requests(&stack, 200);
        agent.kill();
        stack.web.await_idle();
        runs.push(first..stack.web.total() as usize);
        in_journal += agent.outbox_status()?.in_journal;
    }
    assert!(in_journal > 0, "no result waited for its commit");
    to_kafka.open()?;
    agent.start()?;
    await_requests(&stack, 20);
    settle(&stack, &agent, &collector)?;
    let found = mismatches(&stack)?;
    assert_lost_are_the_last(&stack, &runs, &found);
    assert!(found.requests_with_several_rows.is_empty() && found.rows_without_request.is_empty(), "{found:#?}");
    assert_no_number_twice(&stack)?;
    assert_verified(&collector)?;
    Ok(())
}

#[test]
fn an_agent_killed_while_it_publishes_sends_again_and_nothing_is_stored_twice() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let mut setup = stack.agent().interval("250ms");
    for path in SITES {
        setup = setup.monitor(path, stack.web.site(path, Answer::ok("")));
    }
    let agent = setup.start()?;
    let mut runs = Vec::new();
    let mut first = 0;
    for _ in 0..3 {
        await_requests(&stack, 20);
        agent.kill();
        stack.web.await_idle();
        let end = stack.web.total() as usize;
        runs.push(first..end);
        first = end;
        agent.start()?;
    }
    await_requests(&stack, 20);
    settle(&stack, &agent, &collector)?;

    let verification = assert_verified(&collector)?;
    assert_eq!(verification.total.stored, agent.outbox_status()?.position, "{verification:#?}");
    let found = mismatches(&stack)?;
    assert_lost_are_the_last(&stack, &runs, &found);
    assert!(found.requests_with_several_rows.is_empty() && found.rows_without_request.is_empty(), "{found:#?}");
    assert_no_number_twice(&stack)
}

/// Asserts that each request without a row belongs to a killed run and is the last request of its site in that run.
fn assert_lost_are_the_last(stack: &Stack, runs: &[Range<usize>], found: &Mismatches) {
    let requests = stack.web.requests();
    for number in found.requests_without_row.keys() {
        let run = runs.iter().find(|run| run.contains(number));
        let run = run.unwrap_or_else(|| panic!("request {number} is of no killed run: {found:#?}"));
        let later = (number + 1..run.end).find(|later| requests[*later].path == requests[*number].path);
        assert_eq!(later, None, "request {number} is not the last of its site: {found:#?}");
    }
}

#[test]
fn a_collector_killed_before_the_commit_has_committed_no_offsets_and_its_heir_stores_everything() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let mut commits = HeldCommits::new(&stack)?;
    let agent = stack.agent().interval("100ms").monitor("site", stack.web.site("/", Answer::ok(""))).start()?;
    commits.await_one(&stack, &collector);
    // A collector that commits offsets before the rows are committed would do so during this wait.
    await_requests(&stack, 10);
    assert_eq!(stack.topic.committed(&collector.group)?.iter().sum::<i64>(), 0, "offsets were committed");

    collector.kill();
    commits.let_go()?;
    let heir = stack.collector().start()?;
    await_requests(&stack, 5);
    settle(&stack, &agent, &heir)?;

    assert_each_request_has_one_row(&stack)?;
    assert_verified(&heir)?;
    Ok(())
}

/// A collector that is stopped while the database commits cannot commit any offset before it is killed.
#[test]
fn a_collector_killed_between_the_commit_and_the_offsets_reads_again_and_stores_nothing_twice() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let mut commits = HeldCommits::new(&stack)?;
    let agent = stack.agent().interval("100ms").monitor("site", stack.web.site("/", Answer::ok(""))).start()?;
    commits.await_one(&stack, &collector);
    collector.pause();
    let in_ledger = "website_monitor.epochs where accounted <> '{}'";
    assert_eq!(stack.database.count(in_ledger)?, 0, "it is committed already");
    commits.let_go()?;
    eventually("the batch is committed", || {
        ensure!(stack.database.count(in_ledger)? == 1, "not yet");
        Ok(())
    });
    collector.kill();
    assert_eq!(stack.topic.committed(&collector.group)?.iter().sum::<i64>(), 0, "offsets were committed");

    // No offset was committed, so the next collector reads all messages again whose numbers are in the ledger now.
    let heir = stack.collector().start()?;
    await_requests(&stack, 5);
    settle(&stack, &agent, &heir)?;

    assert_each_request_has_one_row(&stack)?;
    assert_verified(&heir)?;
    Ok(())
}

/// Holds commits: a deferred trigger waits for a lock, so that a commit lasts as long as the test holds the lock.
struct HeldCommits {
    lock: PgConnection,
}

impl HeldCommits {
    fn new(stack: &Stack) -> Result<HeldCommits> {
        eventually("the tables are there", || stack.database.count(RESULTS));
        stack.database.execute(
            "create function wait_for_the_test() returns trigger language plpgsql
                 as 'begin perform pg_advisory_xact_lock_shared(42); return null; end';
             create constraint trigger wait_for_the_test after update on website_monitor.epochs
                 deferrable initially deferred for each row execute function wait_for_the_test()",
        )?;
        let mut lock = PgConnection::establish(&stack.database.url())?;
        lock.batch_execute("select pg_advisory_lock(42)")?;
        Ok(HeldCommits { lock })
    }

    fn await_one(&self, stack: &Stack, collector: &Collector) {
        // Every database of the server has its own lock 42. Collectors also wait for other locks, such as the lock of
        // the collector that makes the tables.
        let waiting = "pg_locks l join pg_database d on d.oid = l.database \
                       where d.datname = current_database() and l.locktype = 'advisory' and l.objid = 42 and not l.granted";
        eventually("a batch is being committed", || {
            let waiting = stack.database.count(waiting)?;
            ensure!(waiting == 1, "{waiting} wait\n{}", collector.log());
            Ok(())
        });
    }

    fn let_go(&mut self) -> Result<()> {
        Ok(self.lock.batch_execute("select pg_advisory_unlock(42)")?)
    }
}

#[test]
fn a_collector_killed_again_and_again_stores_everything_once() -> Result<()> {
    let stack = Stack::start()?;
    let agent = stack.agent().interval("50ms").monitor("site", stack.web.site("/", Answer::ok(""))).start()?;
    let collector = stack.collector().set("batch.max_wait", "10ms").build()?;
    collector.start()?;
    eventually("the tables are there", || stack.database.count(RESULTS));
    for _ in 0..3 {
        let before = stack.database.count(RESULTS)?;
        eventually("rows go on", || {
            let now = stack.database.count(RESULTS)?;
            ensure!(now > before, "{now} rows\n{}", collector.log());
            Ok(())
        });
        collector.kill();
        collector.start()?;
    }
    settle(&stack, &agent, &collector)?;
    await_no_lag(&stack, &collector);
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&collector)?;
    Ok(())
}
