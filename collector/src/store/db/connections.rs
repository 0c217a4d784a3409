//! Makes connections to PostgreSQL, sets each session up, and decides when a session is thrown away.
//!
//! No password leaves this file. It is also hidden in the messages of libpq, which may quote a url that libpq can't
//! read.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::r2d2::{HandleError, ManageConnection, Pool, PooledConnection};
use diesel::{Connection, ConnectionError, PgConnection, RunQueryDsl};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use super::error::{StoreError, describe};
use super::{pooler, rights};
use crate::config::{Address, Database};

/// The name by which collectors recognise each other's sessions.
pub(crate) const APPLICATION: &str = "website-monitor-collector";

/// How long a statement waits for a lock before the collector looks at who holds the lock.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a checkout waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How many times a command that is run by hand waits for a connection while no error is known. A busy machine is slow.
const COMMAND_CHECKOUTS: u32 = 10;

/// The options that libpq gets beside the address. Only a server that accepts writes is used, and a server that
/// vanished from the network is noticed.
const OPTIONS: [(&str, &str); 7] = [
    ("target_session_attrs", "read-write"),
    ("connect_timeout", "5"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "20000"),
    ("application_name", APPLICATION),
];

/// The database as a pool of sessions.
#[derive(Clone)]
pub(crate) struct Connections {
    pool: Pool<Connector>,
    last_error: LastError,
}

/// The reason why the pool last got no connection. The pool itself tells it only to one of the threads that wait.
#[derive(Clone, Debug, Default)]
struct LastError(Arc<Mutex<Option<String>>>);

impl LastError {
    fn get(&self) -> Option<String> {
        self.0.lock().clone()
    }

    fn forget(&self) {
        *self.0.lock() = None;
    }
}

impl<E: fmt::Display> HandleError<E> for LastError {
    fn handle_error(&self, error: E) {
        *self.0.lock() = Some(error.to_string());
    }
}

impl Connections {
    pub(crate) fn new(database: &Database) -> Connections {
        let connector = Connector {
            conninfo: conninfo(&database.address),
            secrets: secrets(&database.address),
            schema: database.schema.clone(),
            has_own_sessions: AtomicBool::default(),
        };
        let last_error = LastError::default();
        let pool = Pool::builder()
            .max_size(database.connections)
            .min_idle(Some(0))
            .connection_timeout(CONNECT_TIMEOUT)
            .error_handler(Box::new(last_error.clone()))
            .build_unchecked(connector);
        Connections { pool, last_error }
    }

    /// Returns a session that works, or why there is none.
    pub(crate) fn get(&self) -> Result<PooledSession, StoreError> {
        match self.pool.get() {
            Ok(session) => {
                self.last_error.forget();
                Ok(session)
            }
            Err(error) => Err(StoreError::Unavailable(self.last_error.get().unwrap_or_else(|| error.to_string()))),
        }
    }

    /// Returns a session for a command that has nothing else to do. It waits longer than `get`, unless there is a known
    /// error.
    pub(crate) fn get_for_command(&self) -> Result<PooledSession, StoreError> {
        for _ in 1..COMMAND_CHECKOUTS {
            let got = self.get();
            if got.is_ok() || self.last_error.get().is_some() {
                return got;
            }
        }
        self.get()
    }
}

/// A session that is borrowed from the pool for as long as it is kept.
pub(crate) type PooledSession = PooledConnection<Connector>;

/// A session. It is thrown away after an error that spoils it, because it may lead to a server that no longer accepts
/// writes.
pub(crate) struct Session {
    connection: PgConnection,
    is_checked: bool,
    spoiled: bool,
}

impl Session {
    /// Runs `check` only once in a session's life, because it costs a reader more than it tells. When the tables
    /// change, the queries fail and the session is thrown away.
    pub(crate) fn check_once(
        &mut self,
        check: impl FnOnce(&mut PgConnection) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if !self.is_checked {
            check(&mut self.connection)?;
            self.is_checked = true;
        }
        Ok(())
    }

    /// Finds out whether an error means that a right is missing. Lets the pool throw the session away when the error
    /// says that the database is not in its former state.
    pub(crate) fn judge<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let outcome = outcome.map_err(|error| rights::explain(&mut self.connection, error));
        self.spoiled |= matches!(outcome, Err(StoreError::Unavailable(_)));
        outcome
    }
}

impl Deref for Session {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// Makes sessions for the pool.
pub(crate) struct Connector {
    conninfo: SecretString,
    secrets: Vec<SecretString>,
    schema: String,
    /// Whether it is known that no pooler shares the sessions among clients.
    has_own_sessions: AtomicBool,
}

/// The reason why a session could not be made, without any secret.
#[derive(Debug)]
pub(crate) struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl Connector {
    fn redact(&self, text: &str) -> String {
        let hide = |text: String, secret: &SecretString| text.replace(secret.expose_secret(), "***");
        self.secrets.iter().fold(text.replace('\n', " ").trim().to_owned(), hide)
    }

    fn establish(&self) -> Result<PgConnection, Refusal> {
        PgConnection::establish(self.conninfo.expose_secret()).map_err(|error| match error {
            ConnectionError::BadConnection(text) => Refusal(self.redact(&text)),
            error => Refusal(self.redact(&error.to_string())),
        })
    }

    /// Refuses sessions that are shared with other clients. This happens before any setting of the first session is
    /// changed.
    fn look_who_shares(&self, connection: &mut PgConnection) -> Result<(), Refusal> {
        if self.has_own_sessions.load(Ordering::Relaxed) {
            return Ok(());
        }
        match pooler::is_shared(connection, &mut self.establish()?) {
            Ok(true) => Err(Refusal(pooler::SHARED.into())),
            Ok(false) => {
                self.has_own_sessions.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(Refusal(format!("{}; {}", describe(&error), pooler::ENDED))),
        }
    }
}

impl ManageConnection for Connector {
    type Connection = Session;
    type Error = Refusal;

    fn connect(&self) -> Result<Session, Refusal> {
        let mut connection = self.establish()?;
        self.look_who_shares(&mut connection)?;
        connection.batch_execute(&session_setup(&self.schema)).map_err(|error| Refusal(describe(&error)))?;
        Ok(Session { connection, is_checked: false, spoiled: false })
    }

    fn is_valid(&self, session: &mut Session) -> Result<(), Refusal> {
        diesel::sql_query("select 1").execute(&mut session.connection).map_err(|error| Refusal(describe(&error)))?;
        Ok(())
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.spoiled || std::thread::panicking()
    }
}

/// Returns the statements that set a new session up. Commits wait for the disk even where the server's default is not
/// to wait. A timeout that is set for the role ends neither a proof nor the detaching of a partition: these statements
/// wait only for locks, and that wait has a bound.
fn session_setup(schema: &str) -> String {
    format!(
        "set application_name = '{APPLICATION}';
         set search_path = {};
         set timezone = 'UTC';
         set lock_timeout = {};
         set statement_timeout = 0;
         set idle_in_transaction_session_timeout = '15s';
         select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'",
        quoted(schema),
        LOCK_TIMEOUT.as_millis(),
    )
}

/// Returns a name as SQL writes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn conninfo(address: &Address) -> SecretString {
    match address {
        Address::Url(url) => {
            let mut url = url.expose_secret().to_owned();
            for (name, value) in OPTIONS {
                if !url.contains(&format!("{name}=")) {
                    url.push(if url.contains('?') { '&' } else { '?' });
                    url.push_str(&format!("{name}={value}"));
                }
            }
            url.into()
        }
        Address::Parts { host, port, name, user, password, sslmode, ssl } => {
            let file = |file: &Option<PathBuf>| file.as_ref().map(|file| file.to_string_lossy().into_owned());
            let [ca, certificate, key] = [&ssl.ca_file, &ssl.certificate_file, &ssl.key_file].map(file);
            let port = port.map(|port| port.to_string());
            let password = password.as_ref().map(|password| password.expose_secret());
            let given = [
                ("dbname", Some(name.as_str())),
                ("host", host.as_deref()),
                ("port", port.as_deref()),
                ("user", user.as_deref()),
                ("password", password),
                ("sslmode", *sslmode),
                ("sslrootcert", ca.as_deref()),
                ("sslcert", certificate.as_deref()),
                ("sslkey", key.as_deref()),
            ];
            let given = given.iter().filter_map(|(name, value)| value.map(|value| (*name, value)));
            let option =
                |(name, value): (&str, &str)| format!("{name}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
            given.chain(OPTIONS).map(option).collect::<Vec<_>>().join(" ").into()
        }
    }
}

/// Returns the secrets that must not be shown: a password, and the password of a url both as it stands there and as it
/// is sent. The longest comes first, so that no secret is hidden only in part.
fn secrets(address: &Address) -> Vec<SecretString> {
    let mut secrets: Vec<String> = match address {
        Address::Parts { password, .. } => password.iter().map(|password| password.expose_secret().into()).collect(),
        Address::Url(url) => {
            let url = url.expose_secret();
            let login = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).map(|(login, _)| login);
            let in_login = login.and_then(|login| login.split_once(':')).map(|(_, password)| password);
            let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters).split('&');
            let in_query = parameters.filter_map(|parameter| parameter.split_once("password=").map(|(_, it)| it));
            let decoded = |password: &str| percent_decode_str(password).decode_utf8_lossy().into_owned();
            in_login.into_iter().chain(in_query).flat_map(|password| [password.to_owned(), decoded(password)]).collect()
        }
    };
    secrets.retain(|secret| !secret.is_empty());
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().map(SecretString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Ssl;

    fn parts(password: &str) -> Address {
        Address::Parts {
            host: Some("db".into()),
            port: Some(5433),
            name: "it's".into(),
            user: None,
            password: Some(password.into()),
            sslmode: Some("require"),
            ssl: Ssl { ca_file: Some("/etc/ca's.pem".into()), ..Ssl::default() },
        }
    }

    #[test]
    fn values_are_quoted_as_libpq_reads_them() {
        let conninfo = conninfo(&parts(r"a'b\c"));
        assert!(conninfo.expose_secret().starts_with(
            r"dbname='it\'s' host='db' port='5433' password='a\'b\\c' sslmode='require' sslrootcert='/etc/ca\'s.pem' "
        ));
    }

    #[test]
    fn what_a_url_says_itself_is_not_overruled() {
        let url = |url: &str| conninfo(&Address::Url(url.into())).expose_secret().to_owned();
        assert!(
            url("postgresql:///x").starts_with("postgresql:///x?target_session_attrs=read-write&connect_timeout=5")
        );
        let given = url("postgresql:///x?connect_timeout=9");
        assert!(given.contains("connect_timeout=9&target_session_attrs=") && !given.contains("connect_timeout=5"));
    }

    #[test]
    fn a_password_is_hidden_in_whatever_libpq_says() {
        for address in [
            parts("hunter2"),
            Address::Url("postgresql://u:h%75nter2@db/x".into()),
            Address::Url("postgresql://u:hunter2@db/x".into()),
            Address::Url("postgresql:///x?sslpassword=hunter3&password=hunter2&a=b".into()),
        ] {
            let connector = Connector {
                conninfo: conninfo(&address),
                secrets: secrets(&address),
                schema: "s".into(),
                has_own_sessions: AtomicBool::default(),
            };
            assert_eq!(connector.redact("bad hunter2\nhere"), "bad *** here");
        }
    }

    #[test]
    fn an_empty_password_hides_nothing_else() {
        for address in [parts(""), Address::Url("postgresql://u:@db/x?password=".into())] {
            assert!(secrets(&address).is_empty());
        }
    }

    #[test]
    fn a_url_that_libpq_refuses_is_quoted_without_its_password() {
        let address = Address::Url("postgresql://u:hunter2@[::1/x".into());
        let connector = Connector {
            conninfo: conninfo(&address),
            secrets: secrets(&address),
            schema: "s".into(),
            has_own_sessions: AtomicBool::default(),
        };
        let refusal = connector.connect().err().unwrap().to_string();
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
}
