//! What of a certificate people want to know, as harmless text.

use jiff::Timestamp;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::nid::Nid;
use openssl::x509::{X509NameRef, X509Ref};
use wire::Certificate;

use crate::check::net::trace::CertificateEnd;
use crate::check::text::harmless;

/// Most names of a certificate that an error tells.
const MOST_NAMES: usize = 5;

/// The record of a certificate, so far without faults.
pub(super) fn record(certificate: &X509Ref) -> Certificate {
    Certificate {
        not_after: end(certificate),
        subject: distinguished_name(certificate.subject_name()),
        issuer: distinguished_name(certificate.issuer_name()),
        first_end: None,
        fault: None,
        faults: Vec::new(),
    }
}

/// Of a peer's chain that was verified, its own certificate included, the one that ends first.
pub(super) fn first_end<'a>(name: &str, own: &X509Ref, chain: impl IntoIterator<Item = &'a X509Ref>) -> CertificateEnd {
    let first = CertificateEnd { at: end(own), whose: format!("the certificate of {name}") };
    let others = chain.into_iter().map(|certificate| (end(certificate), certificate));
    match others.min_by_key(|(at, _)| *at) {
        Some((at, issuer)) if at < first.at => {
            let subject = distinguished_name(issuer.subject_name());
            CertificateEnd { at, whose: format!("{subject}, which the certificate of {name} rests on,") }
        }
        _ => first,
    }
}

fn end(certificate: &X509Ref) -> Timestamp {
    timestamp(certificate.not_after()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A name as people write it: `CN=shop.example, O=Example`.
pub(super) fn distinguished_name(name: &X509NameRef) -> String {
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
    harmless(text.as_bytes())
}

/// The hosts that a certificate is for, some of them where they are many.
pub(super) fn hosts(certificate: &X509Ref) -> Option<String> {
    let names = certificate.subject_alt_names()?;
    let texts: Vec<String> = names
        .iter()
        .filter_map(|name| match (name.dnsname(), name.ipaddress()) {
            (Some(name), _) => Some(harmless(name.as_bytes())),
            (None, Some(bytes)) => address(bytes),
            (None, None) => None,
        })
        .collect();
    let more = texts.len().saturating_sub(MOST_NAMES);
    let shown = texts[..texts.len() - more].join(", ");
    match (texts.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(shown),
        (false, more) => Some(format!("{shown} and {more} more")),
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| std::net::Ipv6Addr::from(bytes).to_string())).ok()
}

/// A time as OpenSSL has it; none where a certificate has no sound one, which OpenSSL objects to. A certificate without an
/// end in sight says `99991231235959Z` (RFC 5280, section 4.1.2.5), which lies a day beyond the last moment that can be told.
pub(super) fn timestamp(time: &Asn1TimeRef) -> Option<Timestamp> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    let furthest = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Some(Timestamp::from_second(seconds).unwrap_or(furthest))
}
