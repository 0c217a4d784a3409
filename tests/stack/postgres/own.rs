//! A server that we started, and may stop, kill, copy, and put on a small disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use diesel::{Connection, PgConnection};
use parking_lot::{Mutex, MutexGuard};
use rustix::process::{Pid, kill_process};
use uuid::Uuid;

use super::Address;
use crate::directory::{copy_all, directory};
use crate::eventually::within;
use crate::filler::{FILLER, fill};
use crate::process::{Process, Signal};

const BOUND: Duration = Duration::from_secs(60);

/// Mounts `$1` megabytes for user `$2` and group `$3` on `$4`, and becomes the rest as that user.
const ON_SMALL_DISK: &str = r#"mount -t tmpfs -o "size=$1m,mode=700,uid=$2,gid=$3" tmpfs "$4" && user="$2" group="$3" && shift 4 &&
exec setpriv --reuid="$user" --regid="$group" --clear-groups --pdeathsig QUIT "$@""#;

/// A server that we started.
pub(super) struct Own {
    programs: PathBuf,
    directory: PathBuf,
    user: Option<(u32, u32)>,
    settings: &'static [&'static str],
    /// The megabytes of a disk that only this server sees, until it ends.
    small_disk: Option<u32>,
    process: Mutex<Option<Process>>,
}

impl Own {
    /// A new cluster.
    pub(super) fn create(settings: &'static [&'static str]) -> Result<Own> {
        let own = Own::empty(settings)?;
        let password = own.directory.join("password");
        fs::write(&password, Uuid::new_v4().simple().to_string())?;
        own.give(&password)?;
        let mut initdb = own.command("initdb");
        initdb.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]);
        initdb.args(["--no-sync", "--no-instructions", "--pwfile=password", "--pgdata=data"]);
        let ended = Process::run("initdb", initdb, BOUND)?;
        ensure!(ended.status.success(), "initdb failed: {}{}", ended.stdout, ended.stderr);
        Ok(own)
    }

    /// A copy of a running server, that follows it as a standby.
    pub(super) fn standby_of(primary: &Address) -> Result<Own> {
        let own = Own::empty(&["hot_standby=on"])?;
        own.copy_running(primary, "data", &["--write-recovery-conf"])?;
        Ok(own)
    }

    /// A base backup of the running server, from which it can be brought to a point in time.
    pub(super) fn base_backup(&self, address: &Address) -> Result<PathBuf> {
        let name = format!("base-{}", Uuid::new_v4().simple());
        self.copy_running(address, &name, &[])?;
        Ok(self.directory.join(name))
    }

    fn copy_running(&self, running: &Address, to: &str, more: &[&str]) -> Result<()> {
        let mut copy = self.command("pg_basebackup");
        copy.arg(format!("--pgdata={to}")).args(["--checkpoint=fast", "--no-sync", "--wal-method=stream"]).args(more);
        let Address { user, password, host, port } = running;
        copy.arg(format!("--dbname=host={host} port={port} user={user} application_name=standby"));
        copy.env("PGPASSWORD", password);
        let ended = Process::run("pg_basebackup", copy, BOUND)?;
        ensure!(ended.status.success(), "pg_basebackup failed: {}{}", ended.stdout, ended.stderr);
        Ok(())
    }

    /// From its next start on the server replays its archive up to a restore point, and goes on from there.
    pub(super) fn recover_to(&self, point: &str) -> Result<()> {
        let data = self.directory.join("data");
        let settings = data.join("postgresql.auto.conf");
        let before = fs::read_to_string(&settings)?;
        let recovery = format!(
            "restore_command = 'cp ../archive/%f %p'\nrecovery_target_name = '{point}'\nrecovery_target_action = 'promote'\n"
        );
        fs::write(&settings, before + &recovery)?;
        let signal = data.join("recovery.signal");
        fs::write(&signal, "")?;
        self.give(&signal)
    }

    fn empty(settings: &'static [&'static str]) -> Result<Own> {
        let (programs, user, directory) = (programs()?, other_user()?, directory("postgres")?);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
        let own = Own { programs, user, directory, settings, small_disk: None, process: Mutex::default() };
        own.give(&own.directory)?;
        Ok(own)
    }

    /// Makes a file that of the user that the server runs as.
    pub(super) fn give(&self, path: &Path) -> Result<()> {
        self.user.map_or(Ok(()), |(uid, gid)| Ok(chown(path, Some(uid), Some(gid))?))
    }

    /// The same with a small disk of its own from its next start on.
    ///
    /// # Errors
    /// Where nothing may be mounted: says why.
    pub(super) fn with_small_disk(mut self, megabytes: u32) -> Result<Own> {
        ensure!(self.user.is_some(), "only root can give a server a disk of its own");
        fs::create_dir(self.small_disk())?;
        self.small_disk = Some(megabytes);
        let tried = Process::run("mount", self.server("pg_config"), BOUND)?;
        ensure!(tried.status.success(), "no disk can be mounted here: {}", tried.stderr.trim());
        Ok(self)
    }

    /// Where the small disk is, for the server.
    pub(super) fn small_disk(&self) -> PathBuf {
        self.directory.join("small")
    }

    /// Where it is for anyone who is not in the server's mount namespace.
    fn seen_by_us(&self) -> Result<PathBuf> {
        let id = self.id().context("it does not run")?;
        Ok(Path::new(&format!("/proc/{id}/root")).join(self.small_disk().strip_prefix("/")?))
    }

    /// Takes all the room on the small disk.
    pub(super) fn fill(&self) -> Result<()> {
        fill(&self.seen_by_us()?)
    }

    pub(super) fn make_room(&self) -> Result<()> {
        Ok(fs::remove_file(self.seen_by_us()?.join(FILLER))?)
    }

    /// A copy of a file among its data, which only the server may read.
    pub(super) fn add_file(&self, file: &Path, name: &str) -> Result<()> {
        let copy = self.directory.join("data").join(name);
        fs::copy(file, &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600))?;
        self.give(&copy)
    }

    /// Copies all its data, while it does not run.
    pub(super) fn keep_copy(&self) -> Result<PathBuf> {
        let copy = directory("postgres-copy")?.join("data");
        copy_all(&self.directory.join("data"), &copy)?;
        Ok(copy)
    }

    /// Puts such a copy in the place of its data, while it does not run.
    pub(super) fn put_back(&self, copy: &Path) -> Result<()> {
        let data = self.directory.join("data");
        fs::remove_dir_all(&data)?;
        copy_all(copy, &data)
    }

    /// Puts rules of who may connect before those that `initdb` makes.
    pub(super) fn add_rules(&self, rules: &str) -> Result<()> {
        let path = self.directory.join("data/pg_hba.conf");
        let others = fs::read_to_string(&path)?;
        Ok(fs::write(&path, format!("{rules}{others}"))?)
    }

    pub(super) fn password(&self) -> Result<String> {
        Ok(fs::read_to_string(self.directory.join("password"))?)
    }

    /// The process that all others are children of.
    pub(super) fn id(&self) -> Option<u32> {
        self.slot().as_ref().map(Process::id)
    }

    pub(super) fn end(&self, signal: Signal) -> Result<()> {
        if let Some(process) = self.slot().take() {
            process.signal(signal);
            process.wait(BOUND)?;
        }
        Ok(())
    }

    /// SIGKILL to all of its processes at once.
    pub(super) fn crash(&self) -> Result<()> {
        let Some(process) = self.slot().take() else { return Ok(()) };
        let id = i32::try_from(process.id())?;
        let all = procfs::process::all_processes()?.flatten().flat_map(|process| process.stat());
        // Stopped, it neither reaps its children nor makes new ones: their numbers stay theirs.
        process.pause();
        for child in all.filter(|stat| stat.ppid == id) {
            if let Some(pid) = Pid::from_raw(child.pid) {
                kill_process(pid, Signal::KILL).ok();
            }
        }
        process.kill();
        Ok(())
    }

    pub(super) fn start(&self, address: &Address) -> Result<()> {
        let mut server = self.server("postgres");
        server.args(["-D", "data", "-p", &address.port.to_string()]);
        // Nothing here has to outlive the machine, so it needn't wait for the disk.
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "full_page_writes=off",
            "shared_buffers=64MB",
            "dynamic_shared_memory_type=mmap",
            // There are hundreds of databases, each of which has a worker look at it once in that time.
            "autovacuum_naptime=10min",
            "log_line_prefix=%m [%p] %a ",
        ]
        .iter()
        .chain(self.settings)
        {
            server.args(["-c", setting]);
        }
        // QUIT is its `immediate` stop, which takes its shared memory away, as KILL would not.
        let process = Process::start_with("postgres", &self.directory, server, Signal::QUIT)?;
        within(BOUND, "PostgreSQL answers", || match PgConnection::establish(&address.url("postgres")) {
            Ok(_) => Ok(Ok(())),
            Err(_) if !process.is_running() => Ok(Err(anyhow::anyhow!("PostgreSQL ended\n{}", process.tail()))),
            Err(error) => Err(error.into()),
        })
        .map_err(|error| error.context(process.tail()))??;
        *self.slot() = Some(process);
        Ok(())
    }

    fn slot(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock()
    }

    /// As a command, and on the small disk where there is one.
    fn server(&self, program: &str) -> Command {
        let (Some(megabytes), Some((uid, gid))) = (self.small_disk, self.user) else { return self.command(program) };
        let mut command = ground::privately(ON_SMALL_DISK).expect("only root gives a server a disk of its own");
        command.current_dir(&self.directory);
        command.args([megabytes, uid, gid].map(|number| number.to_string()));
        command.arg(self.small_disk()).arg(self.programs.join(program));
        command
    }

    fn command(&self, program: &str) -> Command {
        self.another(self.programs.join(program))
    }

    /// A program that runs as the server does, beside it.
    pub(super) fn another(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.directory);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let process = self.process.lock().take();
        if let Some(process) = process {
            process.signal(Signal::QUIT);
            process.wait(BOUND).ok();
        }
    }
}

/// Debian keeps the server's programs out of the path, in a directory per version.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    if let Some((_, newest)) = found.pop() {
        return Ok(newest);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).find(|bin| bin.join("initdb").exists());
    in_path.context(
        "PostgreSQL's server programs (initdb, postgres) are missing: install Debian's package `postgresql`, \
         or run the tests by `./dev test`, which does",
    )
}

/// PostgreSQL refuses to run as root. Root therefore runs it as the user that its package makes.
fn other_user() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string(Path::new("/etc/passwd"))?;
    for user in users.lines() {
        let fields: Vec<&str> = user.split(':').collect();
        if let ["postgres", _, uid, gid, ..] = fields[..] {
            return Ok(Some((uid.parse()?, gid.parse()?)));
        }
    }
    bail!("PostgreSQL does not run as root, and there is no user `postgres` to run it as")
}
