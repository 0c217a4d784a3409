//! `tls`: whom a monitor trusts, and how it introduces itself.
//!
//! The options of an entry stand over those of `defaults`, one by one. The files are read and tried here, when the
//! configuration is, so that a wrong one is a fault with a name and no check ever opens a file. Monitors that name the
//! same files share what was read.

mod files;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssl::pkey::{PKey, Private};
use openssl::ssl::SslVersion;
use openssl::x509::X509;
use secrecy::SecretString;
use serde_yaml::Value;
use settings::{Section, Wrong};
use url::Host;

pub(in crate::config) use files::TlsFiles;

/// Longest name of a host.
const LONGEST_NAME: usize = 253;

/// Whom a monitor trusts, and how it introduces itself. `Debug` shows what makes a difference, and no secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// Who may sign a site's certificate.
    pub authorities: Arc<Authorities>,
    /// The certificate that is shown to the site, where it asks for one.
    pub identity: Option<Arc<Identity>>,
    /// The name to ask for and to verify, in place of the url's host.
    pub server_name: Option<Host<String>>,
    /// Whether the site's certificate is judged at all.
    pub verify: bool,
    /// The oldest version that will do.
    pub min_version: TlsVersion,
    /// Whether a site will do that does not know secure renegotiation (RFC 5746), as old appliances don't.
    pub legacy_renegotiation: bool,
}

impl Default for Tls {
    /// The system's authorities, and nothing out of the ordinary.
    fn default() -> Tls {
        Tls {
            authorities: Arc::new(Authorities::System),
            identity: None,
            server_name: None,
            verify: true,
            min_version: TlsVersion::default(),
            legacy_renegotiation: false,
        }
    }
}

/// Who may sign a site's certificate. Each reading of the configuration makes new ones, so what is the same `Arc` is
/// the same trust.
#[derive(PartialEq)]
pub enum Authorities {
    /// Whom the system trusts when they are first needed.
    System,
    /// Those of a file, and no one else. Each is trusted as it stands, be it a root or not.
    File {
        /// The file.
        path: PathBuf,
        /// What was in it.
        certificates: Vec<X509>,
    },
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Authorities::System => f.write_str("System"),
            Authorities::File { path, certificates } => shown(f, path, certificates),
        }
    }
}

/// A certificate of one's own, the rest of its chain, and its key.
#[derive(Clone)]
pub struct Identity {
    path: PathBuf,
    /// The certificate and what else of its chain is sent along.
    pub certificates: Vec<X509>,
    /// The key.
    pub key: PKey<Private>,
}

impl Identity {
    /// An identity that comes from no file.
    #[cfg(test)]
    pub(crate) fn of(certificates: Vec<X509>, key: PKey<Private>) -> Identity {
        Identity { path: PathBuf::new(), certificates, key }
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        self.path == other.path && self.certificates == other.certificates && self.key.public_eq(&other.key)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(f, &self.path, &self.certificates)
    }
}

/// A file and a hash of its certificates, which are no secret.
fn shown(f: &mut fmt::Formatter<'_>, path: &Path, certificates: &[X509]) -> fmt::Result {
    let mut hash = openssl::sha::Sha256::new();
    for certificate in certificates {
        hash.update(&certificate.to_der().map_err(|_| fmt::Error)?);
    }
    write!(f, "{path:?} ")?;
    hash.finish().iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// TLS 1.0, of 1999.
    V1_0,
    /// TLS 1.1, of 2006.
    V1_1,
    /// TLS 1.2, of 2008.
    #[default]
    V1_2,
    /// TLS 1.3, of 2018.
    V1_3,
}

impl TlsVersion {
    /// OpenSSL's number for it.
    pub fn number(self) -> SslVersion {
        match self {
            TlsVersion::V1_0 => SslVersion::TLS1,
            TlsVersion::V1_1 => SslVersion::TLS1_1,
            TlsVersion::V1_2 => SslVersion::TLS1_2,
            TlsVersion::V1_3 => SslVersion::TLS1_3,
        }
    }

    /// OpenSSL's level of what is strong enough for a handshake: versions before 1.2 sign with SHA-1, which none of
    /// the higher levels takes.
    pub fn security_level(self) -> u32 {
        match self {
            TlsVersion::V1_0 | TlsVersion::V1_1 => 0,
            TlsVersion::V1_2 | TlsVersion::V1_3 => 2,
        }
    }
}

/// The options as they stand.
#[derive(Clone, Default)]
pub(in crate::config) struct TlsOptions {
    ca_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    key_password: Option<SecretString>,
    server_name: Option<Host<String>>,
    verify: Option<bool>,
    min_version: Option<TlsVersion>,
    legacy_renegotiation: Option<bool>,
}

impl TlsOptions {
    pub(in crate::config) fn read(section: &mut Section<'_>) -> TlsOptions {
        TlsOptions {
            ca_file: section.path("ca_file"),
            certificate_file: section.path("certificate_file"),
            key_file: section.path("key_file"),
            key_password: section.secret("key_password"),
            server_name: section.parse("server_name", server_name),
            verify: section.boolean("verify"),
            min_version: section.convert("min_version", version),
            legacy_renegotiation: section.boolean("legacy_renegotiation"),
        }
    }

    /// Whether any of them stands there.
    pub(in crate::config) fn is_given(&self) -> bool {
        let files = self.ca_file.is_some() || self.certificate_file.is_some() || self.key_file.is_some();
        let others = self.key_password.is_some() || self.server_name.is_some() || self.verify.is_some();
        files || others || self.min_version.is_some() || self.legacy_renegotiation.is_some()
    }

    pub(in crate::config) fn over(self, defaults: &TlsOptions) -> TlsOptions {
        // A certificate and its key belong together.
        let own = self.certificate_file.is_some() || self.key_file.is_some();
        let identity = if own { self.clone() } else { defaults.clone() };
        TlsOptions {
            ca_file: self.ca_file.or_else(|| defaults.ca_file.clone()),
            certificate_file: identity.certificate_file,
            key_file: identity.key_file,
            key_password: self.key_password.or(identity.key_password),
            server_name: self.server_name.or_else(|| defaults.server_name.clone()),
            verify: self.verify.or(defaults.verify),
            min_version: self.min_version.or(defaults.min_version),
            legacy_renegotiation: self.legacy_renegotiation.or(defaults.legacy_renegotiation),
        }
    }
}

fn server_name(text: &str) -> Result<Host<String>, Wrong> {
    let mend = "write a name, or an address as in a url";
    let host = Host::parse(text).map_err(|error| Wrong::new(format!("{text:?} is no host: {error}"), mend))?;
    match &host {
        Host::Domain(name) if name.trim_end_matches('.').is_empty() || name.len() > LONGEST_NAME => {
            Err(Wrong::new(format!("{text:?} is no host"), mend))
        }
        _ => Ok(host),
    }
}

/// YAML takes `1.2` for a number.
fn version(value: &Value) -> Result<TlsVersion, Wrong> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => String::new(),
    };
    match text.as_str() {
        "1.0" => Ok(TlsVersion::V1_0),
        "1.1" => Ok(TlsVersion::V1_1),
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err(Wrong::new("is no version of TLS", "write \"1.0\", \"1.1\", \"1.2\" or \"1.3\"")),
    }
}
