//! What it costs to evaluate the rules of docs/alerts.md over a thousand monitors.

use anyhow::{Result, ensure};
use e2e::{scene, within};
use serde_json::{Value, json};

use super::{BOUND, Bench, Cost, say};

/// Evaluations that are measured: a minute of them.
const EVALUATIONS: usize = 6;

/// They tell no one: what is looked at is what there is to be told.
fn rules() -> Value {
    json!({"rules": [
        {"name": "site down", "what": "down"},
        {"name": "web down", "what": "down", "for": "5m", "seen_by": 2, "monitors": {"tags": {"team": "web"}}},
        {"name": "slow", "what": "slow", "over": "2s"},
        {"name": "certificate", "what": "certificate_expiring", "within": "14d"},
        {"name": "agent silent", "what": "agent_silent", "for": "3m"},
        {"name": "backlog", "what": "backlog", "over": 10_000},
        {"name": "dropped", "what": "dropped"},
    ]})
}

impl Bench {
    /// With rules, less what the same time costs without.
    pub(super) fn alerts(&self) -> Result<()> {
        scene::catch_up(&self.database)?;
        let (with, without) = (self.evaluations(rules())?, self.evaluations(json!({}))?);
        say("\nCPU ms of each evaluation:      database, collector")?;
        say(&format!(
            "  {:<28} {:>9.1} {:>10.1}",
            "seven rules",
            with.database - without.database,
            with.collector - without.collector
        ))
    }

    fn evaluations(&self, alerts: Value) -> Result<Cost> {
        let setup = self.collector("nothing")?.set("alerts", alerts).set("log.level", "debug");
        let collector = setup.start()?;
        let await_evaluations = |count: usize| {
            within(BOUND, "alerts are evaluated", || {
                let evaluated = collector.log().matches("evaluated alerts").count();
                ensure!(evaluated >= count, "{evaluated} times\n{}", collector.log());
                Ok(())
            })
        };
        // The first one writes all that is new.
        await_evaluations(2)?;
        let cost = self.cost(&collector, EVALUATIONS, || await_evaluations(2 + EVALUATIONS))?;
        collector.stop()?;
        Ok(cost)
    }
}
