//! Stores return to an earlier state: the database is set back to an older copy, or a Kafka log loses its tail.
//!
//! After that, every result that Kafka still has must be one row of its own monitor and agent. No person does
//! anything for this.

mod any_order;
mod databases;
mod dump;
mod failover;
mod logs;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use e2e::collector::Collector;
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::assert_proven;

/// Counts the results that a test sent, by agent and monitor. Each call of `send` is a run of its own.
#[derive(Default)]
struct Story {
    sent: BTreeMap<(String, String), u64>,
}

impl Story {
    /// Sends this number of results of a monitor in the name of an agent. The name decides the partition.
    fn send(&mut self, stack: &Stack, agent: &str, monitor: &str, count: u64) -> Result<()> {
        let epoch = Uuid::new_v4();
        let messages: Vec<Vec<u8>> =
            (1..=count).map(|seq| result(epoch, seq, agent, monitor).to_string().into()).collect();
        let all = messages.iter().map(|message| (Some(agent.as_bytes()), Some(message.as_slice())));
        stack.topic.produce_all(all)?;
        *self.sent.entry((agent.into(), monitor.into())).or_default() += count;
        Ok(())
    }

    /// Waits until each sent result is one row of its own monitor and agent, and no other row exists.
    fn await_told(&self, stack: &Stack, collector: &Collector) {
        eventually("all that was sent is a row of its own", || {
            let told = told(stack)?;
            ensure!(told == self.sent, "sent {:?}, told {told:?}\n{}", self.sent, collector.log());
            Ok(())
        });
    }

    /// Waits for the same rows as `await_told`, and asserts that `verify` proves them.
    fn assert_proven(&self, stack: &Stack, collector: &Collector) -> Result<()> {
        self.await_told(stack, collector);
        assert_proven(&collector.verify()?);
        Ok(())
    }
}

fn result(epoch: Uuid, seq: u64, agent: &str, monitor: &str) -> Value {
    let at = Timestamp::now() - SignedDuration::from_millis(seq as i64);
    json!({
        "v": 1, "kind": "result", "epoch": epoch, "seq": seq, "agent": agent, "monitor": monitor, "name": monitor,
        "url": "http://127.0.0.1/", "scheduled_at": at, "checked_at": at, "outcome": "success",
    })
}

/// Counts the stored results of each agent and monitor.
fn told(stack: &Stack) -> Result<BTreeMap<(String, String), u64>> {
    #[derive(Deserialize)]
    struct Told {
        agent: String,
        monitor: String,
        count: u64,
    }
    let rows: Vec<Told> = stack.database.rows(
        "select a.name as agent, m.id as monitor, count(*) as count
         from website_monitor.results r join website_monitor.monitors m using (monitor_id)
              join website_monitor.epochs e using (epoch_id) join website_monitor.agents a using (agent_id)
         group by 1, 2",
    )?;
    Ok(rows.into_iter().map(|row| ((row.agent, row.monitor), row.count)).collect())
}
