//! The `database` section: the address of the database, as a url or in parts, and how the database is used.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use settings::{Section, Wrong};

/// The database, and how it is used.
#[derive(Clone, Debug)]
pub struct Database {
    /// The address of the database, and how to log in.
    pub address: Address,
    /// The schema of all tables, which is created when it is absent.
    pub schema: String,
    /// The largest number of connections.
    pub connections: u32,
    /// Whether the tables are brought up to date at the start.
    pub migrate: bool,
}

/// The address of the database. `Display` shows no login, and `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum Address {
    /// A url for libpq, which may hold a password.
    Url(SecretString),
    /// The parts of an address. For an absent part, libpq's default is used, which may come from the environment.
    Parts {
        /// The option `host`: a host, a directory of sockets, or several of them with commas.
        host: Option<String>,
        /// The option `port`.
        port: Option<u16>,
        /// The option `dbname`.
        name: String,
        /// The option `user`.
        user: Option<String>,
        /// The option `password`.
        password: Option<SecretString>,
        /// The option `sslmode`. It is `verify-full` when it is absent and `ssl.ca_file` is given.
        sslmode: Option<&'static str>,
        /// The files for encrypted connections.
        ssl: Ssl,
    },
}

/// The files for encrypted connections. For an absent file, libpq's default is used.
#[derive(Clone, Debug, Default)]
pub struct Ssl {
    /// The authorities that sign the server's certificate.
    pub ca_file: Option<PathBuf>,
    /// The collector's own certificate.
    pub certificate_file: Option<PathBuf>,
    /// The key of the collector's certificate.
    pub key_file: Option<PathBuf>,
}

const DEFAULT_NAME: &str = "website_monitor";

impl Database {
    pub(super) fn of(section: &mut Section<'_>) -> Database {
        Database {
            address: Address::of(section),
            schema: section.parse("schema", schema).unwrap_or_else(|| "website_monitor".into()),
            connections: section.integer("connections", 2..=100).unwrap_or(4),
            migrate: section.boolean("migrate").unwrap_or(true),
        }
    }

    /// Returns how many batches are written at a time. The other half of the connections is for everything else.
    pub fn writers(&self) -> u32 {
        (self.connections / 2).max(1)
    }
}

impl Address {
    fn of(section: &mut Section<'_>) -> Address {
        if section.has("url") || section.has("url_file") {
            for part in ["host", "port", "name", "user", "password", "password_file", "sslmode", "ssl"] {
                if section.has(part) {
                    section.fault(part, "stands beside url", "keep one of the two");
                }
            }
        }
        let url = section.secret("url");
        if let Some(url) = &url {
            let url = url.expose_secret();
            if !["postgresql://", "postgres://"].iter().any(|scheme| url.starts_with(scheme)) || url.contains('\0') {
                section.fault("url", "is no url of a PostgreSQL database", "write postgresql://host/database");
            } else if !has_plain_login(url) {
                // It is not clear which part of the url is the password, so the url must not be shown.
                let mend = "write / ? # @ in user, password and parameters as %2F %3F %23 %40, or use password_file";
                section.fault("url", "has a / ? # or @ that is no separator", mend);
            }
        }
        let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"].map(|mode| (mode, mode));
        let has_ssl = section.has("ssl");
        let ssl = section.section("ssl", Ssl::of);
        let mut sslmode = section.choice("sslmode", &modes);
        if sslmode.is_none() && ssl.ca_file.is_some() {
            sslmode = Some("verify-full");
        }
        if has_ssl && sslmode == Some("disable") {
            section.fault("ssl", "has no effect with sslmode disable", "set sslmode to verify-full");
        }
        let parts = Address::Parts {
            host: section.text("host"),
            port: section.integer("port", 1..=65_535),
            name: section.text("name").unwrap_or_else(|| DEFAULT_NAME.into()),
            user: section.text("user"),
            password: section.secret("password"),
            sslmode,
            ssl,
        };
        url.map_or(parts, Address::Url)
    }
}

impl Ssl {
    fn of(section: &mut Section<'_>) -> Ssl {
        let ssl = Ssl {
            ca_file: section.readable("ca_file"),
            certificate_file: section.readable("certificate_file"),
            key_file: section.readable("key_file"),
        };
        if ssl.certificate_file.is_some() != ssl.key_file.is_some() {
            section.fault("certificate_file", "stands without key_file, or the reverse", "give both or neither");
        }
        ssl
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Url(url) => {
                let url = url.expose_secret().split(['?', '#']).next().unwrap_or_default();
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                f.write_str("postgresql://")?;
                f.write_str(rest.rsplit_once('@').map_or(rest, |(_, place)| place))
            }
            Address::Parts { host, port, name, .. } => {
                write!(f, "postgresql://{}", host.as_deref().unwrap_or(""))?;
                port.iter().try_for_each(|port| write!(f, ":{port}"))?;
                write!(f, "/{name}")
            }
        }
    }
}

/// Returns whether the only `@` is the one between login and host.
fn has_plain_login(url: &str) -> bool {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    match place.split_once('@') {
        None => true,
        Some((login, rest)) => !login.contains(['/', '?', '#']) && !rest.contains('@'),
    }
}

fn schema(name: &str) -> Result<String, Wrong> {
    if name.len() > 63 {
        return Err(Wrong::new(format!("has {} bytes", name.len()), "keep it within PostgreSQL's 63"));
    }
    if name.starts_with("pg_") || name == "information_schema" {
        return Err(Wrong::new(format!("{name} is PostgreSQL's own"), "choose another name"));
    }
    Ok(name.into())
}
