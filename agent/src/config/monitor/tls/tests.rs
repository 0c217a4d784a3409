//! What `tls` means, and what is said about files that are wrong.

use std::path::Path;
use std::sync::Arc;

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use openssl::x509::{X509, X509NameBuilder};

use super::*;
use crate::config::{Config, IpFamily, Refused};

fn ec_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn certificate(key: &PKey<Private>) -> Vec<u8> {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, "edge-1").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&openssl::asn1::Asn1Time::from_unix(0).unwrap()).unwrap();
    builder.set_not_after(&openssl::asn1::Asn1Time::days_from_now(9).unwrap()).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build().to_pem().unwrap()
}

/// A directory of PEM files, good and bad.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(dir.path().join(name), content).unwrap();
    let (key, weak) = (ec_key(), PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap());
    write("own.pem", &certificate(&key));
    write("own.key", &key.private_key_to_pem_pkcs8().unwrap());
    write("locked.key", &key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"s3same").unwrap());
    write("password", b"s3same\n");
    write("other.key", &ec_key().private_key_to_pem_pkcs8().unwrap());
    write("weak.pem", &certificate(&weak));
    write("weak.key", &weak.private_key_to_pem_pkcs8().unwrap());
    write("text.pem", b"no certificate at all\n");
    write("broken.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    dir
}

fn load(dir: &Path, text: &str) -> Result<Config, Refused> {
    let path = dir.join("agent.yaml");
    std::fs::write(&path, format!("interval: 30\n{text}")).unwrap();
    Config::load(&path)
}

/// The faults of one monitor with these options.
fn faults(dir: &Path, options: &str) -> Vec<String> {
    let config = load(dir, &format!("monitors: [{{url: 'https://a.example/', {options}}}]")).unwrap();
    let shown = |fault: settings::Fault| {
        let fault = settings::Fault { line: None, ..fault };
        fault.to_string().replace(&format!("{}/", dir.display()), "")
    };
    config.faults.into_iter().map(shown).collect()
}

#[test]
fn nothing_said_means_the_systems_authorities_and_tls_1_2() {
    let dir = files();
    let config = load(
        dir.path(),
        "monitors: ['a', 'b']".replace("'a', 'b'", "{url: 'https://a/'}, {url: 'https://b/'}").as_str(),
    );
    let monitors = config.unwrap().monitors;
    let tls = &monitors[0].tls;
    assert!(matches!(*tls.authorities, Authorities::System) && tls.identity.is_none() && tls.server_name.is_none());
    assert_eq!((tls.verify, tls.min_version, monitors[0].ip), (true, TlsVersion::V1_2, IpFamily::Any));
    assert!(Arc::ptr_eq(&tls.authorities, &monitors[1].tls.authorities));
}

#[test]
fn options_of_an_entry_stand_over_those_of_defaults_and_files_are_shared() {
    let dir = files();
    let text = "defaults: {ip: 4, tls: {ca_file: own.pem, min_version: 1.3, verify: false}}\nmonitors:\n\
        - {url: 'https://a/'}\n\
        - {url: 'https://b/', ip: any, tls: {server_name: B.example, min_version: '1.0', verify: true}}\n\
        - {url: 'https://c/', tls: {certificate_file: own.pem, key_file: own.key}}\n\
        - {url: 'https://d/', tls: {certificate_file: own.pem, key_file: own.key, min_version: '1.2'}}\n";
    let monitors = load(dir.path(), text).unwrap().monitors;
    let tls: Vec<&Tls> = monitors.iter().map(|monitor| &monitor.tls).collect();
    assert!(tls.iter().all(|tls| Arc::ptr_eq(&tls.authorities, &monitors[0].tls.authorities)));
    assert_eq!((tls[0].min_version, tls[0].verify, monitors[0].ip), (TlsVersion::V1_3, false, IpFamily::V4));
    assert_eq!((tls[1].min_version, tls[1].verify, monitors[1].ip), (TlsVersion::V1_0, true, IpFamily::Any));
    assert_eq!(tls[1].server_name, Some(Host::Domain("b.example".into())));
    let identities = [tls[2], tls[3]].map(|tls| tls.identity.as_ref().unwrap());
    assert!(Arc::ptr_eq(identities[0], identities[1]));
}

#[test]
fn every_file_that_is_wrong_is_told_with_its_option() {
    let dir = files();
    let own = "certificate_file: own.pem, key_file:";
    for (options, expected) in [
        ("ca_file: none.pem", "tls.ca_file: none.pem can't be read: No such file or directory (os error 2); name one"),
        ("ca_file: text.pem", "tls.ca_file: text.pem holds no certificate; name a PEM file"),
        ("ca_file: broken.pem", "tls.ca_file: broken.pem holds a certificate that can't be read: "),
        ("certificate_file: own.pem", "tls.certificate_file: stands alone; give certificate_file and key_file"),
        ("key_file: own.key", "tls.key_file: stands alone; give certificate_file and key_file"),
        ("key_password: s3same", "tls.key_password: stands without a key; give"),
        (&format!("{own} other.key"), "tls.key_file: other.key does not fit the certificate of own.pem; name the key"),
        (&format!("{own} text.pem"), "tls.key_file: text.pem holds no key: "),
        (&format!("{own} locked.key"), "tls.key_file: locked.key is encrypted; give key_password_file as well"),
        (&format!("{own} locked.key, key_password: wrong"), "tls.key_password: does not open locked.key; give"),
        ("certificate_file: weak.pem, key_file: weak.key", "tls.certificate_file: weak.pem can't be used for TLS: ee"),
        ("server_name: '.'", "tls.server_name: \".\" is no host; write a name"),
        ("server_name: 'a b'", "tls.server_name: \"a b\" is no host: "),
        ("min_version: 1.4", "tls.min_version: is no version of TLS; write \"1.0\""),
        ("verify: maybe", "tls.verify: \"maybe\" is neither true nor false"),
        ("ca-file: own.pem", "tls.ca-file: is no option; did you mean `ca_file`?"),
    ] {
        let told = faults(dir.path(), &format!("tls: {{{options}}}"));
        assert_eq!(told.len(), 1, "{options}: {told:?}");
        let start = format!("agent.yaml: monitor 1: {expected}");
        assert!(told[0].starts_with(&start) && !told[0].contains("s3same"), "{options}: {}", told[0]);
    }
    for options in [
        &format!("{own} locked.key, key_password_file: password"),
        &format!("{own} locked.key, key_password: s3same"),
        "certificate_file: weak.pem, key_file: weak.key, min_version: '1.1'",
    ] {
        assert_eq!(faults(dir.path(), &format!("tls: {{{options}}}")), [""; 0], "{options}");
    }
}

#[test]
fn a_family_that_the_url_can_not_have_is_a_fault() {
    let dir = files();
    assert_eq!(
        faults(dir.path(), "ip: 5"),
        ["agent.yaml: monitor 1: ip: is neither any nor 4 nor 6; write `ip: any`, `ip: 4` or `ip: 6`"]
    );
    for url in ["http://[::1]/", "tcp://[::1]:25", "dns://[::1]/a.example"] {
        let config = load(dir.path(), &format!("monitors: [{{url: '{url}', ip: 4}}]")).unwrap();
        let told = config.faults[0].to_string();
        assert!(told.ends_with("ip: allows IPv4 alone, and the url's host is ::1; leave ip out"), "{told}");
    }
    let config = load(dir.path(), "monitors: [{url: 'tcp://a:25', tls: {verify: false}}]").unwrap();
    let told = config.faults[0].to_string();
    assert!(told.ends_with("tls: has no effect on tcp://; remove it"), "{told}");
}

#[test]
fn a_fault_in_defaults_is_told_once_and_refuses_the_file() {
    let dir = files();
    let text = "defaults: {tls: {ca_file: none.pem}}\nmonitors: [{url: 'https://a/'}, {url: 'https://b/'}]";
    let refused = load(dir.path(), text).unwrap_err();
    assert_eq!(refused.faults.len(), 1, "{refused}");
    assert!(refused.to_string().contains("agent.yaml:2: defaults.tls.ca_file: "), "{refused}");
}

#[test]
fn a_renewed_certificate_is_another_revision_and_no_secret_is_shown() {
    let dir = files();
    let text = "monitors: [{url: 'https://a/', tls: {ca_file: own.pem, certificate_file: own.pem, key_file: locked.key, \
        key_password: s3same}}]";
    let before = load(dir.path(), text).unwrap();
    assert!(!format!("{before:?}").contains("s3same"));
    assert_eq!(before.revision, load(dir.path(), text).unwrap().revision);
    std::fs::copy(dir.path().join("weak.pem"), dir.path().join("ca.pem")).unwrap();
    let after = load(dir.path(), &text.replace("ca_file: own.pem", "ca_file: ca.pem")).unwrap();
    assert_ne!(before.revision, after.revision);
}
