//! What an operator does to a host, and what must be true after it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::Stack;
use e2e::collector::Collector;
use e2e::eventually::within;
use e2e::web::Answer;

use crate::machine::Machine;
use crate::names;
use crate::packages::{LATER, bring};
use crate::site::{NAME, Site};

const AGENT: &str = "website-monitor-agent";
const COLLECTOR: &str = "website-monitor-collector";
const AGENT_YAML: &str = "/etc/website-monitor/agent.yaml";
const OUTBOX: &str = "/var/lib/website-monitor/outbox";

/// Files that no package put there; none takes them away.
const OPERATORS: [&str; 2] = ["ca.pem", "client.pem"];

/// Waits out the watchdog's half minute on a busy machine, and the drain of a backlog.
const BOUND: Duration = Duration::from_secs(180);
/// As many results wait at the upgrade.
const BACKLOG: u64 = 10_000;
/// So many monitors make them.
const QUICK: usize = 20;

/// A machine, and what is around it.
pub(crate) struct Host {
    machine: Machine,
    stack: Stack,
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

    pub(crate) fn installs_with_what_it_depends_on(&self) -> Result<()> {
        step("apt install");
        self.machine.ok(&["apt-get", "update", "-q"])?;
        let said = self.apt(&["install", "/root/agent.deb", "/root/collector.deb"])?;
        for daemon in [AGENT, COLLECTOR] {
            ensure!(said.contains(&format!("{daemon} waits for its configuration")), "{said}");
            self.machine.ok(&["systemctl", "is-enabled", daemon])?;
            let exposure = self.machine.ok(&["systemd-analyze", "security", "--no-pager", daemon])?;
            let level: f64 = exposure
                .rsplit_once("exposure level for ")
                .and_then(|(_, end)| end.split_whitespace().nth(1)?.parse().ok())
                .with_context(|| exposure.clone())?;
            eprintln!("   {daemon}: exposure {level}");
            ensure!(level <= 1.5, "{exposure}");
        }
        Ok(())
    }

    pub(crate) fn says_what_an_unfilled_configuration_lacks_and_does_not_try_again(&self) -> Result<()> {
        step("start without configuration");
        for daemon in [AGENT, COLLECTOR] {
            let seen = ["ActiveState", "ExecMainStatus", "NRestarts"].map(|name| self.machine.property(daemon, name));
            let seen = seen.into_iter().collect::<Result<Vec<_>>>()?;
            let journal = self.machine.journal(daemon)?;
            ensure!(seen == ["failed", "78", "0"], "{daemon}: {seen:?}\n{journal}");
            ensure!(journal.contains("kafka.bootstrap_servers") && journal.contains("write host:port"), "{journal}");
        }
        Ok(())
    }

    pub(crate) fn runs_with_what_is_filled_in(&self) -> Result<()> {
        step("configure and start");
        names::serve(&[NAME])?;
        self.machine.write("/etc/resolv.conf", format!("nameserver {}\n", names::ADDRESS))?;
        self.fill_in_the_agent()?;
        self.fill_in_the_collector()?;
        for daemon in [AGENT, COLLECTOR] {
            self.machine.ok(&["systemctl", "restart", daemon]).with_context(|| self.report(daemon))?;
            ensure!(self.machine.property(daemon, "ActiveState")? == "active", "{}", self.report(daemon));
        }
        Ok(())
    }

    /// Names, TLS, a client's certificate, an included file, credentials, the outbox, the tables.
    pub(crate) fn works_in_its_sandbox(&self) -> Result<()> {
        step("work in the sandbox");
        for name in ["plain", "secured"] {
            self.await_result(name, "success")?;
        }
        for daemon in [AGENT, COLLECTOR] {
            let status = self.await_status(daemon, if daemon == AGENT { "2 monitors" } else { "messages stored" })?;
            let process = self.machine.property(daemon, "MainPID")?;
            let memory = self.machine.ok(&["grep", "VmRSS", &format!("/proc/{process}/status")])?;
            eprintln!("   {daemon}: {status}; {}", memory.split_whitespace().collect::<Vec<_>>().join(" "));
            let user = self.machine.ok(&["stat", "-c", "%U", &format!("/proc/{process}")])?;
            ensure!(user.trim() == daemon, "it runs as {user}");
        }
        Ok(())
    }

    pub(crate) fn takes_over_a_sound_file_and_refuses_a_faulty_one(&self) -> Result<()> {
        step("reload");
        let more = self.stack.web.site("/more", Answer::ok("here"));
        let list = format!("- {{name: more, url: \"{more}\", interval: 1}}\n");
        self.machine.write("/etc/website-monitor/monitors.d/more.yaml", list)?;
        self.machine.ok(&["systemctl", "reload", AGENT])?;
        self.await_status(AGENT, "3 monitors")?;
        self.await_result("more", "success")?;

        let sound = fs::read_to_string(self.machine.path(AGENT_YAML))?;
        self.machine.write(AGENT_YAML, "interval: [\n")?;
        self.machine.ok(&["systemctl", "reload", AGENT])?;
        self.await_status(AGENT, "the last reload was refused; 3 monitors as before")?;
        let before = self.stack.web.count("/more");
        self.eventually("it goes on with what it had", || {
            ensure!(self.stack.web.count("/more") > before + 1, "no more checks");
            Ok(())
        })?;
        self.machine.write(AGENT_YAML, sound)?;
        self.machine.ok(&["systemctl", "reload", AGENT])?;
        self.await_status(AGENT, "3 monitors; ")?;
        ensure!(self.machine.property(AGENT, "NRestarts")? == "0", "{}", self.report(AGENT));
        Ok(())
    }

    pub(crate) fn comes_back_after_kill(&self) -> Result<()> {
        step("kill -9");
        for daemon in [AGENT, COLLECTOR] {
            let killed = self.machine.property(daemon, "MainPID")?;
            self.kill("KILL", &killed)?;
            self.await_another_process(daemon, &killed)?;
        }
        Ok(())
    }

    pub(crate) fn is_started_anew_by_the_watchdog_when_it_hangs(&self) -> Result<()> {
        step("SIGSTOP");
        let mut hanging = Vec::new();
        for daemon in [AGENT, COLLECTOR] {
            let process = self.machine.property(daemon, "MainPID")?;
            self.kill("STOP", &process)?;
            hanging.push((daemon, process));
        }
        for (daemon, process) in hanging {
            self.await_another_process(daemon, &process)?;
            let log = self.machine.journal(daemon)?;
            ensure!(log.contains("Watchdog timeout"), "{log}");
        }
        Ok(())
    }

    pub(crate) fn is_upgraded_with_a_backlog_and_without_kafka(&self) -> Result<()> {
        step("upgrade with a backlog, without Kafka");
        self.stack.kafka.stop()?;
        let quick = self.stack.web.site("/quick", Answer::ok("here"));
        let list: String =
            (0..QUICK).map(|n| format!("- {{name: quick-{n}, url: \"{quick}?{n}\", interval: 50ms}}\n")).collect();
        self.machine.write("/etc/website-monitor/monitors.d/quick.yaml", list)?;
        self.machine.ok(&["systemctl", "reload", AGENT])?;
        self.eventually("a backlog waits in the outbox", || {
            let pending = self.pending()?;
            ensure!(pending >= BACKLOG, "{pending} results wait");
            Ok(())
        })?;
        let before = self.machine.property(AGENT, "MainPID")?;
        let mine = fs::read_to_string(self.machine.path(AGENT_YAML))?;
        self.machine.write("/etc/resolv.conf", "")?;
        self.apt(&["install", "/root/agent-later.deb", "/root/collector-later.deb"])?;
        self.machine.write("/etc/resolv.conf", format!("nameserver {}\n", names::ADDRESS))?;
        self.await_another_process(AGENT, &before)?;
        ensure!(self.installed(AGENT)? == LATER, "it is not upgraded");
        ensure!(fs::read_to_string(self.machine.path(AGENT_YAML))? == mine, "the configuration was changed");
        let offered = fs::read_to_string(self.machine.path(&format!("{AGENT_YAML}.dpkg-dist")))?;
        ensure!(offered.contains("of a later version"), "{offered}");
        let pending = self.pending()?;
        ensure!(pending >= BACKLOG, "{pending} results wait after the upgrade");
        eprintln!("   {pending} results wait");
        Ok(())
    }

    pub(crate) fn sends_the_backlog_once(&self) -> Result<()> {
        step("Kafka is back");
        fs::remove_file(self.machine.path("/etc/website-monitor/monitors.d/quick.yaml"))?;
        self.machine.ok(&["systemctl", "reload", AGENT])?;
        self.stack.kafka.start()?;
        self.eventually("the backlog is delivered", || {
            let pending = self.pending()?;
            ensure!(pending < 10, "{pending} results wait");
            Ok(())
        })?;
        self.assert_each_once()?;
        self.machine.ok(&["systemctl", "start", AGENT])?;
        Ok(())
    }

    pub(crate) fn refuses_an_outbox_of_a_later_version(&self) -> Result<()> {
        step("an outbox of a later version");
        let version = format!("{OUTBOX}/VERSION");
        self.machine.ok(&["systemctl", "stop", AGENT])?;
        let known = fs::read(self.machine.path(&version))?;
        self.machine.write(&version, "2\n")?;
        let refused = self.machine.run(&["systemctl", "start", AGENT])?;
        ensure!(!refused.status.success(), "it started");
        ensure!(self.machine.property(AGENT, "ExecMainStatus")? == "78", "{}", self.report(AGENT));
        let journal = self.machine.journal(AGENT)?;
        ensure!(journal.contains("its layout has version 2"), "{journal}");
        self.machine.write(&version, known)?;
        self.machine.ok(&["systemctl", "start", AGENT])?;
        Ok(())
    }

    pub(crate) fn goes_back_to_the_earlier_package(&self) -> Result<()> {
        step("downgrade");
        self.apt(&["--allow-downgrades", "install", "/root/agent.deb", "/root/collector.deb"])?;
        ensure!(self.installed(AGENT)? != LATER, "it is not downgraded");
        for daemon in [AGENT, COLLECTOR] {
            ensure!(self.machine.property(daemon, "ActiveState")? == "active", "{}", self.report(daemon));
        }
        Ok(())
    }

    pub(crate) fn keeps_the_outbox_when_removed_and_nothing_when_purged(&self) -> Result<()> {
        step("remove and purge");
        self.assert_each_once()?;
        self.apt(&["remove", AGENT, COLLECTOR])?;
        ensure!(self.is_there(OUTBOX) && self.is_there(AGENT_YAML), "removal took more than the program");
        ensure!(!self.is_there("/usr/bin/website-monitor-agent"), "the program is still there");
        self.apt(&["purge", AGENT, COLLECTOR])?;
        for gone in ["/var/lib/website-monitor", "/var/lib/website-monitor-collector"] {
            ensure!(!self.is_there(gone), "{gone} is still there");
        }
        let left = fs::read_dir(self.machine.path("/etc/website-monitor"))?;
        let mut left = left.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
        left.sort();
        ensure!(left == OPERATORS, "{left:?} are left");
        Ok(())
    }

    pub(crate) fn is_installed_again(&self) -> Result<()> {
        step("install again");
        self.apt(&["install", "/root/agent.deb", "/root/collector.deb"])?;
        self.says_what_an_unfilled_configuration_lacks_and_does_not_try_again()?;
        self.fill_in_the_agent()?;
        self.machine.ok(&["systemctl", "restart", AGENT]).with_context(|| self.report(AGENT))?;
        self.await_status(AGENT, "2 monitors")?;
        Ok(())
    }

    /// The two lines that the shipped file wants, this test's topic, and a file with a secret of its own.
    fn fill_in_the_agent(&self) -> Result<()> {
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

    fn fill_in_the_collector(&self) -> Result<()> {
        let database = &self.stack.database;
        let credential = "/etc/website-monitor/collector-credentials/database-password";
        self.machine.write(credential, database.password())?;
        self.machine.ok(&["chmod", "0600", credential])?;
        self.edit("/etc/website-monitor/collector.yaml", |line| {
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

    fn apt(&self, arguments: &[&str]) -> Result<String> {
        // Nobody is there to ask which of two configurations is to stay.
        let unattended = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"];
        self.machine.ok(&[&unattended[..], arguments].concat())
    }

    /// By the shell's own command: a small system has no other.
    fn kill(&self, signal: &str, process: &str) -> Result<()> {
        self.machine.ok(&["sh", "-c", &format!("kill -{signal} {process}")]).map(drop)
    }

    fn installed(&self, package: &str) -> Result<String> {
        self.machine.ok(&["dpkg-query", "-W", "-f", "${Version}", package])
    }

    fn is_there(&self, inside: &str) -> bool {
        Path::new(&self.machine.path(inside)).exists()
    }

    /// Records that wait.
    fn pending(&self) -> Result<u64> {
        self.outbox("pending")
    }

    /// A figure of the outbox, as the command says beside the running agent or after its end.
    fn outbox(&self, figure: &str) -> Result<u64> {
        let command = ["env", "CREDENTIALS_DIRECTORY=/", AGENT, "outbox", "status", "--format", "json"];
        let status: serde_json::Value = serde_json::from_str(&self.machine.ok(&command)?)?;
        status[figure].as_u64().context("no number")
    }

    fn await_status(&self, daemon: &str, part: &str) -> Result<String> {
        self.eventually(&format!("the status of {daemon} tells: {part}"), || {
            let status = self.machine.property(daemon, "StatusText")?;
            ensure!(status.contains(part), "{status}\n{}", self.report(daemon));
            Ok(status)
        })
    }

    fn await_result(&self, monitor: &str, outcome: &str) -> Result<()> {
        self.eventually(&format!("a {outcome} of {monitor} is stored"), || {
            let from = "website_monitor.results r join website_monitor.monitors m using (monitor_id)";
            let found =
                self.stack.database.count(&format!("{from} where m.name = '{monitor}' and r.outcome = '{outcome}'"));
            ensure!(found? > 0, "{}\n{}", self.report(AGENT), self.report(COLLECTOR));
            Ok(())
        })
    }

    fn await_another_process(&self, daemon: &str, before: &str) -> Result<()> {
        self.eventually(&format!("{daemon} runs anew"), || {
            let (now, state) =
                (self.machine.property(daemon, "MainPID")?, self.machine.property(daemon, "ActiveState")?);
            ensure!(now != before && now != "0" && state == "active", "{}", self.report(daemon));
            Ok(())
        })
    }

    /// Stops the agent: all that its outbox ever took is stored, and no number is there twice.
    fn assert_each_once(&self) -> Result<()> {
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

    fn eventually<T>(&self, what: &str, probe: impl FnMut() -> Result<T>) -> Result<T> {
        within(BOUND, what, probe)
    }

    fn report(&self, daemon: &str) -> String {
        let ended = self.machine.run(&["systemctl", "status", "--no-pager", "-n", "20", "-l", daemon]);
        ended.map_or_else(|error| error.to_string(), |ended| ended.stdout + &ended.stderr)
    }
}

fn step(what: &str) {
    eprintln!("-- {what}");
}
