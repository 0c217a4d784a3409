//! Agents are killed at random moments, again and again. The test asks whether each result is in the table once.
//!
//! ```text
//!  web server ◀── agents, each with an outbox of its own ══▶ Kafka ══▶ collector ──▶ PostgreSQL
//!      │            ▲ kill -9, again and again                          ▲ kill -9, now and then
//!      └── what was asked ────────────── compared with ─────────────────── what is stored
//! ```
//! The outbox has the smallest size limit and the results are large, so chunks are rolled and freed all the time. In
//! some runs the agent reaches no Kafka, so a backlog grows over several runs. A usual run makes a few kills. With
//! `TORTURE=full` it makes as many kills as `./dev torture table` promises.

mod judge;
mod life;
mod traces;

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::Stack;

use crate::truth::{RESULTS, assert_no_number_twice, assert_verified};
use judge::Judgement;
use life::Life;
use traces::Counts;

/// The time between two kills of a collector. It is long enough for the next collector to take over and to store
/// something.
const BETWEEN_KILLS_OF_A_COLLECTOR: Duration = Duration::from_secs(12);

/// The number of agents that run at the same time, and the number of kills of each agent.
struct Scale {
    agents: usize,
    kills: usize,
}

impl Scale {
    fn of_this_run() -> Scale {
        match std::env::var("TORTURE").is_ok_and(|how| how == "full") {
            true => Scale { agents: 6, kills: 200 },
            false => Scale { agents: 3, kills: 5 },
        }
    }
}

#[test]
fn a_kill_at_any_moment_loses_nothing_and_repeats_nothing_in_the_table() -> Result<()> {
    let scale = Scale::of_this_run();
    let began = Instant::now();
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let mut lives = (0..scale.agents).map(|number| Life::begin(&stack, number)).collect::<Result<Vec<_>>>()?;

    let mut collectors_killed = 0;
    thread::scope(|scope| -> Result<()> {
        let mut suffering = Vec::new();
        for life in &mut lives {
            suffering.push(scope.spawn(|| life.suffer(scale.kills)));
        }
        let mut since = Instant::now();
        while !suffering.iter().all(|thread| thread.is_finished()) {
            thread::sleep(Duration::from_millis(100));
            if since.elapsed() > BETWEEN_KILLS_OF_A_COLLECTOR {
                collector.kill();
                collector.start()?;
                collectors_killed += 1;
                since = Instant::now();
            }
        }
        suffering.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    let positions = lives.iter_mut().map(|life| life.end(&collector)).collect::<Result<Vec<_>>>()?;
    let appended: u64 = positions.iter().sum();

    let verification = assert_verified(&collector)?;
    let total = &verification.total;
    assert_eq!((total.issued, total.stored, total.dropped, total.rejected), (appended, appended, 0, 0), "{total:#?}");
    assert_no_number_twice(&stack)?;
    let judgement = Judgement::of(&stack, &lives)?;
    let results = stack.database.count(RESULTS)?;
    assert_eq!(results, judgement.matched, "results of requests that no one made");

    let mut counts = lives.iter().fold(Counts::default(), |sum, life| sum + life.counts);
    let runs: usize = lives.iter().map(Life::runs).sum();
    counts.before_the_epoch = runs - verification.epochs.len();
    (counts.with_sends_in_flight, counts.sent_again) = judge::sent_again(&stack)?;
    assert_eq!(stack.topic.len()?, appended + counts.sent_again);
    writeln!(
        io::stderr(),
        "kill -9 through to the table: {} agents, {} s, {collectors_killed} collectors killed; {results} results and {} \
         reports, each stored once; {judgement}\n{counts}",
        scale.agents,
        began.elapsed().as_secs(),
        appended - results,
    )?;
    // A run of at least 100 kills must meet each of these moments, because it proves little otherwise.
    let met = counts.before_the_epoch > 0 && counts.rolls > 0 && counts.frees > 0 && counts.with_sends_in_flight > 0;
    ensure!(met || scale.kills < 100, "the kills did not meet everything");
    Ok(())
}
