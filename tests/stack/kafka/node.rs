//! One node of a Kafka cluster: broker and controller in one process.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;

use super::java::Java;
use super::secured::{Secured, Way};
use crate::certificates::Authority;
use crate::directory::{copy_all, directory};
use crate::ports::free_port;
use crate::process::Process;
use crate::proxy::Proxy;

const BOUND: Duration = Duration::from_secs(60);

/// 16 bytes in URL-safe base64, as Kafka wants it.
const CLUSTER: &str = "d2Vic2l0ZS1tb25pdG9yLQ";

/// Over this many partitions the offsets of groups are spread.
pub(super) const OFFSETS_PARTITIONS: i32 = 5;

/// Who may come in at the login port.
const USERS: &str = "listener.name.login.plain.sasl.jaas.config";
const LOGIN_MODULE: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required";

/// A node of a cluster.
pub struct Node {
    /// The network between daemons and this node.
    pub proxy: Proxy,
    ports: Ports,
    directory: PathBuf,
    java: Java,
    secured: Option<Secured>,
    process: Mutex<Option<Process>>,
}

#[derive(Clone, Copy)]
struct Ports {
    proxied: u16,
    direct: u16,
    login: u16,
    controller: u16,
}

impl Node {
    /// The nodes of a new cluster, formatted, none of them running.
    pub(super) fn cluster(count: usize, java: &Java, authority: Option<&Authority>) -> Result<Vec<Node>> {
        let mut all = Vec::new();
        for _ in 0..count {
            let [proxied, direct, login, controller] = [free_port()?, free_port()?, free_port()?, free_port()?];
            all.push(Ports { proxied, direct, login, controller });
        }
        (0..count).map(|index| Node::create(index, &all, java, authority)).collect()
    }

    fn create(index: usize, all: &[Ports], java: &Java, authority: Option<&Authority>) -> Result<Node> {
        let secured = authority.map(Secured::by).transpose()?;
        let ports = all[index];
        let directory = directory("kafka")?;
        let proxy = Proxy::start("127.0.0.1", ports.proxied)?;
        fs::write(
            directory.join("server.properties"),
            properties(index, all, proxy.port(), &directory, secured.as_ref()),
        )?;
        let node = Node { proxy, ports, directory, java: java.clone(), secured, process: Mutex::default() };
        let mut format = node.java.program("kafka.tools.StorageTool", &node.directory);
        format.args(["format", "-t", CLUSTER, "-c", "server.properties"]);
        if node.secured.is_some() {
            format.args(Secured::users());
        }
        let ended = Process::run("kafka-format", format, BOUND)?;
        ensure!(ended.status.success(), "Kafka's storage could not be formatted: {}{}", ended.stdout, ended.stderr);
        Ok(node)
    }

    /// The port that daemons connect to: the proxy's.
    pub(super) fn port(&self) -> u16 {
        self.proxy.port()
    }

    /// The port past the proxy.
    pub(super) fn direct_port(&self) -> u16 {
        self.ports.direct
    }

    /// The port that asks for a user and a password (SASL PLAIN over plaintext), past the proxy.
    pub fn login_port(&self) -> u16 {
        self.ports.login
    }

    /// Where a secured node lets in in this way, past the proxy.
    ///
    /// # Errors
    /// When the node is not secured.
    pub fn secured(&self, way: Way) -> Result<String> {
        Ok(self.secured.as_ref().context("this node is not secured: use Kafka::start_secured")?.address(way))
    }

    /// Another way to the node than the address that it advertises.
    ///
    /// # Errors
    /// When there is no port.
    pub fn another_way(&self) -> Result<Proxy> {
        Proxy::start("127.0.0.1", self.ports.proxied)
    }

    /// From its next start on the node advertises another port.
    ///
    /// # Errors
    /// When its configuration can't be written.
    pub fn advertise(&self, port: u16) -> Result<()> {
        let own = self.proxy.port();
        self.reconfigure("advertised.listeners", |listeners| {
            listeners.replace(&format!("PROXIED://127.0.0.1:{own}"), &format!("PROXIED://127.0.0.1:{port}"))
        })
    }

    /// From its next start on the node lets one user in at its login port.
    ///
    /// # Errors
    /// When its configuration can't be written.
    pub fn let_in(&self, user: &str, password: &str) -> Result<()> {
        self.reconfigure(USERS, |_| format!("{LOGIN_MODULE} user_{user}=\"{password}\";"))
    }

    fn reconfigure(&self, name: &str, change: impl Fn(&str) -> String) -> Result<()> {
        let file = self.directory.join("server.properties");
        let lines = fs::read_to_string(&file)?;
        let changed = lines.lines().map(|line| match line.split_once('=') {
            Some((found, value)) if found == name => format!("{name}={}\n", change(value)),
            _ => format!("{line}\n"),
        });
        Ok(fs::write(&file, changed.collect::<String>())?)
    }

    /// A copy of the log of a topic's partition, as it is on the disk. The node must not run.
    ///
    /// # Errors
    /// When it can't be copied.
    pub fn copy_log(&self, topic: &str, partition: i32) -> Result<PathBuf> {
        let copy = directory("kafka-log")?.join("log");
        copy_all(&self.log(topic, partition), &copy)?;
        Ok(copy)
    }

    /// Puts such a copy in the place of the log: what came later is lost, as on a disk that lost its tail. The node must
    /// not run.
    ///
    /// # Errors
    /// When it can't be replaced.
    pub fn set_log_back(&self, topic: &str, partition: i32, copy: &Path) -> Result<()> {
        let log = self.log(topic, partition);
        fs::remove_dir_all(&log)?;
        copy_all(copy, &log)
    }

    fn log(&self, topic: &str, partition: i32) -> PathBuf {
        self.directory.join("logs").join(format!("{topic}-{partition}"))
    }

    pub(super) fn start_unawaited(&self) -> Result<()> {
        let mut slot = self.slot();
        if !slot.as_ref().is_some_and(Process::is_running) {
            let mut server = self.java.program("kafka.Kafka", &self.directory);
            server.arg("server.properties");
            *slot = Some(Process::start("kafka", &self.directory, server)?);
        }
        Ok(())
    }

    pub(super) fn ask_to_stop(&self) {
        if let Some(process) = &*self.slot() {
            process.signal(crate::process::Signal::TERM);
        }
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn stop(&self) -> Result<()> {
        let process = self.slot().take();
        process.map_or(Ok(()), |process| process.terminate(BOUND).map(drop))
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.slot().take();
    }

    /// SIGSTOP: connections stay, and no one answers.
    pub fn pause(&self) {
        if let Some(process) = &*self.slot() {
            process.pause();
        }
    }

    /// SIGCONT.
    pub fn resume(&self) {
        if let Some(process) = &*self.slot() {
            process.resume();
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.slot().as_ref().is_some_and(Process::is_running)
    }

    /// Who is the active controller, as far as this node knows.
    pub(super) fn believed_controller(&self) -> Option<i64> {
        let file = self.directory.join("logs/__cluster_metadata-0/quorum-state");
        let state: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        state["leaderId"].as_i64()
    }

    pub(super) fn tail(&self) -> String {
        self.slot().as_ref().map(Process::tail).unwrap_or_default()
    }

    fn slot(&self) -> parking_lot::MutexGuard<'_, Option<Process>> {
        self.process.lock()
    }
}

fn properties(index: usize, all: &[Ports], proxy: u16, directory: &Path, secured: Option<&Secured>) -> String {
    let id = index + 1;
    let Ports { proxied, direct, login, controller } = all[index];
    let voters: Vec<String> =
        all.iter().enumerate().map(|(index, ports)| format!("{}@127.0.0.1:{}", index + 1, ports.controller)).collect();
    let voters = voters.join(",");
    let replicas = all.len();
    let in_sync = if replicas > 2 { 2 } else { 1 };
    let logs = directory.join("logs");
    let logs = logs.display();
    let more = |text: fn(&Secured) -> String| secured.map(text).unwrap_or_default();
    let (bound, advertised) = (more(|it| it.listeners("127.0.0.1")), more(|it| it.listeners("localhost")));
    let (protocols, security) = (more(|_| Secured::protocols()), more(Secured::properties));
    format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={voters}\n\
         listeners=PROXIED://127.0.0.1:{proxied},DIRECT://127.0.0.1:{direct},LOGIN://127.0.0.1:{login},\
         CONTROLLER://127.0.0.1:{controller}{bound}\n\
         advertised.listeners=PROXIED://127.0.0.1:{proxy},DIRECT://127.0.0.1:{direct},LOGIN://127.0.0.1:{login}{advertised}\n\
         listener.security.protocol.map=PROXIED:PLAINTEXT,DIRECT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\
         {protocols}\n\
         listener.name.login.sasl.enabled.mechanisms=PLAIN\n\
         {USERS}={LOGIN_MODULE};\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=DIRECT\n\
         log.dirs={logs}\n\
         default.replication.factor={replicas}\n\
         min.insync.replicas={in_sync}\n\
         offsets.topic.replication.factor={replicas}\n\
         offsets.topic.num.partitions={OFFSETS_PARTITIONS}\n\
         transaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr={in_sync}\n\
         share.coordinator.state.topic.replication.factor={replicas}\n\
         share.coordinator.state.topic.min.isr={in_sync}\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n\
         auto.create.topics.enable=false\n\
         {security}"
    )
}
