//! Connections to Kafka and PostgreSQL are encrypted or need a login. The tests ask whether records pass where they
//! may, and whether they wait where they may not.

use anyhow::{Result, ensure};
use e2e::agent::{Agent, AgentSetup};
use e2e::certificates::{Authority, Certificate};
use e2e::collector::{Collector, CollectorSetup};
use e2e::kafka::{PASSWORD, USER, Way};
use e2e::web::Answer;
use e2e::{Stack, eventually};
use serde_json::{Value, json};

use crate::truth::{assert_each_request_has_one_row, assert_verified, await_no_lag, settle};

/// A password that no server accepts.
const WRONG: &str = "s3cret-that-is-wrong";

/// The options by which a daemon connects to Kafka.
#[derive(Clone)]
struct Entrance {
    servers: String,
    protocol: &'static str,
    ssl: Value,
    sasl: Option<Value>,
}

impl Entrance {
    fn new(stack: &Stack, way: Way, ca: &Authority) -> Result<Entrance> {
        let servers = stack.kafka.nodes()?[0].secured(way)?;
        let protocol = if way == Way::SaslTls { "sasl_ssl" } else { "ssl" };
        Ok(Entrance { servers, protocol, ssl: json!({"ca_file": ca.ca_file()}), sasl: None })
    }

    fn certified(mut self, client: &Certificate) -> Entrance {
        self.ssl["certificate_file"] = json!(client.certificate_file);
        self.ssl["key_file"] = json!(client.key_file);
        self
    }

    fn login(mut self, mechanism: &str, password: &str) -> Entrance {
        self.sasl = Some(json!({"mechanism": mechanism, "username": USER, "password": password}));
        self
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        let mut options = vec![
            ("kafka.bootstrap_servers", json!(self.servers)),
            ("kafka.security_protocol", json!(self.protocol)),
            ("kafka.ssl", self.ssl.clone()),
        ];
        options.extend(self.sasl.clone().map(|sasl| ("kafka.sasl", sasl)));
        options
    }

    fn agent(&self, stack: &Stack, name: &str) -> Result<Agent> {
        let site = stack.web.site(&format!("/{name}"), Answer::ok(""));
        let setup = stack.agent().name(name).interval("200ms").monitor(name, site);
        self.options().into_iter().fold(setup, |setup: AgentSetup, (path, value)| setup.set(path, value)).build()
    }

    fn collector(&self, stack: &Stack) -> Result<Collector> {
        let setup = stack.collector();
        self.options().into_iter().fold(setup, |setup: CollectorSetup, (path, value)| setup.set(path, value)).build()
    }
}

fn all_ways(stack: &Stack, ca: &Authority, client: &Certificate) -> Result<Vec<(&'static str, Entrance)>> {
    let entrance = |way| Entrance::new(stack, way, ca);
    Ok(vec![
        ("tls", entrance(Way::Tls)?),
        ("mutual-tls", entrance(Way::MutualTls)?.certified(client)),
        ("plain", entrance(Way::SaslTls)?.login("PLAIN", PASSWORD)),
        ("scram-256", entrance(Way::SaslTls)?.login("SCRAM-SHA-256", PASSWORD)),
        ("scram-512", entrance(Way::SaslTls)?.login("SCRAM-SHA-512", PASSWORD)),
    ])
}

fn await_rows_of(stack: &Stack, name: &str, collector: &Collector, agent: &Agent) {
    eventually(&format!("{name} delivers"), || {
        let rows = stack.rows(&stack.web.url(&format!("/{name}")))?;
        ensure!(rows >= 5, "{rows} rows\n{}\n{}", agent.log(), collector.log());
        Ok(())
    });
}

#[test]
fn each_encrypted_way_delivers_from_agent_to_row() -> Result<()> {
    let ca = Authority::new("our authority")?;
    let stack = Stack::start_secured(&ca)?;
    let client = ca.sign("client")?;
    for (name, entrance) in all_ways(&stack, &ca, &client)? {
        let (collector, agent) = (entrance.collector(&stack)?, entrance.agent(&stack, name)?);
        collector.start()?;
        agent.start()?;
        await_rows_of(&stack, name, &collector, &agent);
        settle(&stack, &agent, &collector)?;
        assert_verified(&collector)?;
        collector.stop()?;
        for log in [agent.log(), collector.log()] {
            assert!(!log.contains(PASSWORD), "{log}");
        }
    }
    assert_each_request_has_one_row(&stack)
}

#[test]
fn what_is_refused_for_its_certificate_or_password_waits_is_said_and_arrives_once_mended() -> Result<()> {
    let (ca, stranger) = (Authority::new("our authority")?, Authority::new("another authority")?);
    let stack = Stack::start_secured(&ca)?;
    let client = ca.sign("client")?;
    let entrance = |way, ca| Entrance::new(&stack, way, ca);
    let tls = entrance(Way::Tls, &ca)?;
    let elsewhere = Entrance { servers: tls.servers.replace("localhost", "127.0.0.1"), ..tls.clone() };
    let login = entrance(Way::SaslTls, &ca)?;
    let mutual = entrance(Way::MutualTls, &ca)?;
    let faults = [
        ("wrong-authority", entrance(Way::Tls, &stranger)?, tls.clone(), "certificate"),
        ("wrong-host", elsewhere, tls, "certificate"),
        ("no-certificate", mutual.clone(), mutual.clone().certified(&client), "certificate"),
        (
            "strange-certificate",
            mutual.clone().certified(&stranger.sign("client")?),
            mutual.certified(&client),
            "certificate",
        ),
        (
            "wrong-plain",
            login.clone().login("PLAIN", WRONG),
            login.clone().login("PLAIN", PASSWORD),
            "Authentication failed",
        ),
        (
            "wrong-scram",
            login.clone().login("SCRAM-SHA-512", WRONG),
            login.login("SCRAM-SHA-512", PASSWORD),
            "Authentication failed",
        ),
    ];
    let mut refused = Vec::new();
    for (name, bad, good, told) in &faults {
        let (agent, collector) = (bad.agent(&stack, name)?, bad.collector(&stack)?);
        agent.start()?;
        collector.start()?;
        refused.push((name, agent, collector, good, told));
    }
    for (name, agent, collector, _, told) in &refused {
        eventually(&format!("{name}: both say why, and results wait"), || {
            let (said, heard) = (agent.log(), collector.log());
            let line = |log: &str, begin: &str| log.lines().any(|line| line.contains(begin) && line.contains(*told));
            ensure!(line(&said, "kafka takes no records"), "{said}");
            ensure!(line(&heard, "kafka"), "{heard}");
            let status = agent.outbox_status()?;
            ensure!(status.pending >= 10 && status.acknowledged_position == 0, "{status:?}");
            Ok(())
        });
    }
    assert_eq!(stack.topic.len()?, 0);

    for (name, agent, collector, good, _) in &refused {
        collector.stop()?;
        agent.stop()?;
        assert!(agent.outbox_status()?.pending >= 10, "{name}");
        let mut settings = agent.settings.clone();
        for (path, value) in good.options() {
            settings.set(path, value);
        }
        agent.configure(&settings)?;
        agent.start()?;
    }
    let collector = all_ways(&stack, &ca, &client)?.remove(1).1.collector(&stack)?;
    collector.start()?;
    for (name, agent, ..) in &refused {
        await_rows_of(&stack, name, &collector, agent);
    }
    for (name, agent, refused, ..) in &refused {
        settle(&stack, agent, &collector)?;
        for log in [agent.log(), refused.log(), collector.log()] {
            assert!(!log.contains(WRONG) && !log.contains(PASSWORD), "{name}: {log}");
        }
    }
    await_no_lag(&stack, &collector);
    assert_each_request_has_one_row(&stack)?;
    assert_eq!(assert_verified(&collector)?.total.dropped, 0);
    Ok(())
}

#[test]
fn a_collector_verifies_the_database_and_shows_its_own_certificate() -> Result<()> {
    let (ca, stranger) = (Authority::new("our authority")?, Authority::new("another authority")?);
    let stack = Stack::start_secured(&ca)?;
    let client = ca.sign("client")?;
    let password = stack.database.password();
    stack.database.execute(&format!(
        "create role certified login password '{password}'; grant create on database {} to certified",
        stack.database.name()
    ))?;
    let setup = |host: &str, ssl: Value| {
        stack.collector().set("database.user", "certified").set("database.host", host).set("database.ssl", ssl)
    };
    let certified = |ca: &Authority, client: &Certificate| json!({"ca_file": ca.ca_file(), "certificate_file": client.certificate_file, "key_file": client.key_file});
    let agent = stack.agent().interval("200ms").monitor("site", stack.web.site("/site", Answer::ok(""))).start()?;
    for (setup, told) in [
        (setup("localhost", certified(&stranger, &client)), "certificate verify failed"),
        (setup("127.0.0.1", certified(&ca, &client)), "does not match host name"),
        (setup("localhost", json!({"ca_file": ca.ca_file()})), "valid client certificate"),
        (setup("localhost", certified(&ca, &stranger.sign("client-2")?)), "unknown ca"),
    ] {
        let collector = setup.start()?;
        eventually("the collector says why", || {
            let log = collector.log();
            let told = log.lines().any(|line| line.contains("waiting for it") && line.contains(told));
            ensure!(told, "{log}");
            Ok(())
        });
        collector.stop()?;
        assert!(!collector.log().contains(password), "{}", collector.log());
    }
    let collector = setup("localhost", certified(&ca, &client)).start()?;
    await_rows_of(&stack, "site", &collector, &agent);
    let encrypted = "pg_stat_ssl s join pg_stat_activity a using (pid) where a.usename = 'certified' and not s.ssl";
    assert_eq!(stack.database.count(encrypted)?, 0);
    settle(&stack, &agent, &collector)?;
    assert_each_request_has_one_row(&stack)?;
    assert_verified(&collector)?;
    Ok(())
}
