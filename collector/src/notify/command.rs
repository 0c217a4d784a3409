//! Tells a receiver by a program. The program is started without a shell, and gets the message as JSON on its standard
//! input. What it prints on standard error goes to the collector's own log. It gets only a few of the collector's
//! variables: see `KEPT`.

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret, SecretString};
use settings::Section;

use super::environment::{self, KEPT};
use super::message::{Message, Size};
use super::{Failure, TIMEOUT, TIMEOUTS};

/// A program that is run with JSON on its standard input.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program and its arguments, without a shell.
    pub argv: Vec<String>,
    /// The variables of the program, in addition to those that each command gets. Most of them are secrets.
    pub environment: BTreeMap<String, SecretString>,
    /// The longest time that the program may take.
    pub timeout: Duration,
}

impl Command {
    pub(super) fn of(section: &mut Section<'_>, is_given: bool) -> Command {
        if is_given {
            section.require("argv", "write the program and its arguments as a list");
        }
        let argv = section.text_items("argv");
        if argv.as_ref().is_some_and(Vec::is_empty) {
            section.fault("argv", "is empty", "write the program and its arguments as a list");
        }
        let argv = argv.unwrap_or_default();
        if let Some(program) = argv.first()
            && !program.starts_with('/')
        {
            section.fault("argv", format!("{program:?} is no absolute path"), "begin it with the program's whole path");
        }
        Command {
            argv,
            environment: section.section("environment", environment::read),
            timeout: section.duration("timeout", TIMEOUTS).unwrap_or(TIMEOUT),
        }
    }
}

pub(super) fn send(command: &Command, message: &Message) -> Result<(), Failure> {
    let [program, arguments @ ..] = &command.argv[..] else { return Err(Failure::new("it names no program")) };
    let mut child = std::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(KEPT.iter().filter_map(|name| Some((name, env::var_os(name)?))))
        .envs(command.environment.iter().map(|(name, value)| (name, value.expose_secret())))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| Failure::new(format!("{program} can't be started: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        let body = message.json(Size::WHOLE).to_string();
        // A thread of its own writes the message, because a program that reads nothing must not block this thread. It
        // is no failure when the program does not read the message.
        thread::spawn(move || stdin.write_all(body.as_bytes()));
    }
    match wait(&mut child, command.timeout) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(Failure::new(format!("{program} ended with {status}"))),
        Ok(None) => Err(Failure::new(format!("{program} was killed after {} s", command.timeout.as_secs()))),
        Err(error) => Err(Failure::new(format!("{program} can't be waited for: {error}"))),
    }
}

/// Returns how the program ended; none when it did not end in time, and was killed with all processes that it started.
fn wait(child: &mut Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    const STEP: Duration = Duration::from_millis(20);
    let began = Instant::now();
    while began.elapsed() < timeout {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(STEP);
    }
    kill_process_group(Pid::from_child(child), Signal::KILL)?;
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use uuid::Uuid;

    use super::*;
    use crate::notify::Item;

    fn run(script: &str, timeout: Duration) -> Result<(), String> {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let mut item = Item::test("2026-11-24T10:00:00Z".parse().unwrap(), None);
        item.details.name = "$(touch x); `id` \"'\r\n".into();
        let message = Message { id: Uuid::nil(), receiver: "r".into(), address: None, items: vec![item; 100] };
        let environment = BTreeMap::from([("PAGER_KEY".to_owned(), "a b".into())]);
        send(&Command { argv, environment, timeout }, &message).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_program_reads_whole_json_and_its_end_is_the_outcome() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("told");
        run(&format!("cat > '{}'", file.display()), Duration::from_secs(30)).unwrap();
        let told: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        assert_eq!(told["alerts"][0]["name"], "$(touch x); `id` \"'\r\n");
        assert_eq!(run("exit 3", Duration::from_secs(30)).unwrap_err(), "/bin/sh ended with exit status: 3");
    }

    #[test]
    fn a_program_has_no_variables_but_path_language_and_those_that_are_configured() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("environment");
        run(&format!("/usr/bin/env > '{}'", file.display()), Duration::from_secs(30)).unwrap();
        let told = fs::read_to_string(file).unwrap();
        // The shell sets PWD and _ itself.
        let is_known = |line: &&str| ["PATH=", "LANG=", "PWD=", "_="].iter().any(|name| line.starts_with(name));
        let others: Vec<&str> = told.lines().filter(|line| !is_known(line)).collect();
        assert_eq!(others, ["PAGER_KEY=a b"]);
        let path = env::var("PATH").unwrap();
        assert!(told.lines().any(|line| line == format!("PATH={path}")), "{told}");
    }

    #[test]
    fn a_program_that_neither_reads_nor_ends_is_killed_with_its_children() {
        let failure = run("sleep 600 & sleep 600", Duration::from_millis(100)).unwrap_err();
        assert_eq!(failure, "/bin/sh was killed after 0 s");
    }
}
