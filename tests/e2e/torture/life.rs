//! Runs one agent many times. Each run ends by a kill, except the last one, which ends by a clean stop.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::Stack;
use e2e::agent::Agent;
use e2e::collector::Collector;
use e2e::ports::free_port;
use e2e::web::Answer;
use rand::RngExt;
use serde_json::{Value, json};

use super::traces::{Counts, Traces};
use crate::truth::{await_delivered, settle};

const SITES: usize = 8;
const INTERVAL: &str = "100ms";
/// The timeout of a check. It is long enough for a busy machine, because a result without an answer names no request.
const TIMEOUT: &str = "60s";
/// The length of the noise in characters. A result has this noise twice in its tags.
const NOISE: usize = 2_000;
/// The time between two looks at the outbox's directory while a run waits for a change in it.
const LOOK: Duration = Duration::from_micros(500);

/// The moment at which a run ends.
enum Moment {
    /// The run ends this time after its start.
    After(Duration),
    /// The run ends as soon as an entry of the outbox's directory appears or disappears, or after this time at the
    /// latest.
    Change(Duration),
}

impl Moment {
    fn any() -> Moment {
        let mut rng = rand::rng();
        match rng.random_range(0..10) {
            // Most of these kills come while the agent opens its outbox.
            0..2 => Moment::After(Duration::from_millis(rng.random_range(0..60))),
            2..5 => Moment::Change(Duration::from_millis(rng.random_range(100..2_500))),
            _ => Moment::After(Duration::from_millis(rng.random_range(20..2_000))),
        }
    }
}

pub(super) struct Life<'a> {
    stack: &'a Stack,
    agent: Agent,
    number: usize,
    runs: usize,
    pub(super) counts: Counts,
}

impl<'a> Life<'a> {
    pub(super) fn begin(stack: &'a Stack, number: usize) -> Result<Life<'a>> {
        for site in 0..SITES {
            stack.web.site(&path(number, site), Answer::ok("").numbered().after(Duration::from_millis(site as u64)));
        }
        let setup = stack.agent().name(&format!("edge-{number}")).interval(INTERVAL);
        let agent = setup.set("outbox.max_size", "16MiB").build()?;
        Ok(Life { stack, agent, number, runs: 0, counts: Counts::default() })
    }

    /// Starts the agent and kills it this number of times.
    pub(super) fn suffer(&mut self, kills: usize) -> Result<()> {
        let outbox = self.agent.directory().join("outbox");
        let mut before = Traces::look(&outbox);
        for kill in 0..kills {
            // Four consecutive runs of every twelve reach no Kafka and deliver nothing.
            self.start(!matches!(kill % 12, 4..8))?;
            match Moment::any() {
                Moment::After(time) => thread::sleep(time),
                Moment::Change(most) => {
                    let deadline = Instant::now() + most;
                    while Instant::now() < deadline && !Traces::look(&outbox).differs_from(&before) {
                        thread::sleep(LOOK);
                    }
                }
            }
            ensure!(self.agent.is_running(), "it ended by itself:\n{}", self.agent.log());
            self.agent.kill();
            let after = Traces::look(&outbox);
            self.counts.learn(&before, &after);
            before = after;
        }
        Ok(())
    }

    /// Makes a last run that ends by a clean stop, after all records of the outbox were delivered. Waits until they are
    /// stored, and returns how many records the outbox took in all runs.
    pub(super) fn end(&mut self, collector: &Collector) -> Result<u64> {
        let waiting = self.agent.outbox_status()?.position;
        self.start(true)?;
        await_delivered(&self.agent, waiting);
        settle(self.stack, &self.agent, collector)?;
        let log = self.agent.log();
        for word in ["damaged", "panicked"] {
            ensure!(!log.contains(word), "{}", log.lines().filter(|line| line.contains(word)).collect::<String>());
        }
        self.counts.while_opening = self.runs - log.matches("the agent runs").count();
        Ok(self.agent.outbox_status()?.position)
    }

    pub(super) fn runs(&self) -> usize {
        self.runs
    }

    /// Returns the paths that each run asked for, and whether the run was killed.
    pub(super) fn paths(&self) -> impl Iterator<Item = (String, bool)> {
        let of_run = move |run| (0..SITES).map(move |site| (self.path_of_run(site, run), run < self.runs));
        (1..=self.runs).flat_map(of_run)
    }

    /// Returns the path that a run asks for at a site. Each run has its own urls, so that each request and each row
    /// belong to a known run.
    fn path_of_run(&self, site: usize, run: usize) -> String {
        format!("{}?run={run}", path(self.number, site))
    }

    fn start(&mut self, is_online: bool) -> Result<()> {
        self.runs += 1;
        let mut settings = self.agent.settings.clone();
        if !is_online {
            settings.set("kafka.bootstrap_servers", format!("127.0.0.1:{}", free_port()?));
        }
        let monitors: Vec<Value> = (0..SITES)
            .map(|site| {
                let url = self.stack.web.url(&self.path_of_run(site, self.runs));
                json!({"name": format!("site-{site}"), "url": url, "timeout": TIMEOUT, "tags": {"one": noise(), "two": noise()}})
            })
            .collect();
        settings.set("monitors", monitors);
        self.agent.configure(&settings)?;
        self.agent.start()
    }
}

fn path(agent: usize, site: usize) -> String {
    format!("/edge-{agent}/site-{site}")
}

/// Returns text that can be compressed to half of its length at best.
fn noise() -> String {
    let mut rng = rand::rng();
    (0..NOISE).map(|_| char::from(b"0123456789abcdef"[rng.random_range(0..16)])).collect()
}
