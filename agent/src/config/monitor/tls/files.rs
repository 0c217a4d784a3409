//! The files of `tls`, each read once per reading of the configuration, with what may be wrong about them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContextBuilder, SslMethod};
use openssl::x509::X509;
use secrecy::{ExposeSecret, SecretString};
use settings::{Section, Wrong};

use super::{Authorities, Identity, Tls, TlsOptions};

/// What of a section is wrong: the option, and what about it.
type Misfit = (&'static str, Wrong);

/// The files of an identity, a hash of the password, and the level that it must be strong enough for.
type IdentityKey = (PathBuf, PathBuf, Option<[u8; 32]>, u32);

/// What was read so far.
pub(crate) struct TlsFiles {
    system: Arc<Authorities>,
    authorities: RefCell<HashMap<PathBuf, Result<Arc<Authorities>, Wrong>>>,
    identities: RefCell<HashMap<IdentityKey, Result<Arc<Identity>, Misfit>>>,
}

impl TlsFiles {
    pub(in crate::config) fn new() -> TlsFiles {
        let system = Arc::new(Authorities::System);
        TlsFiles { system, authorities: RefCell::default(), identities: RefCell::default() }
    }

    /// What the options make; none when a file is wrong, which is a fault of the section's option beneath `prefix`.
    pub(in crate::config) fn load(&self, options: &TlsOptions, section: &mut Section<'_>, prefix: &str) -> Option<Tls> {
        let mut tell =
            |(option, wrong): Misfit| section.fault(&format!("{prefix}.{option}"), wrong.problem, wrong.mend);
        let authorities = match &options.ca_file {
            Some(path) => self.authorities(path).map_err(|wrong| tell(("ca_file", wrong))).ok(),
            None => Some(self.system.clone()),
        };
        let identity = self.identity(options).map_err(tell).ok();
        Some(Tls {
            authorities: authorities?,
            identity: identity?,
            server_name: options.server_name.clone(),
            verify: options.verify.unwrap_or(true),
            min_version: options.min_version.unwrap_or_default(),
            legacy_renegotiation: options.legacy_renegotiation.unwrap_or_default(),
        })
    }

    fn authorities(&self, path: &Path) -> Result<Arc<Authorities>, Wrong> {
        let mut read = self.authorities.borrow_mut();
        let authorities = read.entry(path.to_owned()).or_insert_with(|| {
            let certificates = certificates(path)?;
            Ok(Arc::new(Authorities::File { path: path.to_owned(), certificates }))
        });
        authorities.clone()
    }

    fn identity(&self, options: &TlsOptions) -> Result<Option<Arc<Identity>>, Misfit> {
        let both = || Wrong::new("stands alone", "give certificate_file and key_file, or neither");
        let (certificate, key) = match (&options.certificate_file, &options.key_file) {
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => return Err(("certificate_file", both())),
            (None, Some(_)) => return Err(("key_file", both())),
            (None, None) if options.key_password.is_some() => {
                return Err(("key_password", Wrong::new("stands without a key", "give certificate_file and key_file")));
            }
            (None, None) => return Ok(None),
        };
        let password = options.key_password.as_ref();
        let hash = password.map(|password| openssl::sha::sha256(password.expose_secret().as_bytes()));
        let level = options.min_version.unwrap_or_default().security_level();
        let mut read = self.identities.borrow_mut();
        let identity = read
            .entry((certificate.clone(), key.clone(), hash, level))
            .or_insert_with(|| read_identity(certificate, key, password, level).map(Arc::new));
        identity.clone().map(Some)
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Wrong> {
    fs::read(path).map_err(|error| {
        Wrong::new(format!("{} can't be read: {error}", path.display()), "name one that the daemon's user may read")
    })
}

/// All certificates of a PEM file; at least one.
fn certificates(path: &Path) -> Result<Vec<X509>, Wrong> {
    let problem = match X509::stack_from_pem(&read_file(path)?) {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) => format!("{} holds no certificate", path.display()),
        Err(error) => format!("{} holds a certificate that can't be read: {}", path.display(), reason(&error)),
    };
    Err(Wrong::new(problem, "name a PEM file (-----BEGIN CERTIFICATE-----)"))
}

fn private_key(path: &Path, password: Option<&SecretString>) -> Result<PKey<Private>, Misfit> {
    let pem = read_file(path).map_err(|wrong| ("key_file", wrong))?;
    let mut asked = false;
    // Without this OpenSSL would ask for the password on the terminal.
    let key = PKey::private_key_from_pem_callback(&pem, |buffer| {
        asked = true;
        let password = password.map_or("", |password| password.expose_secret()).as_bytes();
        let Some(room) = buffer.get_mut(..password.len()) else { return Ok(0) };
        room.copy_from_slice(password);
        Ok(password.len())
    });
    let shown = path.display();
    key.map_err(|error| match (asked, password) {
        (true, None) => ("key_file", Wrong::new(format!("{shown} is encrypted"), "give key_password_file as well")),
        (true, Some(_)) => ("key_password", Wrong::new(format!("does not open {shown}"), "give the key's password")),
        (false, _) => {
            let problem = format!("{shown} holds no key: {}", reason(&error));
            ("key_file", Wrong::new(problem, "name a PEM file (-----BEGIN PRIVATE KEY-----)"))
        }
    })
}

fn read_identity(
    certificate_file: &Path,
    key_file: &Path,
    password: Option<&SecretString>,
    level: u32,
) -> Result<Identity, Misfit> {
    let certificates = certificates(certificate_file).map_err(|wrong| ("certificate_file", wrong))?;
    let key = private_key(key_file, password)?;
    if !certificates[0].public_key().is_ok_and(|public| public.public_eq(&key)) {
        let problem = format!("{} does not fit the certificate of {}", key_file.display(), certificate_file.display());
        return Err(("key_file", Wrong::new(problem, "name the key that the certificate was made for")));
    }
    let identity = Identity { path: certificate_file.to_owned(), certificates, key };
    try_out(&identity, level).map_err(|error| {
        let problem = format!("{} can't be used for TLS: {}", certificate_file.display(), reason(&error));
        ("certificate_file", Wrong::new(problem, "have a stronger one made"))
    })?;
    Ok(identity)
}

/// OpenSSL refuses some for being too weak.
fn try_out(identity: &Identity, level: u32) -> Result<(), ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::tls_client())?;
    context.set_security_level(level);
    context.set_certificate(&identity.certificates[0])?;
    for certificate in &identity.certificates[1..] {
        context.add_extra_chain_cert(certificate.clone())?;
    }
    context.set_private_key(&identity.key)
}

fn reason(error: &ErrorStack) -> &str {
    error.errors().last().and_then(|error| error.reason()).unwrap_or("OpenSSL does not say why")
}
