//! Checks of every kind by the thousand, good ones and those that fail in the middle, leave no thread and no
//! descriptor behind.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use agent::check::Checker;
use agent::config::Monitor;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{Held, child_directory, is_full, monitors, resident, run_child, say, servers, this};

const WORKERS: usize = 8;

/// By what stands for each monitor in its name: the outcomes that it may have.
type Outcomes = BTreeMap<String, usize>;

fn check_all(checker: &Checker, monitors: &[Monitor], count: usize) -> Outcomes {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Outcomes::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let result = checker.check(&monitors[number % monitors.len()], Timestamp::now());
                    let told = format!("{}: {}", result.name, result.outcome);
                    *outcomes.lock().entry(told).or_default() += 1;
                }
            });
        }
    });
    outcomes.into_inner()
}

#[test]
fn checks_leave_neither_threads_nor_descriptors_behind() {
    let directory = tempfile::tempdir().unwrap();
    run_child(Command::new(this()), "many::the_child_that_counts", directory.path());
}

#[test]
#[ignore = "the other starts it"]
fn the_child_that_counts() {
    let Some(directory) = child_directory() else { return };
    let count = if is_full() { 100_000 } else { 2_000 };
    let ca_file = directory.join("ca.pem");
    let good = servers::plain(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let broken = servers::plain(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort");
    let secure = servers::secure(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", &ca_file);
    let (_silent, silent) = servers::silent();
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let entries = format!(
        "  - {{name: good 1, url: 'http://127.0.0.1:{good}/'}}\n\
         \x20 - {{name: good 2, url: 'http://127.0.0.1:{good}/', pattern: ok}}\n\
         \x20 - {{name: good by name, url: 'http://localhost:{good}/', ip: 4}}\n\
         \x20 - {{name: broken off, url: 'http://127.0.0.1:{broken}/'}}\n\
         \x20 - {{name: secure, url: 'https://localhost:{secure}/', ip: 4, tls: {{ca_file: ca.pem}}}}\n\
         \x20 - {{name: wrong host, url: 'https://127.0.0.1:{secure}/', tls: {{ca_file: ca.pem}}}}\n\
         \x20 - {{name: no TLS, url: 'https://127.0.0.1:{good}/', tls: {{ca_file: ca.pem}}}}\n\
         \x20 - {{name: silent, url: 'http://127.0.0.1:{silent}/', timeout: 10ms}}\n\
         \x20 - {{name: silent TLS, url: 'https://127.0.0.1:{silent}/', timeout: 10ms, tls: {{ca_file: ca.pem}}}}\n\
         \x20 - {{name: refused, url: 'http://127.0.0.1:{refusing}/'}}\n\
         \x20 - {{name: no such name, url: 'http://{}.invalid/'}}\n",
        "x".repeat(64),
    );
    let monitors = monitors(&directory, &entries);
    let before = Held::now();
    let checker = Checker::new().unwrap();
    check_all(&checker, &monitors, 20 * monitors.len());
    let early = resident();
    let outcomes = check_all(&checker, &monitors, count);
    let late = resident();
    // Look-ups have threads of their own, no more than there are workers. The servers are of this process, and let go of
    // a connection a moment after the check that made it.
    let after = Held::settled(Held { threads: before.threads + WORKERS as u64, ..before });
    drop(checker);
    let settled = Held::settled(before);
    say(&format!(
        "{count} checks: {} threads and {} descriptors before, {} and {} after, {} and {} without the checker; \
         {early} KiB of memory after the first few, {late} KiB after all",
        before.threads, before.descriptors, after.threads, after.descriptors, settled.threads, settled.descriptors,
    ));
    assert_eq!(after.descriptors, before.descriptors);
    assert!(after.threads <= before.threads + WORKERS as u64, "{after:?}");
    assert_eq!(settled, before);
    assert!(late < early + 16 * 1024, "{early} KiB grew to {late} KiB");
    // Where the machine was too busy to look after a check in time, it tells that of itself.
    let told = outcomes.keys().map(String::as_str).filter(|outcome| !outcome.ends_with(": agent_error"));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "broken off: connection_closed",
            "good 1: success",
            "good 2: success",
            "good by name: success",
            "no TLS: tls_error",
            "no such name: dns_error",
            "refused: connection_refused",
            "secure: success",
            "silent TLS: timeout",
            "silent: timeout",
            "wrong host: certificate_error",
        ],
        "{outcomes:?}"
    );
}
