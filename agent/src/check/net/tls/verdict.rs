//! What is thought of a peer's certificate, and why.

use std::fmt;

use openssl::x509::{X509Ref, X509VerifyResult};
use wire::{Certificate, Outcome};

use super::certificate;
use crate::check::net::trace::CertificateEnd;
use crate::check::outcome::Fault;

/// Most reasons that one verdict tells.
const MOST_REASONS: usize = 8;

/// The certificate as it goes on record, and the error where it is not accepted.
#[derive(Debug)]
pub(super) struct Verdict {
    certificate: Certificate,
    first_end: CertificateEnd,
    error: Option<String>,
}

/// One thing that OpenSSL objects to.
#[derive(Clone, Debug)]
pub(super) struct Reason {
    result: X509VerifyResult,
    /// The issuer that it is about, unless it is about the peer's own certificate.
    issuer: Option<String>,
}

impl Reason {
    /// An objection to the certificate that stands so deep in the chain; the peer's own is at 0.
    pub(super) fn new(result: X509VerifyResult, depth: u32, certificate: Option<&X509Ref>) -> Reason {
        let issuer = (depth > 0).then(|| {
            certificate.map_or_else(String::new, |issuer| certificate::distinguished_name(issuer.subject_name()))
        });
        Reason { result, issuer }
    }

    /// One word for the reasons that people meet, by OpenSSL's `X509_V_ERR_…` numbers, which never change.
    pub(super) fn word(&self) -> &'static str {
        match (self.result.as_raw(), self.issuer.is_some()) {
            (2 | 20 | 21 | 33, _) => "unknown_issuer",
            (6 | 7, _) => "bad_signature",
            (9, false) => "not_yet_valid",
            (9, true) => "issuer_not_yet_valid",
            (10, false) => "expired",
            (10, true) => "issuer_expired",
            (18, _) => "self_signed",
            (19, _) => "self_signed_root",
            (23, _) => "revoked",
            (24 | 25 | 32 | 37 | 79, _) => "invalid_ca",
            (26, false) => "wrong_purpose",
            (26, true) => "invalid_ca",
            (47 | 48, _) => "name_not_permitted",
            (62 | 64, _) => "wrong_host",
            (66..=68, _) => "too_weak",
            _ => "not_trusted",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.result.error_string())?;
        match &self.issuer {
            Some(issuer) => write!(f, " (its issuer {issuer})"),
            None => Ok(()),
        }
    }
}

impl Verdict {
    /// The certificate of `name`, with what OpenSSL objects to, and the rest of the chain by which it was verified.
    pub(super) fn new<'a>(
        shown: &X509Ref,
        name: &str,
        reasons: &[Reason],
        chain: impl IntoIterator<Item = &'a X509Ref>,
    ) -> Verdict {
        let mut certificate = certificate::record(shown);
        let first_end = certificate::first_end(name, shown, chain);
        // Of a chain whose end is missing OpenSSL says so twice, in different words.
        let mut told: Vec<(&str, String)> = Vec::new();
        for reason in reasons {
            let word = reason.word();
            if told.len() < MOST_REASONS && !told.iter().any(|(known, _)| *known == word) {
                told.push((word, reason.to_string()));
            }
        }
        certificate.fault = told.first().map(|(word, _)| (*word).to_owned());
        if told.len() > 1 {
            certificate.faults = told.iter().map(|(word, _)| (*word).to_owned()).collect();
        }
        let error = (!told.is_empty()).then(|| {
            let texts: Vec<&str> = told.iter().map(|(_, text)| text.as_str()).collect();
            let subject = &certificate.subject;
            let mut error = format!("the certificate of {name} ({subject}) is not accepted: {}", texts.join("; "));
            if told.iter().any(|(word, _)| *word == "wrong_host") {
                let of = certificate::hosts(shown);
                let of = of
                    .as_deref()
                    .unwrap_or("no host: it has no alternative names, and a common name counts for nothing");
                error.push_str(&format!("; it is for {of}"));
            }
            error
        });
        Verdict { certificate, first_end, error }
    }

    pub(super) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificate of the chain that ends first.
    pub(super) fn first_end(&self) -> &CertificateEnd {
        &self.first_end
    }

    /// The fault of a certificate that is not accepted.
    pub(super) fn accepted(&self) -> Result<(), Fault> {
        match &self.error {
            Some(error) => Err(Fault::new(Outcome::CertificateError, error.clone())),
            None => Ok(()),
        }
    }

    /// A verdict that says nothing, for tests of what is done with verdicts.
    #[cfg(test)]
    pub(super) fn blank() -> std::sync::Arc<Verdict> {
        let not_after = jiff::Timestamp::UNIX_EPOCH;
        let (subject, issuer) = (String::new(), String::new());
        let certificate = Certificate { not_after, subject, issuer, first_end: None, fault: None, faults: Vec::new() };
        let first_end = CertificateEnd { at: not_after, whose: String::new() };
        Verdict { certificate, first_end, error: None }.into()
    }
}
