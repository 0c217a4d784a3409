//! This program looks for faults in the worlds of many seeds, or tells the shortest story of a fault in one of them.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use argh::FromArgs;
use world::{FaultKind, Rule, Rules, schedule, search, shrink, tell};

/// Runs worlds that are made from seeds, and says what is wrong at their ends. The exit code is 1 when a fault is found
/// that is not left to a person.
#[derive(FromArgs)]
struct Arguments {
    /// how many seeds
    #[argh(option, default = "20_000")]
    seeds: u64,
    /// the first seed
    #[argh(option, default = "0")]
    from: u64,
    /// how many threads
    #[argh(option, default = "2")]
    threads: usize,
    /// undo a rule: memory, positions, tail, group, list, wipe, name, due or clock; can be given more than once
    #[argh(option)]
    undo: Vec<Rule>,
    /// only the rules that the product has today
    #[argh(switch)]
    only_product: bool,
    /// show what was met, too
    #[argh(switch)]
    cover: bool,
    /// tell the world of one seed, with as few actions as show its first fault
    #[argh(option)]
    replay: Option<u64>,
}

fn main() -> ExitCode {
    let arguments: Arguments = argh::from_env();
    let begin = if arguments.only_product { Rules::PRODUCT } else { Rules::ALL };
    let rules = arguments.undo.iter().fold(begin, |rules, rule| rules.without(*rule));
    let shown = match arguments.replay {
        Some(seed) => replay(seed, rules),
        None => look(&arguments, rules),
    };
    match shown {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(io::stderr(), "stdout is closed: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Runs the seeds, and answers whether all is well.
fn look(arguments: &Arguments, rules: Rules) -> io::Result<bool> {
    let mut out = io::stdout();
    for rule in Rule::ALL.into_iter().filter(|rule| !rules.has(*rule)) {
        writeln!(out, "undone: {rule}: {}", rule.sentence())?;
    }
    let (seeds, began) = (arguments.from..arguments.from.saturating_add(arguments.seeds), Instant::now());
    let found = search(seeds, arguments.threads, rules);
    let seconds = began.elapsed().as_secs_f64();
    writeln!(
        out,
        "{} schedules, {} actions, {} messages in {seconds:.1} s: {:.0} schedules/s, digest {:016x}",
        found.schedules,
        found.actions,
        found.messages,
        found.schedules as f64 / seconds,
        found.digest,
    )?;
    for (kind, sighting) in &found.faults {
        let note = if kind.is_for_a_person() { ", which is left to a person" } else { "" };
        writeln!(
            out,
            "{kind:16} in {:8} schedules, first in that of seed {}, after {:.3} s{note}",
            sighting.schedules,
            sighting.lowest,
            sighting.after.as_secs_f64(),
        )?;
    }
    if arguments.cover {
        write!(out, "{}", found.cover)?;
    }
    Ok(found.is_clean())
}

/// Tells what happens in the world of a seed, with the actions that its first fault takes, and answers whether all is well.
fn replay(seed: u64, rules: Rules) -> io::Result<bool> {
    let mut out = io::stdout();
    let actions = schedule(seed);
    let outcome = tell(seed, &actions, rules);
    let kinds = outcome.faults.iter().map(|fault| fault.kind);
    let Some(kind) = kinds.min_by_key(|kind| (kind.is_for_a_person(), *kind)) else {
        outcome.story.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(out, "nothing is wrong with the {} actions of seed {seed}", actions.len())?;
        return Ok(true);
    };
    let few = shrink(seed, &actions, rules, kind);
    let outcome = tell(seed, &few, rules);
    outcome.story.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out, "{} of {} actions are left of seed {seed} for {kind}:", few.len(), actions.len())?;
    outcome.faults.iter().try_for_each(|fault| writeln!(out, "{fault}"))?;
    Ok(outcome.faults.iter().all(|fault| FaultKind::is_for_a_person(fault.kind)))
}
