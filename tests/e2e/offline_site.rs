//! An agent never reaches Kafka. The tests ask whether its results reach the table through an exported file.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::agent::AgentSetup;
use e2e::ports::free_port;
use e2e::process::{Finished, Process};
use e2e::web::{Answer, Web};
use e2e::{Stack, eventually};

use crate::truth::{
    RESULTS, assert_each_request_has_one_row, assert_verified, await_no_lag, await_requests, rows, settle,
};

/// The longest time for a command.
const BOUND: Duration = Duration::from_secs(60);

#[test]
fn anyone_who_looks_into_an_outbox_leaves_its_files_to_their_owner() -> Result<()> {
    if !ground::is_root() {
        ground::again_as_root(ground::this_test!(), "only root can look as another user");
        return Ok(());
    }
    const OWNER: u32 = 65_534;
    let web = Web::start()?;
    let nowhere = format!("127.0.0.1:{}", free_port()?);
    let site = web.site("/", Answer::ok(""));
    // Every user may enter this directory, as with /var/lib.
    let place = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir()?;
    let outbox = place.path().join("outbox");
    let agent = AgentSetup::new(&nowhere, "topic").interval("100ms").monitor("site", site);
    let agent = agent.set("outbox.path", outbox.to_string_lossy()).start()?;
    eventually("results wait", || {
        let pending = agent.outbox_status()?.pending;
        ensure!(pending > 10, "{pending}");
        Ok(())
    });
    agent.kill();
    for_each_below(&outbox, &|path| Ok(chown(path, Some(OWNER), Some(OWNER))?))?;
    let export = agent.directory().join("export");
    let export = export.to_str().context("a path")?;
    for words in [&["outbox", "status"][..], &["outbox", "export", export]] {
        let looks = agent.invocation(words);
        let mut command = Command::new("sh");
        command.args(["-c", "umask 027; exec \"$@\"", "sh"]).arg(looks.get_program()).args(looks.get_args());
        succeeds(&Process::run("agent", command, BOUND)?)?;
        for_each_below(&outbox, &|path| {
            let owner = fs::metadata(path)?.uid();
            ensure!(owner == OWNER, "{} belongs to {owner} after {words:?}", path.display());
            Ok(())
        })?;
    }
    assert_eq!(fs::metadata(export)?.uid(), 0, "the file is that of the one who asked for it");
    Ok(())
}

fn for_each_below(directory: &Path, work: &dyn Fn(&Path) -> Result<()>) -> Result<()> {
    work(directory)?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { for_each_below(&path, work)? } else { work(&path)? }
    }
    Ok(())
}

#[test]
fn results_of_a_site_that_is_never_online_arrive_by_a_file_once_however_often() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let agent = offline(&stack)?.start()?;
    await_requests(&stack, 50);
    let file = agent.directory().join("export");
    let file = file.to_str().context("a path")?;

    let refused = agent.command(&["outbox", "export", file])?;
    assert_eq!(refused.code(), Some(75), "{}", refused.stderr);
    assert!(refused.stderr.contains("locked by another agent"), "{}", refused.stderr);
    assert!(fs::exists(agent.directory())? && !fs::exists(file)?);

    agent.kill();
    agent.start()?;
    await_requests(&stack, 10);
    assert_eq!(agent.stop()?.code(), Some(0));
    let before = agent.outbox_status()?;
    succeeds(&agent.command(&["outbox", "export", file])?)?;
    let after = agent.outbox_status()?;
    assert_eq!((after.pending, after.acknowledged_position), (before.pending, 0), "it acknowledged something");

    // The import runs on a host that reaches Kafka and has its own configuration.
    let importer = stack.agent().name("importer").build()?;
    let said = succeeds(&importer.command(&["outbox", "import", file])?)?;
    assert!(said.contains(&format!("{} records of edge-1", before.pending)), "{said}");
    await_no_lag(&stack, &collector);
    let stored = rows(&stack)?;
    // A kill loses at most the check that is under way, which never got a number.
    let requests = stack.web.total();
    ensure!((requests - 1..=requests).contains(&(stored.len() as u64)), "{} rows of {requests}", stored.len());
    assert_verified(&collector)?;

    succeeds(&importer.command(&["outbox", "import", file])?)?;
    await_no_lag(&stack, &collector);
    assert_eq!(stack.topic.len()?, 2 * before.pending, "it was not sent again");
    assert_eq!(rows(&stack)?, stored);

    // The agent reaches Kafka later.
    let mut settings = agent.settings.clone();
    settings.set("kafka.bootstrap_servers", stack.kafka.bootstrap_servers());
    settings.set("interval", "1h");
    agent.configure(&settings)?;
    agent.start()?;
    eventually("the outbox is empty", || {
        let status = agent.outbox_status()?;
        ensure!(status.pending == 0 && status.position > before.position, "{status:?}");
        Ok(())
    });
    settle(&stack, &agent, &collector)?;
    assert_eq!(stack.database.count(RESULTS)?, stored.len() as u64 + (stack.web.total() - requests));
    assert_verified(&collector)?;
    Ok(())
}

#[test]
fn an_offline_sites_every_check_is_in_the_table() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let agent = offline(&stack)?.start()?;
    await_requests(&stack, 20);
    assert_eq!(agent.stop()?.code(), Some(0));
    let file = agent.directory().join("export");
    let file = file.to_str().context("a path")?;
    succeeds(&agent.command(&["outbox", "export", file])?)?;
    succeeds(&stack.agent().build()?.command(&["outbox", "import", file])?)?;
    await_no_lag(&stack, &collector);
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&collector)?;
    Ok(())
}

#[test]
fn an_import_that_cannot_be_done_says_why_and_sends_nothing() -> Result<()> {
    let stack = Stack::start()?;
    let agent = offline(&stack)?;
    let agent = agent.build()?;
    let file = agent.directory().join("export");
    let name = file.to_str().context("a path")?;
    let none = agent.command(&["outbox", "export", name])?;
    refused(&none, 69, &["outbox", "there is none", "has the agent run?"]);
    assert!(!fs::exists(agent.directory().join("outbox"))?, "it made one");

    agent.start()?;
    await_requests(&stack, 5);
    assert_eq!(agent.stop()?.code(), Some(0));
    succeeds(&agent.command(&["outbox", "export", name])?)?;
    let whole = fs::read(&file)?;

    let importer = stack.agent().build()?;
    let import = || importer.command(&["outbox", "import", name]);
    fs::write(&file, &whole[..whole.len() - 10])?;
    refused(&import()?, 78, &[name, "cut short", "nothing of it was sent"]);
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 0x10;
    fs::write(&file, &changed)?;
    refused(&import()?, 78, &[name, "damaged"]);
    let later = String::from_utf8_lossy(&whole).replacen("\"version\":1", "\"version\":2", 1);
    fs::write(&file, later)?;
    refused(&import()?, 78, &[name, "version 2", "the agent that wrote it"]);
    fs::write(&file, "interval: 1\n")?;
    refused(&import()?, 78, &[name, "not that of an exported outbox"]);
    fs::remove_file(&file)?;
    refused(&import()?, 69, &[name, "No such file"]);
    assert_eq!(stack.topic.len()?, 0);

    fs::write(&file, &whole)?;
    refused(&agent.command(&["outbox", "import", name])?, 69, &["kafka acknowledged 0 records", "import it again"]);
    succeeds(&import()?)?;
    assert_eq!(stack.topic.len()?, agent.outbox_status()?.pending);
    Ok(())
}

/// Returns the setup of an agent that never reaches Kafka.
fn offline(stack: &Stack) -> Result<AgentSetup> {
    let nowhere = format!("127.0.0.1:{}", free_port()?);
    let site = stack.web.site("/", Answer::ok(""));
    Ok(stack.agent().set("kafka.bootstrap_servers", nowhere).interval("100ms").monitor("site", site))
}

#[track_caller]
fn succeeds(ended: &Finished) -> Result<String> {
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    Ok(ended.stdout.clone())
}

#[track_caller]
fn refused(ended: &Finished, code: i32, says: &[&str]) {
    assert_eq!(ended.code(), Some(code), "{}{}", ended.stdout, ended.stderr);
    for said in says {
        assert!(ended.stderr.contains(said), "it does not say {said:?}: {}", ended.stderr);
    }
}
