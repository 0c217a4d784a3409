//! A target that behaves in every bad way that is known, and what a check says of each.
//!
//! ```text
//!  test ── plays each class on a port of its own; writes a configuration with a monitor for each
//!    └── starts ──▶ child: checks them one by one, and tells result and memory ──▶ compared with the class
//! ```
//! The child is this same program: the ignored test [`the_child_of_the_other`] when [`child::TASK`] is set. So its memory
//! is that of the checks alone. The worst of it, and the worst overrun of a deadline, are printed.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

mod authority;
mod child;
mod classes;
mod target;

use std::collections::HashSet;
use std::io::{self, Write};
use std::time::Duration;

use wire::{CheckResult, Outcome};

use authority::Authority;
use child::Told;
use classes::Class;
use target::Target;

/// The timeout of the checks that are to run into it, which make up the time that this takes.
const TIMEOUT: Duration = Duration::from_secs(1);
/// That of all others.
const LONG_TIMEOUT: Duration = Duration::from_secs(30);

/// How much more memory than a good page any class may take: the body, its text, and the remembered states of a
/// pattern.
const MOST_MEMORY_KIB: u64 = 16 * 1024;

#[test]
#[ignore = "the other starts it"]
fn the_child_of_the_other() {
    child::main();
}

#[test]
fn every_class_gets_its_exact_outcome_and_reason_in_time_and_in_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let root = directory.path().join("root.pem");
    std::fs::write(&root, authority.root()).unwrap();
    let acceptor = authority.acceptor();
    let classes = classes::all();
    let names: HashSet<&str> = classes.iter().map(|class| class.name).collect();
    assert_eq!(names.len(), classes.len(), "two classes have one name");
    let entries: Vec<String> =
        classes.iter().map(|class| entry(class, &Target::play(class.plays, &acceptor))).collect();
    let config = directory.path().join("agent.yaml");
    std::fs::write(directory.path().join("large.txt"), "x".repeat(1024 * 1024)).unwrap();
    std::fs::write(&config, format!("interval: 60\nmonitors:\n{}", entries.concat())).unwrap();

    let told = child::run(&config, &root);

    let mut wrong = String::new();
    let (mut overrun, mut memory) = ((Duration::ZERO, ""), (0, ""));
    let good = told.iter().find(|told| told.result.name == classes::GOOD).expect("a good page").peak_kib;
    for (class, Told { result, peak_kib }) in classes.iter().zip(&told) {
        assert_eq!(class.name, result.name);
        if let Some(problem) = compare(class, result) {
            wrong += &format!("{}: {problem}: {result:?}\n", class.name);
        }
        let took = Duration::from_micros(result.response_time_us.unwrap());
        overrun = overrun.max((took.saturating_sub(timeout(class)), class.name));
        memory = memory.max((peak_kib.saturating_sub(good), class.name));
    }
    say(&format!(
        "{} classes; worst overrun {:.1?} ({}); worst VmHWM {} KiB more than the {good} KiB of a good page ({})",
        classes.len(),
        overrun.0,
        overrun.1,
        memory.0,
        memory.1
    ));
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(told.len(), classes.len(), "the child ended too soon");
    assert!(overrun.0 < TIMEOUT, "{overrun:?}");
    assert!(memory.0 < MOST_MEMORY_KIB, "{memory:?}");
}

/// The monitor of a class.
fn entry(class: &Class, target: &Target) -> String {
    let scheme = class.scheme;
    let (address, path) = (target.address(), class.path.replace("PORT", &target.address().port().to_string()));
    let (name, url, timeout) = (class.name, format!("{scheme}://{address}{path}"), timeout(class).as_millis());
    format!("- {{name: {name:?}, url: {url:?}, timeout: {timeout}ms, {}}}\n", class.options)
}

/// What ends in another way than by its timeout does so in its own time, however busy the machine is.
fn timeout(class: &Class) -> Duration {
    if class.outcome == Outcome::Timeout { TIMEOUT } else { LONG_TIMEOUT }
}

/// What is not as the class says.
fn compare(class: &Class, result: &CheckResult) -> Option<String> {
    if result.outcome != class.outcome {
        return Some(format!("not {}", class.outcome));
    }
    if result.status_code != class.status {
        return Some(format!("not status {:?}", class.status));
    }
    let error = result.error.as_deref().unwrap_or_default();
    if !error.contains(class.says) || error.is_empty() != (class.outcome == Outcome::Success) {
        return Some(format!("does not say {:?}", class.says));
    }
    let record = wire::Record {
        epoch: uuid::Uuid::nil(),
        seq: 1,
        agent: "edge-1".into(),
        content: wire::Content::Result(Box::new(result.clone())),
    };
    wire::Record::decode(Some(&record.encode())).err().map(|rejection| format!("no collector takes it: {rejection}"))
}

/// Says a result even when the test passes.
fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("stderr is open");
}
