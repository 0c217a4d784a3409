//! A private PostgreSQL: a cluster by `initdb` on a free port of 127.0.0.1, and databases in it.

mod own;
mod pooler;
mod secured;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use parking_lot::{Mutex, MutexGuard};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::ports::free_port;
use crate::process::Signal;
use crate::proxy::Proxy;
use crate::shared::Shared;
use own::Own;
pub use pooler::Pooler;

/// Set to the url of a database server where tests may create databases, they don't start one of their own,
/// except for tests that stop it.
pub const EXISTING: &str = "WEBSITE_MONITOR_TEST_POSTGRES";

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
        let own = Own::create(settings)?;
        let password = own.password()?;
        Postgres::start_at_a_free_port(own, password)
    }

    /// The same with a small disk that no one else sees: a tablespace named `small`, until the server ends.
    ///
    /// # Errors
    /// Where it can't be started, or nothing may be mounted.
    pub fn start_own_on_small_disk(megabytes: u32) -> Result<Postgres> {
        let own = Own::create(&[])?.with_small_disk(megabytes)?;
        let password = own.password()?;
        let location = own.small_disk();
        let server = Postgres::start_at_a_free_port(own, password)?;
        let make = format!("create tablespace small location '{}'", location.display());
        execute(&server.address.url("postgres"), &make)?;
        Ok(server)
    }

    /// A hot standby of this server: a copy that takes no writes, until it is promoted.
    ///
    /// # Errors
    /// When it can't be made or started.
    pub fn standby(&self) -> Result<Postgres> {
        Postgres::start_at_a_free_port(Own::standby_of(&self.address)?, self.address.password.clone())
    }

    fn start_at_a_free_port(own: Own, password: String) -> Result<Postgres> {
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
        self.existing_database(name)
    }

    /// A database that is there, with a proxy before it.
    ///
    /// # Errors
    /// When no proxy can be had.
    pub fn existing_database(self: &Arc<Postgres>, name: &str) -> Result<Database> {
        let proxy = Proxy::start(&self.address.host, self.address.port)?;
        Ok(Database { server: self.clone(), name: name.into(), proxy, session: Mutex::default() })
    }

    /// Ends a database with all that is in it, anyone who uses it.
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
        self.own.as_ref()?.id()
    }

    /// Stops the server as an administrator does (`fast`: connections are cut, transactions rolled back).
    ///
    /// # Errors
    /// When it isn't ours, or doesn't stop.
    pub fn stop(&self) -> Result<()> {
        self.own()?.end(Signal::INT)
    }

    /// Kills the server's main process with SIGKILL; the others then end by themselves.
    ///
    /// # Errors
    /// When it isn't ours.
    pub fn kill(&self) -> Result<()> {
        self.own()?.end(Signal::KILL)
    }

    /// Kills all of the server's processes with SIGKILL at once, as a crash of the machine does.
    ///
    /// # Errors
    /// When it isn't ours.
    pub fn crash(&self) -> Result<()> {
        self.own()?.crash()
    }

    /// Takes all the room of the small disk.
    ///
    /// # Errors
    /// When there is none.
    pub fn fill_small_disk(&self) -> Result<()> {
        self.own()?.fill()
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When it was not taken.
    pub fn make_room(&self) -> Result<()> {
        self.own()?.make_room()
    }

    /// A copy of all its data, as a backup has it. The server is stopped for that, and runs again.
    ///
    /// # Errors
    /// When it isn't ours, or it can't be copied.
    pub fn back_up(&self) -> Result<PathBuf> {
        self.stop()?;
        let copy = self.own()?.keep_copy()?;
        self.start()?;
        Ok(copy)
    }

    /// Puts a copy in the place of its data: the server goes back to what it was then.
    ///
    /// # Errors
    /// When it isn't ours, or it can't be replaced.
    pub fn set_back(&self, copy: &Path) -> Result<()> {
        self.stop()?;
        self.own()?.put_back(copy)?;
        self.start()
    }

    /// A server that archives its log, as [`recover`](Postgres::recover) needs it.
    ///
    /// # Errors
    /// When it can't be started: says what is missing.
    pub fn start_own_archiving() -> Result<Postgres> {
        Postgres::start_own_with(&[
            "archive_mode=on",
            "archive_command=mkdir -p ../archive && cp %p ../archive/%f",
            "wal_level=replica",
        ])
    }

    /// A base backup, made while the server runs.
    ///
    /// # Errors
    /// When it isn't ours, or `pg_basebackup` fails.
    pub fn base_backup(&self) -> Result<PathBuf> {
        self.own()?.base_backup(&self.address)
    }

    /// Brings the server to a restore point after a base backup.
    ///
    /// # Errors
    /// When it isn't ours, or does not come up.
    pub fn recover(&self, base: &Path, point: &str) -> Result<()> {
        self.stop()?;
        self.own()?.put_back(base)?;
        self.own()?.recover_to(point)?;
        self.start()
    }

    /// Starts the server again, on the same port with the same data.
    ///
    /// # Errors
    /// When it doesn't come up.
    pub fn start(&self) -> Result<()> {
        self.own()?.start(&self.address)
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
    /// A session that stays open between questions: tests ask many times a second, and a new one costs more than most answers.
    session: Mutex<Option<PgConnection>>,
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
        // What is set for the database holds for the sessions that come after it.
        self.end_session();
        execute(&self.url(), statements)
    }

    /// The rows of a query, each an object of its columns.
    ///
    /// # Errors
    /// When the server refuses or is away, or a row is no `T`.
    pub fn rows<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>> {
        let json = format!("select coalesce(json_agg(q), '[]')::text as rows from ({query}) q");
        let rows = self.ask(&json)?;
        serde_json::from_str(&rows).with_context(|| format!("not the expected rows: {rows}"))
    }

    fn ask(&self, query: &str) -> Result<String> {
        #[derive(QueryableByName)]
        struct All {
            #[diesel(sql_type = Text)]
            rows: String,
        }
        // Another thread that asks meanwhile makes one of its own: it may be what this question waits for.
        let kept = self.session().take();
        // A server that was stopped since has ended the session.
        if let Some(mut session) = kept
            && let Ok(all) = diesel::sql_query(query).get_result::<All>(&mut session)
        {
            *self.session() = Some(session);
            return Ok(all.rows);
        }
        let mut session = PgConnection::establish(&self.url())?;
        let all: All = diesel::sql_query(query).get_result(&mut session)?;
        *self.session() = Some(session);
        Ok(all.rows)
    }

    /// Ends the session that is kept for questions; the next one makes another.
    pub fn end_session(&self) {
        self.session().take();
    }

    fn session(&self) -> MutexGuard<'_, Option<PgConnection>> {
        self.session.lock()
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

fn execute(url: &str, statements: &str) -> Result<()> {
    PgConnection::establish(url)?.batch_execute(statements)?;
    Ok(())
}
