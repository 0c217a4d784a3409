//! Certificates, good and bad, from an authority that the test makes.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

use super::*;
use crate::check::testing::{Server, hang, listen, read_head, serve};

const DAY: i64 = 86_400;
const CENTURY: i64 = 36_500;
/// 2021-01-01: when the certificates begin.
const BEGIN: i64 = 1_609_459_200;

struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// A certificate of `name`, valid from [`BEGIN`] for so many days; signed by itself without an issuer.
fn certify(name: &str, key: &PKey<Private>, days: i64, issuer: Option<&Authority>) -> X509 {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::ORGANIZATIONNAME, "Tests").unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(rand::random::<u32>() | 1).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(issuer.map_or(&subject, |issuer| issuer.certificate.subject_name())).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(BEGIN).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(BEGIN + days * DAY).unwrap()).unwrap();
    if name == "Authority" {
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    } else {
        let mut names = SubjectAlternativeName::new();
        match name.parse::<IpAddr>() {
            Ok(_) => names.ip(name),
            Err(_) => names.dns(name),
        };
        let names = names.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(names).unwrap();
    }
    builder.sign(issuer.map_or(key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
    builder.build()
}

fn authority() -> Authority {
    let key = new_key();
    let certificate = certify("Authority", &key, CENTURY, None);
    Authority { key, certificate }
}

/// A server with this certificate that answers 200; its port, and the requests that reached it.
fn serve_tls(certificate: &X509, key: &PKey<Private>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(certificate).unwrap();
    acceptor.set_private_key(key).unwrap();
    let acceptor = acceptor.build();
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let log = requests.clone();
    let port = listen(move |stream| {
        let Ok(mut stream) = acceptor.accept(stream) else { return };
        let request = read_head(&mut stream);
        if !request.is_empty() {
            log.lock().unwrap().push(request);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").ok();
        if stream.shutdown().is_ok() {
            hang(stream);
        }
    });
    (port, requests)
}

/// Checks `https://<host>:<port>/` of a server whose certificate is for `name`, trusting the authority that signed it,
/// if one did. Also tells how many requests reached the server.
fn check_certificate(name: &str, host: &str, days: i64, signed: bool) -> (CheckResult, usize) {
    let (authority, key) = (authority(), new_key());
    let (port, requests) = serve_tls(&certify(name, &key, days, signed.then_some(&authority)), &key);
    let checker = Checker::trusting(&authority.certificate);
    let result = sane(checker.check(&monitor(&format!("https://{host}:{port}/")), Timestamp::now()));
    let requests = requests.lock().unwrap().len();
    (result, requests)
}

fn fault(result: &CheckResult) -> Option<&str> {
    result.certificate.as_ref()?.fault.as_deref()
}

#[test]
fn a_good_certificate_is_on_record_with_its_dates_and_names() {
    for host in ["127.0.0.1", "localhost"] {
        let (result, requests) = check_certificate(host, host, CENTURY, true);
        assert_eq!((result.outcome, result.body_bytes), (Outcome::Success, Some(5)), "{result:?}");
        assert!(result.phases.tls.is_some());
        let certificate = result.certificate.unwrap();
        assert_eq!(certificate.not_after, Timestamp::from_second(BEGIN + CENTURY * DAY).unwrap());
        assert_eq!(certificate.subject, format!("O=Tests, CN={host}"));
        assert_eq!((certificate.issuer.as_str(), certificate.fault), ("O=Tests, CN=Authority", None));
        assert_eq!(requests, 1);
    }
}

#[test]
fn bad_certificates_are_on_record_with_their_fault_and_get_no_request() {
    for (name, host, days, signed, expected) in [
        ("127.0.0.1", "127.0.0.1", 365, true, "expired"),
        ("other.example", "localhost", CENTURY, true, "wrong_host"),
        ("127.0.0.2", "127.0.0.1", CENTURY, true, "wrong_host"),
        ("127.0.0.1", "127.0.0.1", CENTURY, false, "self_signed"),
    ] {
        let (result, requests) = check_certificate(name, host, days, signed);
        assert_eq!((result.outcome, fault(&result)), (Outcome::CertificateError, Some(expected)), "{result:?}");
        assert_eq!(result.certificate.unwrap().not_after, Timestamp::from_second(BEGIN + days * DAY).unwrap());
        assert_eq!((result.status_code, requests), (None, 0));
        assert!(result.error.unwrap().contains(&format!("CN={name}")));
    }
}

#[test]
fn an_authority_that_is_not_trusted_is_a_fault_of_the_certificate() {
    let (authority, key) = (authority(), new_key());
    let (port, _) = serve_tls(&certify("127.0.0.1", &key, CENTURY, Some(&authority)), &key);
    let result = check(&format!("https://127.0.0.1:{port}/"));
    assert_eq!((result.outcome, fault(&result)), (Outcome::CertificateError, Some("unknown_issuer")), "{result:?}");
}

#[test]
fn plain_text_where_tls_is_expected_is_a_tls_error() {
    let port = listen(|mut stream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
        hang(stream);
    });
    let result = check(&format!("https://127.0.0.1:{port}/"));
    assert_eq!((result.outcome, result.certificate), (Outcome::TlsError, None));
}

#[test]
fn a_handshake_that_the_peer_ends_is_a_tls_error() {
    let port = listen(|mut stream| {
        stream.read_exact(&mut [0; 64]).ok();
    });
    assert_eq!(check(&format!("https://127.0.0.1:{port}/")).outcome, Outcome::TlsError);
}

#[test]
fn a_redirect_from_http_to_https_is_followed() {
    let (authority, key) = (authority(), new_key());
    let (port, requests) = serve_tls(&certify("127.0.0.1", &key, CENTURY, Some(&authority)), &key);
    let server = Server::start(move |_, mut stream| {
        let to = format!("https://127.0.0.1:{port}/in");
        stream.write_all(format!("HTTP/1.1 301 Moved\r\nLocation: {to}\r\n\r\n").as_bytes()).ok();
    });
    let result = sane(Checker::trusting(&authority.certificate).check(&monitor(&server.url("/")), Timestamp::now()));
    assert_eq!((result.outcome, result.redirects), (Outcome::Success, Some(1)), "{result:?}");
    assert!(result.certificate.is_some() && result.peer == Some(format!("127.0.0.1:{port}")));
    assert!(requests.lock().unwrap()[0].starts_with("GET /in "));
}

#[test]
fn http_and_https_checks_share_a_checker_across_threads() {
    let (authority, key) = (authority(), new_key());
    let (port, _) = serve_tls(&certify("127.0.0.1", &key, CENTURY, Some(&authority)), &key);
    let plain = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let checker = Checker::trusting(&authority.certificate);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for url in [plain.clone(), format!("https://127.0.0.1:{port}/")] {
                    let result = checker.check(&monitor(&url), Timestamp::now());
                    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
                }
            });
        }
    });
}
