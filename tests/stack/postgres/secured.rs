//! A server that takes encrypted connections, and asks one user for a certificate.

use anyhow::Result;

use super::Postgres;
use super::own::Own;
use crate::certificates::Authority;

/// The rules for the user `certified`, before those that `initdb` makes for all.
const RULES: &str = "hostssl all certified all scram-sha-256 clientcert=verify-ca\nhost all certified all reject\n";

impl Postgres {
    /// A server of one's own that takes encrypted connections with a certificate for `localhost`, and from the user
    /// `certified` only those with a certificate of the same authority.
    ///
    /// # Errors
    /// When it can't be started: says what is missing.
    pub fn start_secured(authority: &Authority) -> Result<Postgres> {
        let own = Own::create(&["ssl=on", "ssl_ca_file=ca.pem"])?;
        let certificate = authority.sign("localhost")?;
        own.add_file(&authority.ca_file(), "ca.pem")?;
        own.add_file(&certificate.certificate_file, "server.crt")?;
        own.add_file(&certificate.key_file, "server.key")?;
        own.add_rules(RULES)?;
        let password = own.password()?;
        Postgres::start_at_a_free_port(own, password)
    }
}
