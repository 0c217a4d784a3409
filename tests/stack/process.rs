//! Processes that are always stopped: when dropped, and when the process that started them ends in any way.
//!
//! The kernel sends a child its parent's death signal when the parent's *thread* ends, and the threads of tests
//! end all the time. So one thread that lives as long as the process starts all children.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, Result, anyhow, bail};
use parking_lot::Mutex;
pub use rustix::process::Signal;
use rustix::process::{Pid, getpid, getppid, kill_process, set_parent_process_death_signal};

/// How many of a log's last lines are shown.
const TAIL: usize = 40;

/// A running process, or one that has ended. What it writes goes to files.
pub struct Process {
    name: String,
    child: Mutex<Child>,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What a process left that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it wrote to stdout.
    pub stdout: String,
    /// All that it wrote to stderr.
    pub stderr: String,
}

impl Finished {
    /// The exit code; none when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

impl Process {
    /// Starts a process whose output is appended to `<name>.out` and `<name>.err` in the directory.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(name: &str, directory: &Path, command: Command) -> Result<Process> {
        Process::start_with(name, directory, command, Signal::KILL)
    }

    /// The same for a process that another signal than KILL ends at once and more cleanly.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_with(name: &str, directory: &Path, mut command: Command, at_our_end: Signal) -> Result<Process> {
        let stdout = directory.join(format!("{name}.out"));
        let stderr = directory.join(format!("{name}.err"));
        command.stdin(Stdio::null()).stdout(append(&stdout)?).stderr(append(&stderr)?);
        // Ctrl-C is for us; what it means for the children is ours to say.
        command.process_group(0);
        die_with_us(&mut command, at_our_end);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = spawn(command).with_context(|| format!("cannot start {program}"))?;
        Ok(Process { name: name.into(), child: Mutex::new(child), stdout, stderr })
    }

    /// Runs a process to its end.
    ///
    /// # Errors
    /// When it can't be started, or hasn't ended within the bound.
    pub fn run(name: &str, command: Command, bound: Duration) -> Result<Finished> {
        let directory = crate::directory::directory(name)?;
        let finished = Process::start(name, &directory, command)?.wait(bound);
        fs::remove_dir_all(&directory)?;
        finished
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.lock().id()
    }

    /// Whether it runs (or is stopped by SIGSTOP).
    pub fn is_running(&self) -> bool {
        matches!(self.lock().try_wait(), Ok(None))
    }

    /// Sends a signal; one to a process that has ended is no error.
    pub fn signal(&self, signal: Signal) {
        let mut child = self.lock();
        // Once waited for, its number may be another's.
        if matches!(child.try_wait(), Ok(None)) {
            let pid = Pid::from_child(&child);
            kill_process(pid, signal).ok();
        }
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        self.lock().wait().ok();
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// When it hasn't ended within the bound.
    pub fn terminate(&self, bound: Duration) -> Result<Finished> {
        self.signal(Signal::TERM);
        self.wait(bound)
    }

    /// SIGSTOP: it stays there and does nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it hasn't ended within the bound.
    pub fn wait(&self, bound: Duration) -> Result<Finished> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.lock().try_wait()? {
                let stdout = read(&self.stdout);
                return Ok(Finished { status, stdout, stderr: self.log() });
            }
            if begin.elapsed() > bound {
                bail!("{} has not ended within {} s\n{}", self.name, bound.as_secs(), self.tail());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// All that it and its predecessors of the same name wrote to stderr.
    pub fn log(&self) -> String {
        read(&self.stderr)
    }

    /// The last lines of all that it wrote, under a heading.
    pub fn tail(&self) -> String {
        let both = read(&self.stdout) + &read(&self.stderr);
        let lines: Vec<&str> = both.lines().collect();
        let shown = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        format!("--- last lines of {} ({})\n{shown}", self.name, self.state())
    }

    fn state(&self) -> String {
        match self.lock().try_wait() {
            Ok(None) => "running".into(),
            Ok(Some(status)) => match status.signal() {
                Some(signal) => format!("ended by signal {signal}"),
                None => format!("ended with {}", status.code().unwrap_or_default()),
            },
            Err(error) => error.to_string(),
        }
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Child> {
        self.child.lock()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.tail());
        }
        self.kill();
    }
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

#[allow(unsafe_code)] // Between fork and exec it makes two system calls, nothing else.
fn die_with_us(command: &mut Command, signal: Signal) {
    let us = getpid();
    let ask = move || {
        set_parent_process_death_signal(Some(signal))?;
        // Had we ended before the child could ask, no signal would come.
        if getppid() == Some(us) { Ok(()) } else { Err(io::Error::other("the parent has ended")) }
    };
    unsafe { command.pre_exec(ask) };
}

type Order = (Command, Sender<io::Result<Child>>);

fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, taken) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in taken {
                answer.send(command.spawn()).ok();
            }
        });
        orders
    });
    let (answer, child) = channel();
    spawner.send((command, answer)).map_err(|_| anyhow!("the thread that starts processes has ended"))?;
    Ok(child.recv()??)
}
