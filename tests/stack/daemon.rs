//! A daemon of ours as a black box: the built program, a configuration file, a process that comes and goes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use crate::directory::directory;
use crate::process::{Finished, Process, Signal};

const BOUND: Duration = Duration::from_secs(60);

/// A daemon with its configuration, running or not.
pub struct Daemon {
    name: &'static str,
    program: PathBuf,
    directory: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Daemon {
    /// A daemon in a directory of its own, where its configuration is now written. It doesn't run yet.
    ///
    /// # Errors
    /// When its program isn't built.
    pub fn new(name: &'static str, settings: &Settings) -> Result<Daemon> {
        Daemon::new_in(name, directory(name)?, settings)
    }

    /// The same in a directory that is there.
    ///
    /// # Errors
    /// When its program isn't built.
    pub fn new_in(name: &'static str, directory: PathBuf, settings: &Settings) -> Result<Daemon> {
        let daemon = Daemon { name, program: program(name)?, directory, process: Mutex::default() };
        daemon.configure(settings)?;
        Ok(daemon)
    }

    /// Writes its configuration again. A running daemon isn't told.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn configure(&self, settings: &Settings) -> Result<()> {
        fs::write(self.config(), serde_yaml::to_string(&settings.0)?).context("cannot write the configuration")
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.directory.join("config.yaml")
    }

    /// Its `http.listen`.
    ///
    /// # Errors
    /// When it has none.
    pub fn listens(&self) -> Result<SocketAddr> {
        let settings: Value = serde_yaml::from_str(&fs::read_to_string(self.config())?)?;
        Ok(settings["http"]["listen"].as_str().context("no http.listen")?.parse()?)
    }

    /// The whole answer, head and body, to a request of its `http.listen`.
    ///
    /// # Errors
    /// When it has none, or no one answers there.
    pub fn get(&self, path: &str) -> Result<String> {
        self.get_with(path, "")
    }

    /// The same with more in the request's head: lines that each end with CRLF.
    ///
    /// # Errors
    /// When it has none, or no one answers there.
    pub fn get_with(&self, path: &str, lines: &str) -> Result<String> {
        let address = self.listens()?;
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(BOUND))?;
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{lines}\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Starts `run`, unless it runs.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn start(&self) -> Result<()> {
        self.start_by(self.invocation(&["run"]))
    }

    /// Starts it by a command that a test made of its [`Daemon::invocation`], unless it runs.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn start_by(&self, command: Command) -> Result<()> {
        let mut slot = self.slot();
        if !slot.as_ref().is_some_and(Process::is_running) {
            *slot = Some(Process::start(self.name, &self.directory, command)?);
        }
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&self) {
        if let Some(process) = self.slot().take() {
            process.kill();
        }
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// When it doesn't run or doesn't end.
    pub fn stop(&self) -> Result<Finished> {
        let process = self.slot().take().with_context(|| format!("{} does not run", self.name))?;
        process.terminate(BOUND)
    }

    /// Waits for its end, that no one asks for.
    ///
    /// # Errors
    /// When it doesn't run or doesn't end.
    pub fn wait(&self) -> Result<Finished> {
        let process = self.slot().take().with_context(|| format!("{} does not run", self.name))?;
        process.wait(BOUND)
    }

    /// SIGSTOP.
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

    /// SIGHUP.
    pub fn hang_up(&self) {
        if let Some(process) = &*self.slot() {
            process.signal(Signal::HUP);
        }
    }

    /// Whether it was started and has not ended.
    pub fn is_running(&self) -> bool {
        self.slot().as_ref().is_some_and(Process::is_running)
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.slot().as_ref().map(Process::id)
    }

    /// All that it has logged, in all of its runs.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join(format!("{}.err", self.name))).unwrap_or_default()
    }

    /// Runs one of its other commands to its end, with the same configuration.
    ///
    /// # Errors
    /// When it can't be started or doesn't end.
    pub fn command(&self, arguments: &[&str]) -> Result<Finished> {
        Process::run(self.name, self.invocation(arguments), BOUND)
    }

    /// One of its commands, to be run by the test itself, as another user say.
    pub fn invocation(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("-c").arg(self.config());
        command
    }

    fn slot(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock()
    }
}

/// A configuration to be written.
#[derive(Clone, Debug)]
pub struct Settings(pub Value);

impl Settings {
    /// Sets an option by its path, such as `outbox.max_size`; sections appear as needed.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) {
        let mut place = &mut self.0;
        for part in path.split('.') {
            place = &mut place[part];
        }
        *place = value.into();
    }
}

/// The programs lie beside us, or above us where Cargo keeps test binaries.
///
/// # Errors
/// When it is not there.
pub fn program(name: &str) -> Result<PathBuf> {
    let ourselves = env::current_exe().context("where are we?")?;
    let mut beside = ourselves.parent().context("where are we?")?;
    if beside.ends_with("deps") {
        beside = beside.parent().context("where are we?")?;
    }
    let program = beside.join(name);
    ensure!(
        program.exists(),
        "{} is not built: run `cargo build --workspace` before `cargo test`, or run the tests by `./dev test`",
        program.display()
    );
    Ok(program)
}
