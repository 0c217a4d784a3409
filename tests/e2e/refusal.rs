//! Something is not as a program needs it. The tests ask what the program says, and with which exit code it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::agent::{Agent, AgentSetup};
use e2e::collector::{Collector, CollectorSetup};
use e2e::directory::directory;
use e2e::ports::free_port;
use e2e::postgres::Pooler;
use e2e::process::{Finished, Process};
use e2e::web::{Answer, Web};
use e2e::{Stack, eventually};
use uuid::Uuid;

use crate::truth::{RESULTS, assert_each_request_has_one_row, assert_verified, await_requests, await_rows, settle};

const BOUND: Duration = Duration::from_secs(60);

/// The longest time of a stop. Running checks get their timeout (5 s), and the last attempts to publish take 5 s. The
/// rest is for a loaded machine.
const STOP: Duration = Duration::from_secs(20);

#[test]
fn a_pooler_that_shares_sessions_is_refused_before_anything_is_written_and_one_that_does_not_is_none_to_mind()
-> Result<()> {
    let stack = Stack::start()?;
    let pooler = Pooler::start(&stack.database, "transaction")?;
    let collector = stack.collector().set("database.port", pooler.port()).build()?;
    let statements = Pooler::start(&stack.database, "statement")?;
    let by_statements = stack.collector().set("database.port", statements.port()).build()?;
    for command in ["migrate", "verify"] {
        refused(&collector.command(&[command])?, 69, &["transaction mode", "pool_mode = session"]);
        refused(&by_statements.command(&[command])?, 69, &["statement mode", "session mode"]);
    }
    collector.start()?;
    let agent = stack.agent().interval("200ms").monitor("site", stack.web.site("/", Answer::ok(""))).start()?;
    eventually("the collector says why it waits", || {
        let log = collector.log();
        ensure!(log.contains("transaction mode"), log);
        Ok(())
    });
    await_requests(&stack, 10);
    assert_eq!(stack.database.count("pg_namespace where nspname = 'website_monitor'")?, 0, "{}", collector.log());
    assert_eq!(stack.database.count("pg_class where relnamespace = 'public'::regnamespace")?, 0);

    pooler.set_mode("session")?;
    await_rows(&stack, 10)?;
    settle(&stack, &agent, &collector)?;
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&collector)?;
    Ok(())
}

#[test]
fn a_second_agent_on_the_same_outbox_ends_with_75_and_the_first_goes_on() -> Result<()> {
    let web = Web::start()?;
    let outbox = directory("outbox")?.join("shared");
    let setup = || alone(&web).map(|setup| setup.set("outbox.path", outbox.to_string_lossy()));
    let first = setup()?.start()?;
    eventually("the first one has its outbox", || first.outbox_status());

    let ended = setup()?.build()?.command(&["run"])?;

    refused(&ended, 75, &[outbox.to_string_lossy().as_ref(), "locked by another agent", "outbox.path"]);
    let seen = web.total();
    eventually("the first one goes on", || {
        ensure!(web.total() > seen + 1, "{} requests", web.total());
        Ok(())
    });
    first.kill();
    // The lock of the outbox ends with the process that held it.
    let heir = setup()?.start()?;
    eventually("the heir checks", || {
        ensure!(web.total() > seen + 5, "{}", heir.log());
        Ok(())
    });
    assert!(heir.is_running());
    Ok(())
}

#[test]
fn an_outbox_that_cannot_be_written_is_refused_with_its_path_and_what_to_do() -> Result<()> {
    let web = Web::start()?;
    let place = directory("outbox")?;
    let agent = |path: PathBuf| alone(&web)?.set("outbox.path", path.to_string_lossy()).build();

    let file = place.join("file");
    fs::write(&file, "not a directory")?;
    let locked_up = place.join("locked-up");
    fs::create_dir(&locked_up)?;
    fs::set_permissions(&locked_up, fs::Permissions::from_mode(0o500))?;
    // Rights may be granted while the agent is started again and again, but a file does not become a directory. So the
    // exit codes differ.
    for (path, code) in
        [(file.clone(), 78), (file.join("below"), 78), (locked_up.join("new"), 69), (locked_up.clone(), 69)]
    {
        let ended = as_one_who_obeys_modes(&agent(path.clone())?)?;
        refused(&ended, code, &[path.to_string_lossy().as_ref(), "needs a directory that it can write to"]);
    }
    assert_eq!(fs::read_to_string(&file)?, "not a directory");
    assert_eq!(web.total(), 0, "it checked without an outbox");
    Ok(())
}

#[test]
fn an_outbox_of_a_later_version_is_refused_and_left_as_it_is() -> Result<()> {
    let web = Web::start()?;
    let outbox = directory("outbox")?;
    fs::write(outbox.join("VERSION"), "2\n")?;
    let ended = alone(&web)?.set("outbox.path", outbox.to_string_lossy()).build()?.command(&["run"])?;
    refused(&ended, 78, &[outbox.to_string_lossy().as_ref(), "version 2", "install the agent that wrote it"]);
    assert_eq!(fs::read_to_string(outbox.join("VERSION"))?, "2\n");
    assert_eq!(web.total(), 0);
    Ok(())
}

#[test]
fn a_configuration_that_cannot_be_read_is_refused_with_78_by_every_command() -> Result<()> {
    let stack = Stack::start()?;
    let agent = alone(&stack.web)?.build()?;
    let collector = stack.collector().build()?;
    let texts = [
        ("interval: [1\n", "line"),
        ("interval: 1\nmonitors: []\nintervall: 2\nkafka: {}\ndatabase: {}\n", "intervall"),
        ("\"just a text\"\n", ""),
    ];
    for (text, said) in texts {
        fs::write(agent.config(), text)?;
        fs::write(collector.config(), text)?;
        for ended in [agent.command(&["run"])?, agent.command(&["once"])?, agent.command(&["outbox", "status"])?] {
            refused(&ended, 78, &[&agent.config().to_string_lossy(), said]);
        }
        let checked = agent.command(&["check-config"])?;
        assert_eq!(checked.code(), Some(78), "{}", checked.stdout);
        assert!(checked.stdout.contains(said), "{}", checked.stdout);
        for command in ["run", "check-config", "migrate", "verify"] {
            refused(&collector.command(&[command])?, 78, &[&collector.config().to_string_lossy(), said]);
        }
    }
    fs::remove_file(agent.config())?;
    fs::remove_file(collector.config())?;
    refused(&agent.command(&["run"])?, 78, &[&agent.config().to_string_lossy(), "No such file"]);
    refused(&collector.command(&["run"])?, 78, &[&collector.config().to_string_lossy(), "No such file"]);
    Ok(())
}

#[test]
fn bad_entries_are_named_and_skipped_while_the_good_ones_run() -> Result<()> {
    let web = Web::start()?;
    let agent = alone(&web)?
        .set("url_regex", "^http://127")
        .monitor("not allowed", "http://localhost/")
        .monitor("bad pattern", web.url("/"))
        .pattern("(")
        .monitor("no url", "")
        .start()?;
    eventually("the good one is checked", || {
        ensure!(web.count("/") > 1, "{}", agent.log());
        Ok(())
    });
    let log = agent.log();
    for (entry, option) in [("not allowed", "url"), ("bad pattern", "pattern"), ("no url", "url")] {
        let said = log.lines().filter(|line| line.contains("skipped") && line.contains(entry)).collect::<Vec<_>>();
        assert_eq!(said.len(), 1, "{entry}: {log}");
        assert!(said[0].contains(option) && said[0].contains("config.yaml"), "{}", said[0]);
    }
    let checked = agent.command(&["check-config"])?;
    assert_eq!(checked.code(), Some(1), "{}", checked.stdout);
    assert!(checked.stdout.contains("3 faults"), "{}", checked.stdout);
    Ok(())
}

#[test]
fn a_collector_with_a_wrong_password_keeps_trying_and_never_shows_it() -> Result<()> {
    let stack = Stack::start()?;
    let role = Role::new(&stack, "right-one")?;
    stack.database.execute(&format!("grant create on database {} to {}", stack.database.name(), role.name))?;
    let wrong = "wrong-s3cret";
    let collector = role.collector(&stack, wrong)?;
    collector.start()?;
    says_once(&collector, "password authentication failed", &role.name);

    let shown = fs::read_to_string(format!("/proc/{}/cmdline", collector.id().context("it runs")?))?;
    assert!(!shown.contains(wrong), "{shown}");
    let verify = collector.command(&["verify"])?;
    refused(&verify, 69, &["password authentication failed"]);
    assert!(!verify.stderr.contains(wrong), "{}", verify.stderr);

    stack.database.execute(&format!("alter role {} password '{wrong}'", role.name))?;
    eventually("it gets in", || stack.database.count(RESULTS));
    assert!(!collector.log().contains(wrong), "{}", collector.log());
    assert_eq!(collector.stop()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_collector_whose_database_user_has_no_rights_keeps_trying_until_it_has() -> Result<()> {
    let stack = Stack::start()?;
    let role = Role::new(&stack, "secret-of-the-role")?;
    let collector = role.collector(&stack, "secret-of-the-role")?;
    collector.start()?;
    says_once(&collector, "permission denied for database", stack.database.name());
    refused(&collector.command(&["migrate"])?, 69, &["permission denied"]);

    stack.database.execute(&format!("grant create on database {} to {}", stack.database.name(), role.name))?;
    eventually("it goes on", || stack.database.count(RESULTS));
    assert!(!collector.log().contains("secret-of-the-role"), "{}", collector.log());
    assert_eq!(collector.stop()?.code(), Some(0));
    Ok(())
}

#[test]
fn an_unknown_kafka_host_is_said_once_by_both_daemons_and_they_keep_trying() -> Result<()> {
    let stack = Stack::start()?;
    // A label of a name has at most 63 letters, so no name server is asked for this name.
    let nowhere = format!("{}:9092", "x".repeat(64));
    let agent = alone(&stack.web)?.set("kafka.bootstrap_servers", nowhere.as_str()).start()?;
    let collector = CollectorSetup::new(&nowhere, "topic", "collectors", &stack.database).start()?;
    eventually("both say it", || {
        ensure!(agent.log().contains("kafka takes no records"), agent.log());
        ensure!(collector.log().contains("kafka is away"), collector.log());
        Ok(())
    });
    for log in [agent.log(), collector.log()] {
        assert!(log.contains("resolve"), "it does not say why: {log}");
    }
    await_requests(&stack, 20);
    assert_eq!(agent.log().matches("kafka takes no records").count(), 1, "{}", agent.log());
    assert_eq!(collector.log().matches("kafka is away").count(), 1, "{}", collector.log());
    assert!(agent.is_running() && collector.is_running());
    stops_in_time(&agent)?;
    let begin = Instant::now();
    assert_eq!(collector.stop()?.code(), Some(0));
    assert!(begin.elapsed() < STOP, "{:?}", begin.elapsed());
    Ok(())
}

#[test]
fn an_agent_stops_cleanly_and_in_time_while_kafka_is_away() -> Result<()> {
    let web = Web::start()?;
    let agent = alone(&web)?.monitor("hanging", web.site("/hanging", Answer::hang())).start()?;
    eventually("checks are made", || {
        ensure!(web.count("/") > 3 && web.count("/hanging") > 0, "{} requests", web.total());
        Ok(())
    });

    stops_in_time(&agent)?;

    web.await_idle();
    // The outbox has a report of the start, a report of the stop, and the result of each check, also of the check that
    // hung.
    assert_eq!(agent.outbox_status()?.pending, web.total() + 2);
    Ok(())
}

#[test]
fn an_agent_stops_cleanly_right_after_its_start() -> Result<()> {
    let web = Web::start()?;
    let agent = alone(&web)?.build()?;
    for _ in 0..3 {
        agent.start()?;
        while !hears_sigterm(&agent)? {}
        stops_in_time(&agent)?;
    }

    // The next run can go on from any state that these runs left.
    agent.start()?;
    eventually("checks are made", || {
        ensure!(web.total() > 1, "{}", agent.log());
        Ok(())
    });
    stops_in_time(&agent)?;
    assert!(agent.outbox_status()?.pending >= web.total() + 2, "a report at its start and at its stop");
    Ok(())
}

/// Returns whether the agent has set a handler for SIGTERM. Before that, SIGTERM kills it, and no code of the agent
/// could change that.
fn hears_sigterm(agent: &Agent) -> Result<bool> {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.id().context("it runs")?))?;
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).context("no line SigCgt")?;
    let sigterm = 15;
    Ok(u64::from_str_radix(caught.trim(), 16)? >> (sigterm - 1) & 1 == 1)
}

/// Returns the setup of an agent with one good site and an address where no Kafka listens.
fn alone(web: &Web) -> Result<AgentSetup> {
    let nowhere = format!("127.0.0.1:{}", free_port()?);
    Ok(AgentSetup::new(&nowhere, "topic").interval("200ms").monitor("good", web.site("/", Answer::ok(""))))
}

#[track_caller]
fn refused(ended: &Finished, code: i32, says: &[&str]) {
    assert_eq!(ended.code(), Some(code), "{}{}", ended.stdout, ended.stderr);
    for said in says {
        assert!(ended.stderr.contains(said), "it does not say {said:?}: {}", ended.stderr);
    }
}

#[track_caller]
fn stops_in_time(agent: &Agent) -> Result<()> {
    let begin = Instant::now();
    let ended = agent.stop()?;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(begin.elapsed() < STOP, "{:?}: {}", begin.elapsed(), ended.stderr);
    Ok(())
}

/// Runs the agent so that file modes hold for it. Root may write everywhere, so as root this takes away the
/// capabilities that allow it.
fn as_one_who_obeys_modes(agent: &Agent) -> Result<Finished> {
    let run = agent.invocation(&["run"]);
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        command.arg("--bounding-set=-dac_override,-dac_read_search");
    }
    command.arg(run.get_program()).args(run.get_args());
    Process::run("agent", command, BOUND)
}

/// Asserts that the collector says once that it waits, why it waits, and for what or whom, and that it still runs.
#[track_caller]
fn says_once(collector: &Collector, why: &str, whom: &str) {
    let waits = "the database does not store: waiting for it";
    eventually("it says that it waits", || {
        let log = collector.log();
        let line = log.lines().find(|line| line.contains(waits)).with_context(|| log.clone())?;
        ensure!(line.contains(why) && line.contains(whom), "{line}");
        Ok(())
    });
    let tries = collector.log().matches(waits).count();
    assert_eq!(tries, 1, "{}", collector.log());
    assert!(collector.is_running());
}

/// A user of the database server, which is dropped at the end of the test.
struct Role<'a> {
    stack: &'a Stack,
    name: String,
}

impl Role<'_> {
    fn new<'a>(stack: &'a Stack, password: &str) -> Result<Role<'a>> {
        let name = format!("role_{}", Uuid::new_v4().simple());
        stack.database.execute(&format!("create role {name} login password '{password}'"))?;
        Ok(Role { stack, name })
    }

    fn collector(&self, stack: &Stack, password: &str) -> Result<Collector> {
        let collector = stack.collector().set("database.user", self.name.as_str()).build()?;
        fs::write(collector.directory().join("password"), password)?;
        Ok(collector)
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let name = &self.name;
        self.stack.database.execute(&format!("drop owned by {name}; drop role {name}")).ok();
    }
}
