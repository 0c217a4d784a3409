//! The database is restored from a dump with the commands of docs/operating.md. The test asks whether it is filled
//! again.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::Stack;
use e2e::eventually::PATIENCE;
use e2e::process::Process;

use super::Story;

const MANUAL: &str = include_str!("../../../docs/operating.md");

/// Runs the line of the manual that begins with this word, in a shell.
fn run(stack: &Stack, word: &str, directory: &std::path::Path) -> Result<()> {
    let blocks = MANUAL.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let block = blocks.into_iter().find(|block| block.contains("pg_dump ")).context("the manual dumps no database")?;
    let line = block.lines().find(|line| line.starts_with(word)).with_context(|| format!("no {word} in {block}"))?;
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(directory).env("DATABASE_URL", stack.database.url());
    let ended = Process::run(word, shell, PATIENCE)?;
    ensure!(ended.code() == Some(0), "{line}\n{}{}", ended.stdout, ended.stderr);
    Ok(())
}

#[test]
fn a_database_that_was_restored_from_a_dump_is_filled_again() -> Result<()> {
    let stack = Stack::with().partitions(2).start()?;
    let directory = tempfile::tempdir()?;
    let collector = stack.collector().start()?;
    let mut story = Story::default();
    story.send(&stack, "edge-1", "shop", 50)?;
    story.await_told(&stack, &collector);
    // The dump is made while results stream in.
    story.send(&stack, "edge-2", "bank", 500)?;
    run(&stack, "pg_dump", directory.path())?;
    story.send(&stack, "edge-3", "mail", 60)?;
    story.await_told(&stack, &collector);

    collector.stop()?;
    run(&stack, "psql", directory.path())?;
    run(&stack, "pg_restore", directory.path())?;
    story.send(&stack, "edge-4", "news", 60)?;
    collector.start()?;

    story.assert_proven(&stack, &collector)
}
