//! Something is wrong with the way to Kafka or to the database. The tests ask whether the reason is told in the log, in
//! systemd's status and in the metrics.
//!
//! `localhost` has two addresses on most machines, and servers often listen at only one of them. A connection to the
//! other address is refused, which is not the reason. A refused certificate or password must still be told.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::certificates::Authority;
use e2e::daemon::Daemon;
use e2e::kafka::{USER, Way};
use e2e::ports::free_port;
use e2e::systemd::Systemd;
use e2e::web::Answer;
use e2e::{Stack, eventually};
use serde_json::{Value, json};

const ONE_ADDRESS: &str = "127.0.0.1 localhost\n";
const TWO_ADDRESSES: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
/// The shell command that gives one daemon another `/etc/hosts`, which no other process sees.
const WITH_HOSTS: &str = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";

/// A fault: its name, the options that cause it, and how it is told.
struct Fault {
    name: &'static str,
    options: Vec<(&'static str, Value)>,
    /// The words of the reason, in the log and in the status.
    words: &'static str,
    /// The metric whose value is 1 because of the fault.
    metric: &'static str,
}

#[test]
fn a_refused_certificate_or_password_is_told_everywhere_whatever_other_addresses_a_name_has() -> Result<()> {
    if let Err(why) = ground::privately(WITH_HOSTS) {
        ground::again_as_root(ground::this_test!(), &why);
        return Ok(());
    }
    let (ours, stranger) = (Authority::new("our authority")?, Authority::new("another authority")?);
    let stack = Stack::start_secured(&ours)?;
    let kafka = of_kafka(&stack, &ours, &stranger)?;
    let database = of_database(&ours, &stranger);
    let trials = [ONE_ADDRESS, TWO_ADDRESSES]
        .into_iter()
        .flat_map(|hosts| kafka.iter().chain(&database).map(move |fault| (hosts, fault)));
    std::thread::scope(|scope| {
        let stack = &stack;
        let trials: Vec<_> = trials.map(|(hosts, fault)| scope.spawn(move || is_told(stack, hosts, fault))).collect();
        trials.into_iter().try_for_each(|trial| trial.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Asserts that a fault of Kafka is told by both daemons, and that a fault of the database is told by the collector.
fn is_told(stack: &Stack, hosts: &str, fault: &Fault) -> Result<()> {
    let site = stack.web.site("/", Answer::ok(""));
    let mut agent = stack.agent().interval("200ms").monitor("site", site).set("http.listen", listen()?);
    let mut collector = stack.collector().set("database.host", "localhost").set("http.listen", listen()?);
    for (path, value) in &fault.options {
        (agent, collector) = (agent.set(path, value.clone()), collector.set(path, value.clone()));
    }
    let (agent, collector) = (agent.build()?, collector.build()?);
    if fault.metric.contains("database_failing{reason=\"authentication\"}") {
        fs::write(collector.directory().join("password"), "s3cret-that-is-wrong")?;
    }
    if fault.metric.contains("kafka") {
        await_told(&agent, "kafka takes no records", hosts, fault)?;
        await_told(&collector, "kafka is away", hosts, fault)
    } else {
        await_told(&collector, "the database does not store", hosts, fault)
    }
}

fn of_kafka(stack: &Stack, ours: &Authority, stranger: &Authority) -> Result<[Fault; 2]> {
    let node = &stack.kafka.nodes()?[0];
    let options = |way: Way, protocol: &str, ca: &Authority| -> Result<Vec<(&'static str, Value)>> {
        Ok(vec![
            ("kafka.bootstrap_servers", json!(node.secured(way)?)),
            ("kafka.security_protocol", json!(protocol)),
            ("kafka.ssl", json!({"ca_file": ca.ca_file()})),
        ])
    };
    let login = json!({"mechanism": "SCRAM-SHA-512", "username": USER, "password": "s3cret-that-is-wrong"});
    let mut password = options(Way::SaslTls, "sasl_ssl", ours)?;
    password.push(("kafka.sasl", login));
    Ok([
        Fault {
            name: "Kafka's certificate",
            options: options(Way::Tls, "ssl", stranger)?,
            words: "certificate",
            metric: "website_monitor_kafka_failing{reason=\"tls\"} 1",
        },
        Fault {
            name: "Kafka's password",
            options: password,
            words: "Authentication failed",
            metric: "website_monitor_kafka_failing{reason=\"authentication\"} 1",
        },
    ])
}

fn of_database(ours: &Authority, stranger: &Authority) -> [Fault; 2] {
    [
        Fault {
            name: "the database's certificate",
            options: vec![("database.ssl", json!({"ca_file": stranger.ca_file()}))],
            words: "certificate verify failed",
            metric: "website_monitor_database_failing{reason=\"tls\"} 1",
        },
        Fault {
            name: "the database's password",
            options: vec![("database.ssl", json!({"ca_file": ours.ca_file()}))],
            words: "password authentication failed",
            metric: "website_monitor_database_failing{reason=\"authentication\"} 1",
        },
    ]
}

fn listen() -> Result<String> {
    Ok(format!("127.0.0.1:{}", free_port()?))
}

/// Starts a daemon that sees these hosts, and waits until the reason is in its log, its status and its metrics.
fn await_told(daemon: &Daemon, said: &str, hosts: &str, fault: &Fault) -> Result<()> {
    let file = daemon.directory().join("hosts");
    fs::write(&file, hosts)?;
    let systemd = Systemd::listen(daemon.directory())?;
    let begin = Instant::now();
    daemon.start_by(systemd.told_by(with_hosts(&file, &daemon.invocation(&["run"]))?))?;
    let words = fault.words;
    eventually(&format!("{}: the log tells why", fault.name), || {
        let log = daemon.log();
        ensure!(log.lines().any(|line| line.contains(said) && line.contains(words)), "{log}");
        Ok(())
    });
    let in_log = begin.elapsed();
    eventually(&format!("{}: the status tells why", fault.name), || {
        let status = systemd.status()?;
        ensure!(status.contains(words), "{status}\n{}", daemon.log());
        Ok(())
    });
    let in_status = begin.elapsed();
    eventually(&format!("{}: a metric tells why", fault.name), || {
        let metrics = daemon.get("/metrics")?;
        ensure!(metrics.contains(fault.metric), "{metrics}");
        Ok(())
    });
    let (in_metric, addresses) = (begin.elapsed(), hosts.lines().count());
    eprintln!(
        "{}, {addresses} address(es), {said}: log {in_log:.1?}, status {in_status:.1?}, metric {in_metric:.1?}",
        fault.name
    );
    Ok(())
}

fn with_hosts(file: &Path, command: &Command) -> Result<Command> {
    let mut shell = ground::privately(WITH_HOSTS).map_err(anyhow::Error::msg)?;
    shell.arg(file).arg(command.get_program()).args(command.get_args());
    Ok(shell)
}
