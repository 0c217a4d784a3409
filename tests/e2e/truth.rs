//! Compares the web server's log with the table of results.
//!
//! A row says when its check began and how long the check took, and the checks of a monitor never overlap. So each
//! request lies in the time of exactly one row of its url, unless a result was lost or was stored twice.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use e2e::Stack;
use e2e::agent::Agent;
use e2e::collector::{Collector, Verification};
use e2e::eventually;
use e2e::web::Request;
use jiff::Timestamp;
use serde::Deserialize;

/// The slack of comparisons of times. The clocks are read one after the other, and times are cut to microseconds.
const SLACK_US: i64 = 1_000;

/// The longest time that a request may wait in the queue of the web server.
const QUEUED_US: i64 = 5_000_000;

/// The table of results.
pub(crate) const RESULTS: &str = "website_monitor.results";

/// A result as it is stored.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct Row {
    pub(crate) agent: String,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) epoch: String,
    pub(crate) seq: u64,
    pub(crate) began_us: i64,
    pub(crate) response_time_us: i64,
    pub(crate) outcome: String,
    pub(crate) status_code: Option<u16>,
    pub(crate) reason: Option<String>,
    pub(crate) pattern: Option<String>,
    pub(crate) pattern_matched: Option<bool>,
    pub(crate) error: Option<String>,
}

/// Returns all results, in an order that does not depend on the order of their arrival.
pub(crate) fn rows(stack: &Stack) -> Result<Vec<Row>> {
    stack.database.rows(
        "select a.name as agent, m.name, m.url, m.pattern, e.epoch, r.seq, \
         (extract(epoch from r.checked_at) * 1000000)::bigint as began_us, \
         coalesce(r.response_time_us, 0) as response_time_us, \
         r.outcome, r.status_code, r.reason, r.pattern_matched, r.error \
         from website_monitor.results r join website_monitor.monitors m using (monitor_id) \
         join website_monitor.epochs e using (epoch_id) join website_monitor.agents a using (agent_id) \
         order by e.epoch, r.seq, r.checked_at",
    )
}

/// Requests and rows that do not belong together one to one.
#[derive(Debug, Default)]
pub(crate) struct Mismatches {
    /// The requests without a row, by their place in the web server's log.
    pub(crate) requests_without_row: BTreeMap<usize, Request>,
    pub(crate) requests_with_several_rows: Vec<(Request, Vec<Row>)>,
    pub(crate) rows_without_request: Vec<Row>,
}

impl Row {
    /// Returns the time at which the check ended, in microseconds.
    fn ended_us(&self) -> i64 {
        self.began_us + self.response_time_us
    }

    /// Returns the latest time at which the web server may have seen the request. On a busy machine a request waits in
    /// the queue of the web server, and the server may see it after the check has given up waiting for the answer.
    fn seen_until_us(&self) -> i64 {
        let queued = if self.outcome == "timeout" { QUEUED_US } else { 0 };
        self.ended_us() + SLACK_US + queued
    }
}

impl Mismatches {
    /// Returns whether requests and rows belong together one to one.
    pub(crate) fn is_empty(&self) -> bool {
        self.requests_without_row.is_empty()
            && self.requests_with_several_rows.is_empty()
            && self.rows_without_request.is_empty()
    }
}

/// Looks for the row of each request, and for the request of each row whose url is the web server's.
///
/// A request may lie in the time of several rows, because the slack widens these times. Then the row that ended first
/// is taken. On a busy machine the next check of the monitor may begin within the slack after the check of the request.
pub(crate) fn mismatches(stack: &Stack) -> Result<Mismatches> {
    let ours = stack.web.url("/");
    let rows = rows(stack)?.into_iter().filter(|row| row.url.starts_with(&ours));
    Ok(compare(stack.web.requests(), rows, |path| stack.web.url(path)))
}

/// Compares requests, in the order of the web server's log, with rows in any order.
fn compare(requests: Vec<Request>, rows: impl Iterator<Item = Row>, url: impl Fn(&str) -> String) -> Mismatches {
    let mut unasked: BTreeMap<String, BTreeMap<i64, Vec<Row>>> = BTreeMap::new();
    for row in rows {
        unasked.entry(row.url.clone()).or_default().entry(row.began_us).or_default().push(row);
    }
    let mut requests: Vec<(usize, Request)> = requests.into_iter().enumerate().collect();
    requests.sort_by_key(|(_, request)| request.seen_at);
    let mut found = Mismatches::default();
    for (number, request) in requests {
        let at = request.seen_at.as_microsecond();
        let mut of_its_url = unasked.get_mut(&url(&request.path));
        let begun = of_its_url.iter().flat_map(|rows| rows.range(..=at + SLACK_US));
        let of_its_time = begun.filter(|(_, rows)| at <= rows[0].seen_until_us());
        let began = of_its_time.min_by_key(|(_, rows)| rows[0].ended_us()).map(|(began, _)| *began);
        let its_rows = began.and_then(|began| of_its_url.as_mut()?.remove(&began)).unwrap_or_default();
        match its_rows.len() {
            0 => drop(found.requests_without_row.insert(number, request)),
            1 => {}
            _ => found.requests_with_several_rows.push((request, its_rows)),
        }
    }
    found.rows_without_request.extend(unasked.into_values().flat_map(BTreeMap::into_values).flatten());
    found
}

/// Asserts that every request that the web server saw has exactly one row, and that no row is without a request.
#[track_caller]
pub(crate) fn assert_each_request_has_one_row(stack: &Stack) -> Result<()> {
    let found = mismatches(stack)?;
    assert!(found.is_empty(), "{found:#?}");
    assert_ne!(stack.web.total(), 0, "nothing was checked");
    assert_no_number_twice(stack)
}

/// Asserts that no sequence number has two rows. The key of the table would allow two rows with different times.
#[track_caller]
pub(crate) fn assert_no_number_twice(stack: &Stack) -> Result<()> {
    let numbers = stack.database.count(&format!("(select distinct epoch_id, seq from {RESULTS}) numbers"))?;
    assert_eq!(stack.database.count(RESULTS)?, numbers, "a number is there twice");
    Ok(())
}

/// Waits until this number of further requests came in.
pub(crate) fn await_requests(stack: &Stack, more: u64) {
    let before = stack.web.total();
    eventually(&format!("{more} more requests"), || {
        let now = stack.web.total();
        ensure!(now >= before + more, "{} more", now - before);
        Ok(())
    });
}

/// Waits until this number of further rows are stored.
#[track_caller]
pub(crate) fn await_rows(stack: &Stack, more: u64) -> Result<()> {
    let before = stack.database.count(RESULTS).unwrap_or(0);
    eventually(&format!("{more} more rows than {before}"), || {
        let now = stack.database.count(RESULTS)?;
        ensure!(now >= before + more, "{now} rows");
        Ok(())
    });
    Ok(())
}

/// Waits until the collector's group has committed the whole topic.
#[track_caller]
pub(crate) fn await_no_lag(stack: &Stack, collector: &Collector) {
    eventually("the collector has committed the whole topic", || {
        let lag = stack.topic.lag(&collector.group)?;
        ensure!(lag == 0, "lag {lag}\n{}", collector.log());
        Ok(())
    });
}

/// Waits until Kafka has all records of the agent's outbox up to a position.
#[track_caller]
pub(crate) fn await_delivered(agent: &Agent, position: u64) {
    eventually("what waited is delivered", || {
        let status = agent.outbox_status()?;
        ensure!(status.acknowledged_position >= position, "{status:?}\n{}", agent.log());
        Ok(())
    });
}

/// Stops the agent cleanly and waits until all of its records are stored.
#[track_caller]
pub(crate) fn settle(stack: &Stack, agent: &Agent, collector: &Collector) -> Result<()> {
    // The records are awaited before the stop, because a stop waits for Kafka for a few seconds only. The status is
    // asked for repeatedly, because an outbox that began to write a moment ago does not tell it yet.
    let position = eventually("the outbox tells how it stands", || Ok(agent.outbox_status()?.position));
    await_delivered(agent, position);
    let ended = agent.stop()?;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(agent.outbox_status()?.pending, 0, "left in the outbox:\n{}", ended.stderr);
    await_no_lag(stack, collector);
    Ok(())
}

/// Asserts that `verify` finds nothing missing, and that the counts of each epoch and of the total add up.
#[track_caller]
pub(crate) fn assert_verified(collector: &Collector) -> Result<Verification> {
    let verification = collector.verify()?;
    assert_eq!((verification.code, verification.total.missing), (Some(0), 0), "{verification:#?}");
    for account in verification.epochs.iter().chain([&verification.total]) {
        let known = account.stored + account.dropped + account.rejected + account.pending + account.missing;
        assert_eq!(account.issued, known, "{verification:#?}");
    }
    Ok(verification)
}

/// A late check on a busy machine ends right before the next check begins.
#[test]
fn a_request_at_the_end_of_its_check_is_not_taken_for_one_of_the_next_check() {
    let row = |began_us: i64, response_time_us: i64| Row {
        agent: "edge".into(),
        name: "site".into(),
        url: "/".into(),
        epoch: String::new(),
        seq: 0,
        began_us,
        response_time_us,
        outcome: "success".into(),
        status_code: None,
        reason: None,
        pattern: None,
        pattern_matched: None,
        error: None,
    };
    let request = |at: i64| Request {
        method: "GET".into(),
        path: "/".into(),
        headers: BTreeMap::new(),
        body: Vec::new(),
        seen_at: Timestamp::from_microsecond(at).expect("a time"),
        served_at: None,
    };
    let late_then_punctual = [row(10_000, 900), row(11_000, 2_000)];
    let found = compare(vec![request(10_800), request(12_500)], late_then_punctual.into_iter(), str::to_owned);
    assert!(found.is_empty(), "{found:#?}");
    let found = compare(vec![request(10_800), request(12_500)], [row(11_000, 2_000)].into_iter(), str::to_owned);
    assert_eq!(found.requests_without_row.len(), 1, "{found:#?}");

    let given_up = || Row { outcome: "timeout".into(), ..row(11_000, 2_000) };
    let found = compare(vec![request(90_000)], [given_up()].into_iter(), str::to_owned);
    assert!(found.is_empty(), "it is seen after its check gave up: {found:#?}");
    let found = compare(vec![request(90_000)], [row(11_000, 2_000)].into_iter(), str::to_owned);
    assert!(!found.is_empty(), "it was answered before it was seen");
}

#[test]
fn the_comparison_sees_a_lost_a_repeated_and_an_invented_row() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let site = stack.web.site("/", e2e::web::Answer::ok("").after(std::time::Duration::from_millis(20)));
    let agent = stack.agent().interval("200ms").monitor("site", site).start()?;
    await_requests(&stack, 5);
    settle(&stack, &agent, &collector)?;
    assert_each_request_has_one_row(&stack)?;

    let numbers: Vec<u64> = rows(&stack)?.iter().map(|row| row.seq).collect();
    let (lost, repeated, invented) = (numbers[1], numbers[2], numbers[3]);
    let copy = |seq: u64, later: &str| {
        format!(
            "insert into {RESULTS} (monitor_id, checked_at, epoch_id, seq, outcome, response_time_us, attempts) \
             select monitor_id, checked_at + interval '{later}', epoch_id, seq + 1000, outcome, response_time_us, attempts \
             from {RESULTS} where seq = {seq}"
        )
    };
    stack.database.execute(&format!("delete from {RESULTS} where seq = {lost}"))?;
    stack.database.execute(&copy(repeated, "0"))?;
    stack.database.execute(&copy(invented, "1 hour"))?;

    let found = mismatches(&stack)?;
    assert_eq!(found.requests_without_row.into_keys().collect::<Vec<_>>(), [1]);
    let several: Vec<Vec<u64>> =
        found.requests_with_several_rows.iter().map(|(_, rows)| rows.iter().map(|row| row.seq).collect()).collect();
    assert_eq!(several, [[repeated, repeated + 1000]]);
    assert_eq!(found.rows_without_request.iter().map(|row| row.seq).collect::<Vec<_>>(), [invented + 1000]);
    Ok(())
}
