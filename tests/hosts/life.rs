//! What an operator does to a host, and what must be true after it.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::web::Answer;

use crate::host::{AGENT, AGENT_YAML, COLLECTOR, COLLECTOR_YAML, Host, OPERATORS};
use crate::names;
use crate::packages::LATER;
use crate::site::NAME;

const OUTBOX: &str = "/var/lib/website-monitor/outbox";

/// As many results wait at the upgrade.
const BACKLOG: u64 = 10_000;
/// This many monitors make them.
const QUICK: usize = 20;

impl Host {
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
        for (file, daemon) in [("agent.yaml", AGENT), ("collector.yaml", COLLECTOR)] {
            for file in [format!("/etc/website-monitor/{file}"), format!("/etc/default/{daemon}")] {
                let mode = self.machine.ok(&["stat", "-c", "%a %U:%G", &file])?;
                ensure!(mode.trim() == format!("640 root:{daemon}"), "{file}: {mode}");
            }
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

    /// The command of a receiver writes where a drop-in lets it, with none of the collector's variables.
    pub(crate) fn opens_its_sandbox_to_a_command_by_a_drop_in(&self) -> Result<()> {
        step("a drop-in for a command");
        let program = "#!/bin/sh\nset -e\nenv >/var/spool/pager/environment\ncat >>/var/spool/pager/told\n";
        self.machine.write("/usr/local/bin/page", program)?;
        self.machine.ok(&["chmod", "755", "/usr/local/bin/page"])?;
        self.machine.ok(&["install", "-d", "-o", COLLECTOR, "/var/spool/pager"])?;
        let without = fs::read_to_string(self.machine.path(COLLECTOR_YAML))?;
        let alerts = "alerts:\n  group_wait: 0s\n  rules: [{name: down, what: down}]\n  \
                      receivers: [{name: pager, command: {argv: [/usr/local/bin/page]}}]\n";
        self.machine.write(COLLECTOR_YAML, format!("{without}\n{alerts}"))?;
        let list = "/etc/website-monitor/monitors.d/down.yaml";
        let down = self.stack.web.site("/down", Answer::status(500));
        self.machine.write(list, format!("- {{name: down, url: \"{down}\", interval: 1}}\n"))?;
        self.machine.ok(&["systemctl", "restart", COLLECTOR])?;
        self.machine.ok(&["systemctl", "reload", AGENT])?;
        self.eventually("the command is refused", || {
            let refused = "website_monitor.notifications where last_error like '/usr/local/bin/page ended with %'";
            ensure!(self.stack.database.count(refused)? == 1, "{}", self.report(COLLECTOR));
            Ok(())
        })?;
        ensure!(!self.is_there("/var/spool/pager/environment"), "it writes without a drop-in");

        let drop_in = format!("/etc/systemd/system/{COLLECTOR}.service.d");
        self.machine.ok(&["mkdir", &drop_in])?;
        self.machine.write(&format!("{drop_in}/override.conf"), "[Service]\nReadWritePaths=/var/spool/pager\n")?;
        self.machine.ok(&["systemctl", "daemon-reload"])?;
        self.machine.ok(&["systemctl", "restart", COLLECTOR])?;
        let told = self.eventually("the command is told", || {
            fs::read_to_string(self.machine.path("/var/spool/pager/told")).with_context(|| self.report(COLLECTOR))
        })?;
        ensure!(told.contains(r#""receiver":"pager""#), "{told}");
        let environment = fs::read_to_string(self.machine.path("/var/spool/pager/environment"))?;
        for not_for_it in ["DATABASE_URL", "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY", "INVOCATION_ID"] {
            ensure!(!environment.contains(not_for_it), "{environment}");
        }

        self.machine.ok(&["rm", "-r", &drop_in, list])?;
        self.machine.write(COLLECTOR_YAML, without)?;
        self.machine.ok(&["systemctl", "daemon-reload"])?;
        self.machine.ok(&["systemctl", "restart", COLLECTOR])?;
        self.machine.ok(&["systemctl", "reload", AGENT])?;
        self.await_status(AGENT, "2 monitors").map(drop)
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

    pub(crate) fn is_started_again_by_the_watchdog_when_it_hangs(&self) -> Result<()> {
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
}

fn step(what: &str) {
    eprintln!("-- {what}");
}
