//! A private PostgreSQL: a cluster by `initdb` on a free port of 127.0.0.1, and databases in it.

mod secured;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::directory::directory;
use crate::eventually::within;
use crate::ports::free_port;
use crate::process::{Process, Signal};
use crate::proxy::Proxy;
use crate::shared::Shared;

/// Set to the url of a database server where tests may create databases, they don't start one of their own,
/// except for tests that stop it.
pub const EXISTING: &str = "WEBSITE_MONITOR_TEST_POSTGRES";

const BOUND: Duration = Duration::from_secs(60);

/// A database server.
pub struct Postgres {
    address: Address,
    own: Option<Own>,
}

#[derive(Clone)]
struct Address {
    user: String,
    password: String,
    host: String,
    port: u16,
}

/// A server that we started.
struct Own {
    programs: PathBuf,
    directory: PathBuf,
    user: Option<(u32, u32)>,
    settings: &'static [&'static str],
    process: Mutex<Option<Process>>,
}

impl Postgres {
    /// The server that all tests of this process share: the existing one if the environment names one.
    ///
    /// # Errors
    /// When it can't be started: says what is missing.
    pub fn shared() -> Result<Arc<Postgres>> {
        static SHARED: Shared<Postgres> = Shared::new();
        SHARED.get(|| match std::env::var(EXISTING) {
            Ok(url) => Ok(Postgres { address: Address::parse(&url)?, own: None }),
            Err(_) => Postgres::start_own(),
        })
    }

    /// A server of one's own, that can be stopped.
    ///
    /// # Errors
    /// When it can't be started: says what is missing.
    pub fn start_own() -> Result<Postgres> {
        Postgres::start_own_with(&[])
    }

    /// The same with settings of its own, such as `fsync=on`, which overrule ours.
    ///
    /// # Errors
    /// When it can't be started: says what is missing.
    pub fn start_own_with(settings: &'static [&'static str]) -> Result<Postgres> {
        Postgres::start_cluster(Own::create(settings)?)
    }

    fn start_cluster(own: Own) -> Result<Postgres> {
        let password = fs::read_to_string(own.directory.join("password"))?;
        let mut address = Address { user: "postgres".into(), password, host: "127.0.0.1".into(), port: 0 };
        for _ in 0..3 {
            address.port = free_port()?;
            if own.start(&address).is_ok() {
                return Ok(Postgres { address, own: Some(own) });
            }
        }
        address.port = free_port()?;
        own.start(&address)?;
        Ok(Postgres { address, own: Some(own) })
    }

    /// A new, empty database, with a proxy before it.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(self: &Arc<Postgres>) -> Result<Database> {
        self.database_named(&format!("test_{}", Uuid::new_v4().simple()))
    }

    /// The same with a name that people can type.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database_named(self: &Arc<Postgres>, name: &str) -> Result<Database> {
        execute(&self.address.url("postgres"), &format!("create database {name}"))?;
        let proxy = Proxy::start(&self.address.host, self.address.port)?;
        Ok(Database { server: self.clone(), name: name.into(), proxy })
    }

    /// Ends a database with all that is in it, whoever uses it.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn drop_database(&self, name: &str) -> Result<()> {
        execute(&self.address.url("postgres"), &format!("drop database {name} with (force)"))
    }

    /// The port that the server itself listens on.
    pub fn port(&self) -> u16 {
        self.address.port
    }

    /// The process that all others of a server of one's own are children of.
    pub fn id(&self) -> Option<u32> {
        let process = self.own.as_ref()?.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        process.as_ref().map(Process::id)
    }

    /// Stops the server as an administrator does (`fast`: connections are cut, transactions rolled back).
    ///
    /// # Errors
    /// When it isn't ours, or doesn't stop.
    pub fn stop(&self) -> Result<()> {
        self.end(Signal::INT)
    }

    /// Kills the server's main process with SIGKILL; the others then end by themselves.
    ///
    /// # Errors
    /// When it isn't ours.
    pub fn kill(&self) -> Result<()> {
        self.end(Signal::KILL)
    }

    /// Starts the server again, on the same port with the same data.
    ///
    /// # Errors
    /// When it doesn't come up.
    pub fn start(&self) -> Result<()> {
        self.own()?.start(&self.address)
    }

    fn end(&self, signal: Signal) -> Result<()> {
        let process = self.own()?.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(process) = process {
            process.signal(signal);
            process.wait(BOUND)?;
        }
        Ok(())
    }

    fn own(&self) -> Result<&Own> {
        self.own.as_ref().context("an existing server is not ours to stop: use Postgres::start_own")
    }
}

/// A database of a test's own. Tests ask it directly; daemons reach it through the proxy.
pub struct Database {
    /// The server that it is in.
    pub server: Arc<Postgres>,
    /// What daemons connect to.
    pub proxy: Proxy,
    name: String,
}

impl Database {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user that owns it.
    pub fn user(&self) -> &str {
        &self.server.address.user
    }

    /// That user's password.
    pub fn password(&self) -> &str {
        &self.server.address.password
    }

    /// The url for people and tests, with the password, past the proxy.
    pub fn url(&self) -> String {
        self.server.address.url(&self.name)
    }

    /// Runs statements.
    ///
    /// # Errors
    /// When the server refuses or is away.
    pub fn execute(&self, statements: &str) -> Result<()> {
        execute(&self.url(), statements)
    }

    /// The rows of a query, each an object of its columns.
    ///
    /// # Errors
    /// When the server refuses or is away, or a row is no `T`.
    pub fn rows<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>> {
        #[derive(QueryableByName)]
        struct All {
            #[diesel(sql_type = Text)]
            rows: String,
        }
        let mut connection = PgConnection::establish(&self.url())?;
        let json = format!("select coalesce(json_agg(q), '[]')::text as rows from ({query}) q");
        let all: All = diesel::sql_query(json).get_result(&mut connection)?;
        serde_json::from_str(&all.rows).with_context(|| format!("not the expected rows: {}", all.rows))
    }

    /// The number of rows of a table or query's `from`, such as `results where outcome = 'success'`.
    ///
    /// # Errors
    /// When the server refuses or is away.
    pub fn count(&self, from: &str) -> Result<u64> {
        #[derive(serde::Deserialize)]
        struct Count {
            count: u64,
        }
        let rows = self.rows::<Count>(&format!("select count(*) from {from}"))?;
        Ok(rows.first().context("no count")?.count)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Our own server goes away with all that is in it.
        if self.server.own.is_none() {
            self.server.drop_database(&self.name).ok();
        }
    }
}

impl Address {
    fn url(&self, database: &str) -> String {
        let Address { user, password, host, port } = self;
        format!("postgresql://{user}:{password}@{host}:{port}/{database}")
    }

    fn parse(url: &str) -> Result<Address> {
        let problem = || format!("{EXISTING} must look like postgresql://user:password@host:port");
        let rest = url.strip_prefix("postgresql://").or(url.strip_prefix("postgres://")).with_context(problem)?;
        let (login, place) = rest.split_once('@').with_context(problem)?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let place = place.split('/').next().unwrap_or_default();
        let (host, port) = place.split_once(':').unwrap_or((place, "5432"));
        let port = port.parse().with_context(problem)?;
        Ok(Address { user: user.into(), password: password.into(), host: host.into(), port })
    }
}

impl Own {
    fn create(settings: &'static [&'static str]) -> Result<Own> {
        let programs = programs()?;
        let directory = directory("postgres")?;
        fs::write(directory.join("password"), Uuid::new_v4().simple().to_string())?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
        let own = Own { programs, user: other_user()?, directory, settings, process: Mutex::default() };
        if let Some((uid, gid)) = own.user {
            chown(&own.directory, Some(uid), Some(gid))?;
            chown(own.directory.join("password"), Some(uid), Some(gid))?;
        }
        let mut initdb = own.command("initdb");
        initdb.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]);
        initdb.args(["--no-sync", "--no-instructions", "--pwfile=password", "--pgdata=data"]);
        let ended = Process::run("initdb", initdb, BOUND)?;
        ensure!(ended.status.success(), "initdb failed: {}{}", ended.stdout, ended.stderr);
        Ok(own)
    }

    fn start(&self, address: &Address) -> Result<()> {
        let mut server = self.command("postgres");
        server.args(["-D", "data", "-p", &address.port.to_string()]);
        // Nothing here has to outlive the machine, so it needn't wait for the disk.
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "full_page_writes=off",
            "shared_buffers=64MB",
            "dynamic_shared_memory_type=mmap",
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
        *self.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(process);
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.directory);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let process = self.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(process) = process {
            process.signal(Signal::QUIT);
            process.wait(BOUND).ok();
        }
    }
}

fn execute(url: &str, statements: &str) -> Result<()> {
    PgConnection::establish(url)?.batch_execute(statements)?;
    Ok(())
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
