//! The TLS handshake, and the verdict on the peer's certificate.
//!
//! One context serves all checks: a context of its own costs a connection a quarter more. OpenSSL verifies the chain
//! and the name in any case, but is told to go on when it objects; the verdict is read after the handshake and before
//! a byte of HTTP is sent. So a bad certificate is on record with its dates and its fault, and no request, with what
//! credentials it may hold, goes to a peer that did not prove itself.

use std::io;

use jiff::Timestamp;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::ssl::{
    self, SslConnector, SslConnectorBuilder, SslMethod, SslOptions, SslRef, SslSessionCacheMode, SslStream,
    SslVerifyMode,
};
use openssl::x509::{X509NameRef, X509VerifyResult};
use url::Host;
use wire::{Certificate, Outcome};

use super::outcome::Fault;
use super::socket::Socket;
use super::text::harmless;
use super::trace::{SharedTrace, locked};

/// What all TLS connections share: the trust store and the settings.
pub(super) struct Tls {
    connector: SslConnector,
}

impl Tls {
    /// With the system's roots.
    pub(super) fn new() -> Result<Tls, ErrorStack> {
        Ok(Tls { connector: Tls::builder()?.build() })
    }

    /// With one more root.
    #[cfg(test)]
    pub(super) fn trusting(root: &openssl::x509::X509Ref) -> Result<Tls, ErrorStack> {
        let mut builder = Tls::builder()?;
        builder.cert_store_mut().add_cert(root.to_owned())?;
        Ok(Tls { connector: builder.build() })
    }

    fn builder() -> Result<SslConnectorBuilder, ErrorStack> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.set_verify(SslVerifyMode::NONE);
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        // The cheapest key share first: later versions of OpenSSL would begin with a post-quantum one.
        builder.set_groups_list("X25519:P-256:X448:P-384:P-521")?;
        // Many servers end without saying so. A body whose length is known is checked against it all the same.
        builder.set_options(SslOptions::IGNORE_UNEXPECTED_EOF);
        Ok(builder)
    }

    /// Shakes hands and judges the certificate.
    pub(super) fn handshake(
        &self,
        host: &Host<String>,
        socket: Socket,
        trace: &SharedTrace,
    ) -> Result<SslStream<Socket>, Fault> {
        let deadline = socket.deadline();
        let name = match host {
            Host::Domain(name) => name.trim_end_matches('.').to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        let ssl = self.connector.configure().and_then(|connection| connection.into_ssl(&name)).map_err(own_trouble)?;
        let mut stream = SslStream::new(ssl, socket).map_err(own_trouble)?;
        let shaken = stream.connect();
        let verdict = judge(stream.ssl(), &name, trace);
        match shaken {
            Ok(()) => verdict?,
            Err(error) => {
                if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                    return Err(deadline.passed("the TLS handshake"));
                }
                // A certificate that was seen and is bad came before whatever ended the handshake.
                if stream.ssl().peer_certificate().is_some() {
                    verdict?;
                }
                return Err(Fault::new(Outcome::TlsError, format!("the TLS handshake failed: {}", describe(&error))));
            }
        }
        Ok(stream)
    }
}

/// The fault of an error that TLS itself raised once the connection stood, if it did.
pub(super) fn alert(error: &io::Error) -> Option<Fault> {
    let error = error.get_ref()?.downcast_ref::<ssl::Error>()?;
    Some(Fault::new(Outcome::TlsError, format!("TLS failed after the handshake: {}", describe(error))))
}

fn own_trouble(error: ErrorStack) -> Fault {
    Fault::new(Outcome::AgentError, format!("TLS can't be set up: {error}"))
}

/// Reads the verdict and puts the certificate on record. The verdict counts only where a certificate was seen: OpenSSL
/// says "ok" also when it verified nothing.
fn judge(ssl: &SslRef, name: &str, trace: &SharedTrace) -> Result<(), Fault> {
    let Some(certificate) = ssl.peer_certificate() else {
        return Err(Fault::new(Outcome::TlsError, "the peer showed no certificate"));
    };
    let verdict = ssl.verify_result();
    let fault = (verdict != X509VerifyResult::OK).then(|| fault_word(verdict).to_owned());
    let bad = fault.is_some();
    let subject = harmless(distinguished_name(certificate.subject_name()).as_bytes());
    let issuer = harmless(distinguished_name(certificate.issuer_name()).as_bytes());
    let text = format!("the certificate of {name} ({subject}) is not accepted: {}", verdict.error_string());
    let not_after = timestamp(certificate.not_after()).unwrap_or(Timestamp::UNIX_EPOCH);
    locked(trace).showed(Certificate { not_after, subject, issuer, fault });
    if bad { Err(Fault::new(Outcome::CertificateError, text)) } else { Ok(()) }
}

/// One word for the reasons that people meet, by OpenSSL's `X509_V_ERR_…` numbers, which never change.
fn fault_word(verdict: X509VerifyResult) -> &'static str {
    match verdict.as_raw() {
        2 | 20 | 21 => "unknown_issuer",
        9 => "not_yet_valid",
        10 => "expired",
        18 => "self_signed",
        19 => "self_signed_root",
        23 => "revoked",
        24 | 79 => "invalid_ca",
        26 => "wrong_purpose",
        47 | 48 => "name_not_permitted",
        62 | 64 => "wrong_host",
        66..=68 => "too_weak",
        _ => "not_trusted",
    }
}

/// A name as people write it: `CN=shop.example, O=Example`.
fn distinguished_name(name: &X509NameRef) -> String {
    let mut text = String::new();
    for entry in name.entries() {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let kind = entry.object().nid();
        text.push_str(if kind == Nid::UNDEF { "?" } else { kind.short_name().unwrap_or("?") });
        text.push('=');
        match entry.data().to_string() {
            Ok(value) => text.push_str(&value),
            Err(_) => text.push_str(&String::from_utf8_lossy(entry.data().as_slice())),
        }
    }
    text
}

fn timestamp(time: &Asn1TimeRef) -> Option<Timestamp> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    Timestamp::from_second(i64::from(since.days) * 86_400 + i64::from(since.secs)).ok()
}

/// OpenSSL's reason without its file names and numbers.
fn describe(error: &ssl::Error) -> String {
    if let Some(error) = error.io_error() {
        return error.to_string();
    }
    let reason = error.ssl_error().and_then(|stack| stack.errors().first()).and_then(|error| error.reason());
    reason.unwrap_or("the peer ended the connection").to_owned()
}
