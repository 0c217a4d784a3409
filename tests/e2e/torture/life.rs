//! One agent and its many runs, each of which ends by a kill.

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
/// However loaded the machine is: a result without an answer tells no request.
const TIMEOUT: &str = "60s";
/// The tags of a result are noise of this many characters, twice.
const NOISE: usize = 2_000;
/// How often a run that waits for something to happen looks.
const LOOK: Duration = Duration::from_micros(500);

/// When a run ends.
enum Moment {
    /// This long after its start.
    After(Duration),
    /// As soon as something comes to the outbox's directory or goes from it, at the latest after this long.
    Change(Duration),
}

impl Moment {
    fn any() -> Moment {
        let mut rng = rand::rng();
        match rng.random_range(0..10) {
            // Most of these meet the opening.
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

    /// Runs, and is killed, this many times.
    pub(super) fn suffer(&mut self, kills: usize) -> Result<()> {
        let outbox = self.agent.directory().join("outbox");
        let mut before = Traces::look(&outbox);
        for kill in 0..kills {
            // In four of twelve runs in a row nothing is delivered.
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

    /// A last run that ends by itself, with all that the outbox holds delivered and stored; how many records it ever
    /// took.
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

    /// What each run asked for, and whether the run was killed.
    pub(super) fn paths(&self) -> impl Iterator<Item = (String, bool)> {
        let of_run = move |run| (0..SITES).map(move |site| (self.path_of_run(site, run), run < self.runs));
        (1..=self.runs).flat_map(of_run)
    }

    /// Each run asks for urls of its own, so that each request and each row are known to be of one run.
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

/// What compresses to half of its length at best.
fn noise() -> String {
    let mut rng = rand::rng();
    (0..NOISE).map(|_| char::from(b"0123456789abcdef"[rng.random_range(0..16)])).collect()
}
