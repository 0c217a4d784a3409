//! A name service that never answers: every check ends in time, threads do not grow, and what needs no look-up goes on.
//!
//! The child has namespaces of its own, where the only name server is a socket that no one reads.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use agent::check::Checker;
use agent::config::Monitor;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{Held, child_directory, monitors, run_child, say, servers, this};

const NAMES: usize = 40;
const ROUNDS: usize = 4;
const TIMEOUT: Duration = Duration::from_millis(500);

#[test]
fn a_name_service_that_never_answers_holds_up_no_check() {
    let directory = tempfile::tempdir().unwrap();
    let servers = directory.path().join("resolv.conf");
    std::fs::write(&servers, "nameserver 127.0.0.1\n").unwrap();
    let script = "mount --bind \"$1\" /etc/resolv.conf && shift && \
        exec unshare --net sh -c 'ip link set lo up && exec \"$@\"' sh \"$@\"";
    match ground::privately(script) {
        Ok(mut shell) => {
            shell.arg(&servers).arg(this());
            run_child(shell, "mute::the_child_without_a_name_service", directory.path());
        }
        Err(why) => ground::again_as_root(ground::this_test!(), &why),
    }
}

#[test]
#[ignore = "the other starts it"]
fn the_child_without_a_name_service() {
    let Some(directory) = child_directory() else { return };
    let _mute = UdpSocket::bind("127.0.0.1:53").unwrap();
    let good = servers::plain(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut entries = format!(
        "  - {{name: address, url: 'http://127.0.0.1:{good}/'}}\n  - {{name: file, url: 'http://localhost:{good}/'}}\n"
    );
    for number in 0..NAMES {
        let timeout = TIMEOUT.as_millis();
        entries.push_str(&format!("  - {{url: 'http://www.site-{number}.example/', timeout: {timeout}ms}}\n"));
    }
    let monitors = monitors(&directory, &entries);
    let checker = Checker::new().unwrap();
    // This one and its parent, the server's, two for the names that are answered, and one for each that is not.
    let most = Held { threads: 2 + servers::THREADS as u64 + 2 + NAMES as u64, descriptors: usize::MAX };
    for round in 1..=ROUNDS {
        let (outcomes, longest) = check_each(&checker, &monitors);
        // The threads that waited for a check end by and by.
        let now = Held::settled(most);
        assert!(now.threads <= most.threads, "{now:?}");
        say(&format!(
            "round {round}: {NAMES} names without an answer: {outcomes:?}, the longest after {longest:?} of {TIMEOUT:?}; \
             {} threads, {} descriptors",
            now.threads, now.descriptors
        ));
        // A machine that runs tests is busy; what a look-up would take by itself is ten seconds.
        assert!(longest < Duration::from_secs(5), "{longest:?}");
        assert!(outcomes.contains("address: success") && outcomes.contains("file: success"), "{outcomes:?}");
        let blamed = ["name: timeout", "name: agent_error"].map(|outcome| outcomes.contains(outcome));
        assert!(blamed[1] && (round == 1 || !blamed[0]), "{outcomes:?}");
    }
}

/// Checks each monitor in a thread of its own; which outcomes there were, and the longest time that one took.
fn check_each(checker: &Checker, monitors: &[Monitor]) -> (BTreeSet<String>, Duration) {
    let outcomes = Mutex::new((BTreeSet::new(), Duration::ZERO));
    thread::scope(|scope| {
        for monitor in monitors {
            let outcomes = &outcomes;
            scope.spawn(move || {
                let result = checker.check(monitor, Timestamp::now());
                let name = if result.name.starts_with("http") { "name" } else { &result.name };
                let mut outcomes = outcomes.lock();
                outcomes.0.insert(format!("{name}: {}", result.outcome));
                outcomes.1 = outcomes.1.max(Duration::from_micros(result.response_time_us.unwrap()));
            });
        }
    });
    outcomes.into_inner()
}
