//! Fills an agent's outbox with results of the past, as if Kafka had been away meanwhile: `backlog DIRECTORY COUNT`.
//!
//! They are those of the agent `edge-1`, the last one of just now. Nothing is closed at the end: what is there is what
//! a kill leaves.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use agent::config::OutboxConfig;
use agent::outbox::Outbox;
use anyhow::{Context, Result};
use jiff::Timestamp;
use procfs::process::Process;
use rand::SeedableRng;
use rand::rngs::StdRng;
use wire::{AgentEvent, AgentReport, Clock, Configuration, Content};

#[path = "../benches/outbox/result.rs"]
mod result;

const AGENT: &str = "edge-1";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().context("which directory?")?);
    let count: usize = arguments.next().context("how many?")?.parse()?;
    let outbox = Outbox::open(&OutboxConfig { max_size: 8 << 30, ..OutboxConfig::at(path) })?;
    let start = AgentReport {
        event: AgentEvent::Start,
        at: Timestamp::now(),
        version: env!("CARGO_PKG_VERSION").into(),
        previous: None,
        highest_seq: 0,
        pending: 0,
        oldest_pending: None,
        outbox_bytes: 0,
        missed: Default::default(),
        clock: Clock::default(),
        configuration: Configuration::default(),
        labels: Default::default(),
        monitors: Vec::new(),
        due_since: None,
        list: None,
    };
    let committer = outbox.start(AGENT, move |_| wire::payload(AGENT, &Content::Agent(Box::new(start))))?;

    let (began, mut rng) = (Timestamp::now() - result::EVERY * i32::try_from(count)?, StdRng::seed_from_u64(7));
    let (filling, mut last) = (Instant::now(), None);
    for n in 0..count {
        last = Some(outbox.append_soon(result::result(n, began, &mut rng))?);
    }
    last.context("nothing to append")?.wait()?;
    let memory = Process::myself()?.status()?.vmhwm.unwrap_or(0) / 1_024;
    let rate = count as f64 / filling.elapsed().as_secs_f64();
    writeln!(io::stdout(), "{rate:.0} records/s, {memory} MiB of memory at most")?;
    std::mem::forget((committer, outbox));
    Ok(())
}
