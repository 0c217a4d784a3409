//! A server that takes encrypted connections, and asks one user for a certificate.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::Result;

use super::{Own, Postgres};
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
        own.give(&authority.ca_file(), "ca.pem")?;
        own.give(&certificate.certificate_file, "server.crt")?;
        own.give(&certificate.key_file, "server.key")?;
        let rules = own.directory.join("data/pg_hba.conf");
        let others = fs::read_to_string(&rules)?;
        fs::write(&rules, format!("{RULES}{others}"))?;
        Postgres::start_cluster(own)
    }
}

impl Own {
    /// A copy of a file among its data.
    fn give(&self, file: &Path, name: &str) -> Result<()> {
        let copy = self.directory.join("data").join(name);
        fs::copy(file, &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600))?;
        let (uid, gid) = self.user.unzip();
        Ok(chown(&copy, uid, gid)?)
    }
}
