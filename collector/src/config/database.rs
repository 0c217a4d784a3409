//! The `database` section: one address, as a url or in parts.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use settings::{Section, Wrong};

/// The database, and how it is used.
#[derive(Clone, Debug)]
pub struct Database {
    /// Where it is, and how to log in.
    pub address: Address,
    /// The schema of all tables; made when absent.
    pub schema: String,
    /// Most connections.
    pub connections: u32,
    /// Whether the tables are brought up to date at the start.
    pub migrate: bool,
}

/// Where the database is. `Display` shows no login, `Debug` no secret.
#[derive(Clone, Debug)]
pub enum Address {
    /// libpq's url, which may hold a password.
    Url(SecretString),
    /// Parts; an absent one is as libpq has it, environment included.
    Parts {
        /// `host`, also a directory of sockets, or several with commas.
        host: Option<String>,
        /// `port`.
        port: Option<u16>,
        /// `dbname`.
        name: String,
        /// `user`.
        user: Option<String>,
        /// `password`.
        password: Option<SecretString>,
        /// `sslmode`; where it is absent and `ssl.ca_file` is given, `verify-full`.
        sslmode: Option<&'static str>,
        /// Files for encrypted connections.
        ssl: Ssl,
    },
}

/// Files for encrypted connections; an absent one is as libpq has it.
#[derive(Clone, Debug, Default)]
pub struct Ssl {
    /// The authorities that sign the server's certificate.
    pub ca_file: Option<PathBuf>,
    /// The collector's own certificate.
    pub certificate_file: Option<PathBuf>,
    /// Its key.
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

    /// How many batches are written at a time. The other half of the connections is for all else.
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
                // It could not be told what of it is the password, and so must not be shown.
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

/// Whether the only `@` is the one between login and host.
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
