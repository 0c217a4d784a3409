//! One agent sees a site fail. Another agent checks the site seldom and has not checked it since the failures began.

use anyhow::{Result, ensure};
use e2e::collector::Collector;
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{alerts, await_told, check, firing, resolved, send, start};
use crate::seen::api;

/// An agent that should check the shop at an interval, and the number of records that it sent.
struct Agent {
    name: &'static str,
    epoch: Uuid,
    records: u64,
}

impl Agent {
    fn start(stack: &Stack, name: &'static str, interval_ms: u64) -> Result<Agent> {
        let agent = Agent { name, epoch: Uuid::new_v4(), records: 1 };
        let mut first = start(agent.epoch, &["shop".into()]);
        first["monitors"][0]["interval_ms"] = json!(interval_ms);
        agent.send(stack, vec![first])?;
        Ok(agent)
    }

    /// Sends checks with this outcome. Each check was this number of seconds ago.
    fn checked(&mut self, stack: &Stack, seconds_ago: impl IntoIterator<Item = i64>, outcome: &str) -> Result<()> {
        let now = Timestamp::now();
        let of = |seconds| {
            self.records += 1;
            check(self.epoch, self.records, "shop", now - SignedDuration::from_secs(seconds), outcome)
        };
        let records = seconds_ago.into_iter().map(of).collect();
        self.send(stack, records)
    }

    fn send(&self, stack: &Stack, mut records: Vec<Value>) -> Result<()> {
        records.iter_mut().for_each(|record| record["agent"] = json!(self.name));
        send(stack, &records)
    }
}

/// Waits until the shop has this verdict, and until both agents see it like this: the one that checks often and the one
/// that checks seldom.
fn await_verdict(collector: &Collector, verdict: &str, often: &str, seldom: &str) {
    eventually(&format!("the shop is {verdict}"), || {
        let shop = api(collector, "monitors/shop")?;
        let (shop, latest) = (&shop["monitor"], &shop["monitor"]["latest"]);
        ensure!(shop["verdict"] == verdict, "{shop}");
        ensure!((&latest[0]["look"], &latest[1]["look"]) == (&json!(often), &json!(seldom)), "{shop}");
        Ok(())
    });
}

#[test]
fn a_success_of_before_the_failures_began_hides_no_outage_and_one_of_since_ends_it() -> Result<()> {
    let stack = Stack::start()?;
    let (mut often, mut seldom) = (Agent::start(&stack, "often", 20_000)?, Agent::start(&stack, "seldom", 3_600_000)?);
    seldom.checked(&stack, [30 * 60], "success")?;
    often.checked(&stack, [26 * 60], "success")?;
    often.checked(&stack, (0..=25).rev().map(|minute| minute * 60), "timeout")?;
    let collector = stack.collector().with_pages()?.set("alerts", alerts(&stack.web, json!({}))).start()?;
    assert_eq!(await_told(&stack.web, 1, &[&collector]), [firing(&["shop"])]);
    often.checked(&stack, [0], "timeout")?;
    await_verdict(&collector, "down", "failure", "earlier");
    let page = collector.get("/monitors/shop")?;
    assert!(page.contains("saw it succeed before others saw it fail"), "{page}");

    seldom.checked(&stack, [0], "success")?;
    often.checked(&stack, [0], "timeout")?;
    await_verdict(&collector, "partial", "failure", "success");
    assert_eq!(await_told(&stack.web, 2, &[&collector])[1], resolved("shop"));
    Ok(())
}
