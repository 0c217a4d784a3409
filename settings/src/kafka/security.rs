//! Reads how connections to brokers are encrypted, and how the client logs in.

use std::path::PathBuf;

use secrecy::SecretString;

use super::Properties;
use crate::Section;

/// The encryption of connections to brokers, and the login of the client.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`.
    pub protocol: Protocol,
    /// The authorities that sign the brokers' certificates. Those of the system are used when it is absent.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate.
    pub certificate_file: Option<PathBuf>,
    /// The key of the certificate.
    pub key_file: Option<PathBuf>,
    /// The password of the key.
    pub key_password: Option<SecretString>,
    /// The login.
    pub sasl: Option<Sasl>,
}

/// A login by SASL.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: &'static str,
    /// The user.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// librdkafka's `security.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// No encryption and no login.
    #[default]
    Plaintext,
    /// Encryption without a login.
    Ssl,
    /// A login without encryption.
    SaslPlaintext,
    /// Encryption and a login.
    SaslSsl,
}

impl Protocol {
    const ALL: [(&'static str, Protocol); 4] = [
        ("plaintext", Protocol::Plaintext),
        ("ssl", Protocol::Ssl),
        ("sasl_plaintext", Protocol::SaslPlaintext),
        ("sasl_ssl", Protocol::SaslSsl),
    ];

    /// Returns the protocol's word.
    pub fn as_str(self) -> &'static str {
        Protocol::ALL.iter().find(|(_, protocol)| *protocol == self).map_or("plaintext", |(word, _)| word)
    }

    fn is_encrypted(self) -> bool {
        matches!(self, Protocol::Ssl | Protocol::SaslSsl)
    }

    fn has_login(self) -> bool {
        matches!(self, Protocol::SaslPlaintext | Protocol::SaslSsl)
    }
}

pub(super) fn read_security(section: &mut Section<'_>, properties: &Properties) -> Security {
    let (has_ssl, has_sasl) = (section.has("ssl"), section.has("sasl"));
    let protocol = section.choice("security_protocol", &Protocol::ALL).unwrap_or_default();
    let mut security = Security { protocol, ..Security::default() };
    section.section("ssl", |ssl| {
        security.ca_file = ssl.readable("ca_file");
        security.certificate_file = ssl.readable("certificate_file");
        security.key_file = ssl.readable("key_file");
        security.key_password = ssl.secret("key_password");
        if security.certificate_file.is_some() != security.key_file.is_some() {
            ssl.fault("certificate_file", "stands without key_file, or the reverse", "give both or neither");
        }
    });
    security.sasl = section.section("sasl", |sasl| {
        let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].map(|mechanism| (mechanism, mechanism));
        if has_sasl {
            sasl.require("username", "name the user");
            if !sasl.has("password_file") {
                sasl.require("password", "give password_file (or password)");
            }
        }
        let mechanism = sasl.choice("mechanism", &mechanisms).unwrap_or("PLAIN");
        let (username, password) = (sasl.text("username"), sasl.secret("password"));
        Some(Sasl { mechanism, username: username?, password: password? })
    });
    let word = protocol.as_str();
    if has_ssl && !protocol.is_encrypted() {
        section.fault(
            "ssl",
            format!("has no effect with security_protocol {word}"),
            "set security_protocol to ssl or sasl_ssl",
        );
    }
    if has_sasl && !protocol.has_login() {
        section.fault(
            "sasl",
            format!("has no effect with security_protocol {word}"),
            "set security_protocol to sasl_ssl or sasl_plaintext",
        );
    }
    // Mechanisms without a password (OAUTHBEARER) are configured only by properties.
    let by_properties = ["sasl.mechanism", "sasl.mechanisms"].iter().any(|name| properties.0.contains_key(*name));
    if !has_sasl && protocol.has_login() && !by_properties {
        section.fault(
            "sasl",
            format!("is missing for security_protocol {word}"),
            "give sasl with username and password_file",
        );
    }
    security
}
