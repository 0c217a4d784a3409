//! PgBouncer before a database.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use diesel::{Connection, PgConnection};

use super::Database;
use crate::directory::directory;
use crate::eventually::within;
use crate::ports::free_port;
use crate::process::Process;

/// Debian keeps it out of the path of an ordinary user.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

const BOUND: Duration = Duration::from_secs(60);

/// A running PgBouncer.
pub struct Pooler {
    port: u16,
    directory: PathBuf,
    process: Process,
}

impl Pooler {
    /// Starts one in a mode: `session`, `transaction` or `statement`.
    ///
    /// # Errors
    /// When it can't be started, or does not come up.
    pub fn start(database: &Database, mode: &str) -> Result<Pooler> {
        let own = database.server.own()?;
        let (directory, port) = (directory("pgbouncer")?, free_port()?);
        own.give(&directory)?;
        let (user, password, name) = (database.user(), database.password(), database.name());
        let users = directory.join("users");
        fs::write(&users, format!("\"{user}\" \"{password}\"\n"))?;
        own.give(&users)?;
        let settings = directory.join("pgbouncer.ini");
        fs::write(
            &settings,
            format!(
                "[databases]\n{name} = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {users}\n\
                 pool_mode = {mode}\ndefault_pool_size = 50\n",
                server = database.server.port(),
                users = users.display(),
            ),
        )?;
        own.give(&settings)?;
        let mut command = own.another(PROGRAM);
        command.arg(&settings);
        let process =
            Process::start("pgbouncer", &directory, command).context("install Debian's package `pgbouncer`")?;
        let pooler = Pooler { port, directory, process };
        let url = format!("postgresql://{user}:{password}@127.0.0.1:{port}/{name}");
        within(BOUND, "PgBouncer answers", || match PgConnection::establish(&url) {
            Ok(_) => Ok(Ok(())),
            Err(_) if !pooler.process.is_running() => {
                Ok(Err(anyhow::anyhow!("PgBouncer ended\n{}", pooler.process.tail())))
            }
            Err(error) => Err(error.into()),
        })
        .map_err(|error| error.context(pooler.process.tail()))??;
        Ok(pooler)
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its mode from now on.
    ///
    /// # Errors
    /// When its settings can't be written.
    pub fn set_mode(&self, mode: &str) -> Result<()> {
        let settings = self.directory.join("pgbouncer.ini");
        let before = fs::read_to_string(&settings)?;
        let lines = before.lines().map(|line| match line.split_once(" = ") {
            Some(("pool_mode", _)) => format!("pool_mode = {mode}\n"),
            _ => format!("{line}\n"),
        });
        fs::write(&settings, lines.collect::<String>())?;
        self.process.signal(crate::process::Signal::HUP);
        Ok(())
    }
}
