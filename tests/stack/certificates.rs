//! An authority of a test's own, and certificates that it signs.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};

use crate::directory::directory;

/// Who signs.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
    directory: PathBuf,
}

/// A certificate and its key, as files.
pub struct Certificate {
    /// The certificate.
    pub certificate_file: PathBuf,
    /// Its key, which only its owner may read.
    pub key_file: PathBuf,
    /// Both in one, as a Java server wants them.
    pub store: PathBuf,
}

impl Authority {
    /// A new one, whom no one trusts yet.
    ///
    /// # Errors
    /// When its file can't be written.
    pub fn new(name: &str) -> Result<Authority> {
        let directory = directory("authority")?;
        let key = new_key()?;
        let mut builder = begin(name, &key)?;
        builder.set_issuer_name(named(name)?.as_ref())?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        let certificate = builder.build();
        fs::write(directory.join("ca.pem"), certificate.to_pem()?)?;
        Ok(Authority { certificate, key, directory })
    }

    /// Its own certificate, for those who trust it.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Signs a certificate for a host, by its name or its IP address, or for a client of that name.
    ///
    /// # Errors
    /// When its files can't be written.
    pub fn sign(&self, host: &str) -> Result<Certificate> {
        let key = new_key()?;
        let mut builder = begin(host, &key)?;
        builder.set_issuer_name(self.certificate.subject_name())?;
        let mut names = SubjectAlternativeName::new();
        match host.parse::<IpAddr>() {
            Ok(_) => names.ip(host),
            Err(_) => names.dns(host),
        };
        builder.append_extension(names.build(&builder.x509v3_context(Some(&self.certificate), None))?)?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        let (certificate, key) = (builder.build().to_pem()?, key.private_key_to_pem_pkcs8()?);
        let directory = directory("certificate")?;
        let file = |name: &str| directory.join(name);
        let signed = Certificate {
            certificate_file: file("certificate.pem"),
            key_file: file("key.pem"),
            store: file("store.pem"),
        };
        write_private(&signed.certificate_file, &certificate)?;
        write_private(&signed.key_file, &key)?;
        write_private(&signed.store, &[key, certificate].concat())?;
        Ok(signed)
    }
}

fn write_private(file: &Path, content: &[u8]) -> Result<()> {
    Ok(OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?.write_all(content)?)
}

fn new_key() -> Result<PKey<Private>> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

fn named(name: &str) -> Result<X509Name> {
    let mut builder = X509Name::builder()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, name)?;
    Ok(builder.build())
}

fn begin(name: &str, key: &PKey<Private>) -> Result<X509Builder> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(127, openssl::bn::MsbOption::ONE, false)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(named(name)?.as_ref())?;
    let (from, until) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(30)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    builder.set_pubkey(key)?;
    Ok(builder)
}
