//! A machine with both packages, what is around it, and the hands and eyes of its operator.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::Stack;
use e2e::collector::Collector;
use e2e::eventually::within;
use e2e::web::Answer;

use crate::machine::Machine;
use crate::packages::bring;
use crate::site::Site;

pub(crate) const AGENT: &str = "website-monitor-agent";
pub(crate) const COLLECTOR: &str = "website-monitor-collector";
pub(crate) const AGENT_YAML: &str = "/etc/website-monitor/agent.yaml";
pub(crate) const COLLECTOR_YAML: &str = "/etc/website-monitor/collector.yaml";

/// Files that no package put there; none takes them away.
pub(crate) const OPERATORS: [&str; 2] = ["ca.pem", "client.pem"];

/// Waits out the watchdog's half minute on a busy machine, and the drain of a backlog.
const BOUND: Duration = Duration::from_secs(180);

/// A machine, and what is around it.
pub(crate) struct Host {
    pub(crate) machine: Machine,
    pub(crate) stack: Stack,
    site: Site,
    /// Asks the tables from outside.
    judge: Collector,
}

impl Host {
    pub(crate) fn boot() -> Result<Host> {
        let stack = Stack::with().own_kafka().own_postgres().start()?;
        let judge = stack.collector().build()?;
        let host = Host { machine: Machine::boot()?, stack, site: Site::start()?, judge };
        bring(&host.machine)?;
        Ok(host)
    }

    /// The two lines that the shipped file wants, this test's topic, and a file with a secret of its own.
    pub(crate) fn fill_in_the_agent(&self) -> Result<()> {
        let plain = self.stack.web.site("/plain", Answer::ok("here"));
        self.edit(AGENT_YAML, |line| {
            if line.starts_with("  bootstrap_servers:") {
                return self.kafka_lines();
            }
            match line.starts_with("#monitors:") {
                true => format!("monitors: [{{name: plain, url: \"{plain}\", interval: 1}}]"),
                false => line.to_owned(),
            }
        })?;
        for name in OPERATORS {
            self.machine.write(&format!("/etc/website-monitor/{name}"), self.site.file(name)?)?;
        }
        let secret = "/etc/website-monitor/agent-credentials/client-key";
        self.machine.write(secret, self.site.file("client.key")?)?;
        self.machine.ok(&["chmod", "0600", secret])?;
        let included = format!(
            "- name: secured\n  url: \"{}\"\n  interval: 1\n  tls:\n    ca_file: ../ca.pem\n    \
             certificate_file: ../client.pem\n    key_file: \"${{CREDENTIALS_DIRECTORY}}/secret_client-key\"\n",
            self.site.url()
        );
        self.machine.write("/etc/website-monitor/monitors.d/secured.yaml", included)
    }

    pub(crate) fn fill_in_the_collector(&self) -> Result<()> {
        let database = &self.stack.database;
        let credential = "/etc/website-monitor/collector-credentials/database-password";
        self.machine.write(credential, database.password())?;
        self.machine.ok(&["chmod", "0600", credential])?;
        self.edit(COLLECTOR_YAML, |line| {
            if line.starts_with("  bootstrap_servers:") {
                return format!("{}\n  group: {}", self.kafka_lines(), self.judge.group);
            }
            match line.starts_with("  url:") {
                true => format!(
                    "  host: 127.0.0.1\n  port: {}\n  name: {}\n  user: {}\n  \
                     password_file: \"${{CREDENTIALS_DIRECTORY}}/secret_database-password\"",
                    database.proxy.port(),
                    database.name(),
                    database.user()
                ),
                false => line.to_owned(),
            }
        })
    }

    fn kafka_lines(&self) -> String {
        let (servers, topic) = (self.stack.kafka.bootstrap_servers(), self.stack.topic.name());
        format!("  bootstrap_servers: {servers}\n  topic: {topic}")
    }

    fn edit(&self, file: &str, change: impl Fn(&str) -> String) -> Result<()> {
        let lines = fs::read_to_string(self.machine.path(file))?;
        self.machine.write(file, lines.lines().map(|line| change(line) + "\n").collect::<String>())
    }

    pub(crate) fn apt(&self, arguments: &[&str]) -> Result<String> {
        // No one is there to ask which of two configurations is to stay.
        let unattended = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"];
        self.machine.ok(&[&unattended[..], arguments].concat())
    }

    /// By the shell's own command: a small system has no other.
    pub(crate) fn kill(&self, signal: &str, process: &str) -> Result<()> {
        self.machine.ok(&["sh", "-c", &format!("kill -{signal} {process}")]).map(drop)
    }

    pub(crate) fn installed(&self, package: &str) -> Result<String> {
        self.machine.ok(&["dpkg-query", "-W", "-f", "${Version}", package])
    }

    pub(crate) fn is_there(&self, inside: &str) -> bool {
        Path::new(&self.machine.path(inside)).exists()
    }

    /// Records that wait.
    pub(crate) fn pending(&self) -> Result<u64> {
        self.outbox("pending")
    }

    /// A figure of the outbox, as the command says beside the running agent or after its end.
    pub(crate) fn outbox(&self, figure: &str) -> Result<u64> {
        let command = ["env", "CREDENTIALS_DIRECTORY=/", AGENT, "outbox", "status", "--format", "json"];
        let status: serde_json::Value = serde_json::from_str(&self.machine.ok(&command)?)?;
        status[figure].as_u64().context("no number")
    }

    pub(crate) fn await_status(&self, daemon: &str, part: &str) -> Result<String> {
        self.eventually(&format!("the status of {daemon} tells: {part}"), || {
            let status = self.machine.property(daemon, "StatusText")?;
            ensure!(status.contains(part), "{status}\n{}", self.report(daemon));
            Ok(status)
        })
    }

    pub(crate) fn await_result(&self, monitor: &str, outcome: &str) -> Result<()> {
        self.eventually(&format!("a {outcome} of {monitor} is stored"), || {
            let from = "website_monitor.results r join website_monitor.monitors m using (monitor_id)";
            let found =
                self.stack.database.count(&format!("{from} where m.name = '{monitor}' and r.outcome = '{outcome}'"));
            ensure!(found? > 0, "{}\n{}", self.report(AGENT), self.report(COLLECTOR));
            Ok(())
        })
    }

    pub(crate) fn await_another_process(&self, daemon: &str, before: &str) -> Result<()> {
        self.eventually(&format!("{daemon} runs again"), || {
            let (now, state) =
                (self.machine.property(daemon, "MainPID")?, self.machine.property(daemon, "ActiveState")?);
            ensure!(now != before && now != "0" && state == "active", "{}", self.report(daemon));
            Ok(())
        })
    }

    /// Stops the agent: all that its outbox ever took is stored, and no number is there twice.
    pub(crate) fn assert_each_once(&self) -> Result<()> {
        self.machine.ok(&["systemctl", "stop", AGENT])?;
        let appended = self.outbox("position")?;
        let total = self.eventually("all that was ever appended is stored", || {
            let verification = self.judge.verify()?;
            let total = verification.total.clone();
            ensure!((verification.code, total.missing, total.pending) == (Some(0), 0, 0), "{verification:#?}");
            ensure!(total.issued == appended && total.stored == appended, "{appended} appended: {verification:#?}");
            Ok(total)
        })?;
        let twice = "(select from website_monitor.results group by epoch_id, seq having count(*) > 1) twice";
        ensure!(self.stack.database.count(twice)? == 0, "numbers are there twice");
        eprintln!("   verify: {} issued, {} stored, {} missing", total.issued, total.stored, total.missing);
        Ok(())
    }

    pub(crate) fn eventually<T>(&self, what: &str, probe: impl FnMut() -> Result<T>) -> Result<T> {
        within(BOUND, what, probe)
    }

    pub(crate) fn report(&self, daemon: &str) -> String {
        let ended = self.machine.run(&["systemctl", "status", "--no-pager", "-n", "20", "-l", daemon]);
        ended.map_or_else(|error| error.to_string(), |ended| ended.stdout + &ended.stderr)
    }
}
