//! Every fault that a certificate may have, and each told the same when its verdict is remembered.

use std::io::{Read, Write};
use std::thread;

use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::ssl::{SslVerifyMode, SslVersion};
use openssl::x509::store::X509StoreBuilder;
use url::Host;

use super::pki::*;
use super::*;
use crate::check::testing::{Server, hang, listen, serve};
use crate::config::{Tls, TlsVersion};

/// All faults of a result's certificate.
fn faults(result: &CheckResult) -> Vec<&str> {
    let Some(certificate) = &result.certificate else { return Vec::new() };
    match certificate.faults.as_slice() {
        [] => certificate.fault.as_deref().into_iter().collect(),
        faults => {
            assert_eq!(certificate.fault, faults.first().cloned());
            faults.iter().map(String::as_str).collect()
        }
    }
}

/// Checks a server that shows a chain, twice with one checker: the second verdict is remembered, and must be the same.
fn judge(host: &str, trusted: &Issued, leaf: &Issued, chain: &[&Issued]) -> CheckResult {
    let server = TlsServer::start(acceptor(leaf, chain));
    let checker = Checker::new().unwrap();
    let monitor = server.monitor(host, trusted);
    let check = || sane(checker.check(&monitor, Timestamp::now()));
    let (cold, warm) = (check(), check());
    assert_eq!(checker.http.tls.recalled(&monitor.tls), 1, "{cold:?}");
    let told = |result: &CheckResult| (result.outcome, result.certificate.clone(), result.error.clone());
    assert_eq!(told(&cold), told(&warm));
    let accepted = cold.outcome == Outcome::Success;
    assert_eq!(server.requests().len(), if accepted { 2 } else { 0 }, "{cold:?}");
    cold
}

#[track_caller]
fn assert_judged(host: &str, trusted: &Issued, leaf: &Issued, chain: &[&Issued], expected: &[&str], words: &str) {
    let result = judge(host, trusted, leaf, chain);
    let outcome = if expected.is_empty() { Outcome::Success } else { Outcome::CertificateError };
    assert_eq!((result.outcome, faults(&result).as_slice()), (outcome, expected), "{result:?}");
    assert!(result.error.as_deref().unwrap_or_default().contains(words), "{result:?}");
}

#[test]
fn a_good_certificate_is_on_record_with_its_dates_and_names() {
    let root = root();
    for host in ["127.0.0.1", "localhost"] {
        let result = judge(host, &root, &wish(host, Some(&root)).issue(), &[]);
        assert_eq!((result.outcome, result.body_bytes), (Outcome::Success, Some(5)), "{result:?}");
        assert!(result.phases.tls.is_some());
        let certificate = result.certificate.unwrap();
        assert_eq!(certificate.not_after, Timestamp::from_second(END).unwrap());
        assert_eq!(certificate.subject, format!("O=Tests, CN={host}"));
        assert_eq!((certificate.issuer.as_str(), certificate.fault), ("O=Tests, CN=Root", None));
    }
}

#[test]
fn good_chains_of_all_kinds_are_accepted() {
    let root = root();
    let middle = Wish { is_ca: true, key: ec_key(Nid::SECP384R1), ..wish("Middle", Some(&root)) }.issue();
    assert_judged("localhost", &root, &wish("localhost", Some(&middle)).issue(), &[&middle], &[], "");
    let rsa = Wish { key: rsa_key(2048), ..wish("localhost", Some(&root)) }.issue();
    assert_judged("localhost", &root, &rsa, &[], &[], "");
    let p521 = Wish { key: ec_key(Nid::SECP521R1), ..wish("localhost", Some(&root)) }.issue();
    assert_judged("localhost", &root, &p521, &[], &[], "");
    let by_common_name = Wish { has_alternative_name: false, ..wish("localhost", Some(&root)) }.issue();
    assert_judged("localhost", &root, &by_common_name, &[], &["wrong_host"], "a common name counts for nothing");
    let authority_as_leaf = Wish { is_ca: true, ..wish("127.0.0.1", Some(&root)) }.issue();
    assert_judged("127.0.0.1", &root, &authority_as_leaf, &[], &[], "");
    assert_judged("localhost", &root, &wish("*.0.0.1", Some(&root)).issue(), &[], &["wrong_host"], "it is for *.0.0.1");
    // What is named as trusted is so, also when it is no root.
    assert_judged("localhost", &middle, &wish("localhost", Some(&middle)).issue(), &[&middle], &[], "");
    let own = wish("localhost", None).issue();
    assert_judged("localhost", &own, &own, &[], &[], "");
}

#[test]
fn a_certificate_without_an_end_in_sight_is_valid_for_long_enough() {
    let root = root();
    // 99991231235959Z
    let endless = Wish { end: 253_402_300_799, ..wish("localhost", Some(&root)) }.issue();
    let mut monitor = TlsServer::start(acceptor(&endless, &[])).monitor("localhost", &root);
    monitor.expect.certificate_valid_for = Some(Duration::from_secs(14 * 86_400));
    let result = check_monitor(&monitor);
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    assert_eq!(result.certificate.unwrap().not_after, Timestamp::MAX);
}

/// A monitor's outcome and error, and when the certificate ends that was shown last and what it rests on, in days, where a
/// certificate is to hold for 14 days.
fn ends(server: &TlsServer, root: &Issued) -> (Outcome, String, i64, Option<i64>) {
    let mut monitor = server.monitor("localhost", root);
    monitor.expect.certificate_valid_for = Some(Duration::from_secs(14 * 86_400));
    let result = check_monitor(&monitor);
    let days = |at: Timestamp| (at.as_second() - Timestamp::now().as_second() + DAY / 2).div_euclid(DAY);
    let certificate = result.certificate.unwrap();
    let first_end = certificate.first_end.map(days);
    (result.outcome, result.error.unwrap_or_default(), days(certificate.not_after), first_end)
}

#[test]
fn the_first_certificate_to_end_counts_over_all_hops_and_the_verified_chain() {
    let root = root();
    let in_days = |days: i64| Timestamp::now().as_second() + days * DAY;
    let leaf = |days, issuer| Wish { end: in_days(days), ..wish("localhost", Some(issuer)) }.issue();
    let long = TlsServer::start(acceptor(&leaf(90, &root), &[]));
    assert_eq!(ends(&long, &root), (Outcome::Success, String::new(), 90, None));

    let to = format!("https://localhost:{}/", long.port);
    let first_hop = TlsServer::redirecting(acceptor(&leaf(3, &root), &[]), &to);
    let (outcome, error, own, first) = ends(&first_hop, &root);
    assert_eq!((outcome, own, first), (Outcome::CertificateExpiring, 90, Some(3)), "{error}");
    assert!(error.starts_with("the certificate of localhost ends in "), "{error}");

    let middle = Wish { is_ca: true, end: in_days(5), ..wish("Middle", Some(&root)) }.issue();
    let chain = TlsServer::start(acceptor(&leaf(90, &middle), &[&middle]));
    let (outcome, error, own, first) = ends(&chain, &root);
    assert_eq!((outcome, own, first), (Outcome::CertificateExpiring, 90, Some(5)), "{error}");
    let told = "O=Tests, CN=Middle, which the certificate of localhost rests on, ends in ";
    assert!(error.starts_with(told), "{error}");

    // What was sent beside the chain, and is not part of it, does not count.
    let beside = TlsServer::start(acceptor(&leaf(90, &root), &[&middle]));
    assert_eq!(ends(&beside, &root), (Outcome::Success, String::new(), 90, None));

    let root = Wish { is_ca: true, end: in_days(7), ..wish("Old", None) }.issue();
    let old = TlsServer::start(acceptor(&leaf(90, &root), &[]));
    let (outcome, error, own, first) = ends(&old, &root);
    assert_eq!((outcome, own, first), (Outcome::CertificateExpiring, 90, Some(7)), "{error}");
}

#[test]
fn a_wildcard_stands_for_any_one_label() {
    let root = root();
    for (certified, name, is_right) in [
        ("*.example.test", "foo_bar.example.test", true),
        ("*.example.test", "foo-bar.example.test", true),
        ("*.example.test", "FOO_bar.Example.test", true),
        ("*.example.test", "a.foo_bar.example.test", false),
        ("*.example.test", "foo_bar.other.test", false),
        ("foo-bar.example.test", "foo_bar.example.test", false),
        ("*.test", "foo_bar.test", false),
    ] {
        let server = TlsServer::start(acceptor(&wish(certified, Some(&root)).issue(), &[]));
        let mut monitor = server.monitor("127.0.0.1", &root);
        monitor.tls.server_name = Some(Host::parse(name).unwrap());
        let result = check_monitor(&monitor);
        let expected: &[&str] = if is_right { &[] } else { &["wrong_host"] };
        assert_eq!(faults(&result), expected, "{name} under {certified}: {result:?}");
    }
}

#[test]
fn dates_are_faults_of_the_certificate_or_of_its_issuers() {
    let root = root();
    let expired = Wish { end: BEGIN + 365 * DAY, ..wish("localhost", Some(&root)) }.issue();
    assert_judged("localhost", &root, &expired, &[], &["expired"], "certificate has expired");
    let future = Wish { begin: END - DAY, ..wish("localhost", Some(&root)) }.issue();
    assert_judged("localhost", &root, &future, &[], &["not_yet_valid"], "not yet valid");
    let middle = Wish { is_ca: true, end: BEGIN + DAY, ..wish("Middle", Some(&root)) }.issue();
    let leaf = wish("localhost", Some(&middle)).issue();
    assert_judged("localhost", &root, &leaf, &[&middle], &["issuer_expired"], "(its issuer O=Tests, CN=Middle)");
    let old = Wish { is_ca: true, end: BEGIN + DAY, ..wish("Old", None) }.issue();
    assert_judged("localhost", &old, &wish("localhost", Some(&old)).issue(), &[], &["issuer_expired"], "CN=Old");
}

#[test]
fn names_are_faults_and_the_right_ones_are_told() {
    let root = root();
    let other = wish("other.example", Some(&root)).issue();
    assert_judged("localhost", &root, &other, &[], &["wrong_host"], "it is for other.example");
    let other = wish("127.0.0.9", Some(&root)).issue();
    assert_judged("127.0.0.1", &root, &other, &[], &["wrong_host"], "it is for 127.0.0.9");
    let both = Wish { end: BEGIN + DAY, ..wish("other.example", Some(&root)) }.issue();
    assert_judged("localhost", &root, &both, &[], &["wrong_host", "expired"], "certificate has expired");
    let narrow = Wish { is_ca: true, permits: Some("DNS:example.org"), ..wish("Narrow", Some(&root)) }.issue();
    let leaf = wish("localhost", Some(&narrow)).issue();
    assert_judged("localhost", &root, &leaf, &[&narrow], &["name_not_permitted"], "permitted subtree violation");
}

#[test]
fn authorities_that_are_unknown_missing_or_none_are_faults() {
    let (root, stranger) = (root(), root());
    let lone = wish("localhost", None).issue();
    assert_judged("localhost", &root, &lone, &[], &["self_signed"], "self-signed certificate");
    let strange = wish("localhost", Some(&authority("Stranger", None))).issue();
    assert_judged("localhost", &root, &strange, &[], &["unknown_issuer"], "unable to get local issuer");
    let other = authority("Other", None);
    let leaf = wish("localhost", Some(&other)).issue();
    assert_judged("localhost", &root, &leaf, &[&other], &["self_signed_root"], "self-signed certificate in");
    let middle = authority("Middle", Some(&root));
    let leaf = wish("localhost", Some(&middle)).issue();
    assert_judged("localhost", &root, &leaf, &[], &["unknown_issuer"], "unable to get local issuer");
    let lone = wish("Lone", None).issue();
    let leaf = wish("localhost", Some(&lone)).issue();
    assert_judged("localhost", &lone, &leaf, &[], &["invalid_ca"], "invalid CA certificate");
    // Of the same name as one that is trusted, but not the same: its signature shows it.
    let forged = wish("localhost", Some(&stranger)).issue();
    assert_judged("localhost", &root, &forged, &[], &["bad_signature"], "signature failure");
}

#[test]
fn a_purpose_that_is_not_a_servers_and_weak_keys_and_digests_are_faults() {
    let root = root();
    let client = Wish { client_only: true, ..wish("localhost", Some(&root)) }.issue();
    assert_judged("localhost", &root, &client, &[], &["wrong_purpose"], "purpose");
    let small = Wish { key: rsa_key(1024), ..wish("localhost", Some(&root)) }.issue();
    assert_judged("localhost", &root, &small, &[], &["too_weak"], "key too weak");
    let sha1 = Wish { digest: MessageDigest::sha1(), ..wish("localhost", Some(&root)) }.issue();
    assert_judged("localhost", &root, &sha1, &[], &["too_weak"], "digest algorithm too weak");
    let middle = Wish { is_ca: true, key: rsa_key(1024), ..wish("Middle", Some(&root)) }.issue();
    let leaf = wish("localhost", Some(&middle)).issue();
    assert_judged("localhost", &root, &leaf, &[&middle], &["too_weak"], "key too weak (its issuer");
}

#[test]
fn many_faults_at_once_are_all_told() {
    let root = root();
    let (key, end) = (rsa_key(1024), BEGIN + DAY);
    let worst =
        Wish { key, end, client_only: true, ..wish("other.example", Some(&authority("Stranger", None))) }.issue();
    let expected = ["too_weak", "unknown_issuer", "wrong_purpose", "wrong_host", "expired"];
    assert_judged("localhost", &root, &worst, &[], &expected, "it is for other.example");
}

#[test]
fn a_certificate_that_is_not_judged_is_on_record_all_the_same() {
    let server = TlsServer::start(acceptor(&wish("other.example", None).issue(), &[]));
    let mut monitor = server.monitor("localhost", &root());
    monitor.tls.verify = false;
    let result = check_monitor(&monitor);
    assert_eq!((result.outcome, server.requests().len()), (Outcome::Success, 1), "{result:?}");
    let certificate = result.certificate.unwrap();
    assert_eq!((certificate.subject.as_str(), certificate.fault), ("O=Tests, CN=other.example", None));
}

#[test]
fn another_name_is_asked_for_and_verified_where_it_is_set() {
    let root = root();
    let server = TlsServer::start(acceptor(&wish("shop.example", Some(&root)).issue(), &[]));
    let mut monitor = server.monitor("127.0.0.1", &root);
    assert_eq!(faults(&check_monitor(&monitor)), ["wrong_host"]);
    monitor.tls.server_name = Some(Host::parse("Shop.example").unwrap());
    let result = check_monitor(&monitor);
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    assert!(server.requests()[0].contains(&format!("host: 127.0.0.1:{}\r\n", server.port)), "{:?}", server.requests());
}

#[test]
fn old_versions_are_spoken_only_where_they_are_asked_for_and_forgive_no_weak_certificate() {
    let root = root();
    let old = |leaf: &Issued| {
        let mut acceptor = acceptor(leaf, &[]);
        acceptor.clear_options(openssl::ssl::SslOptions::NO_TLSV1 | openssl::ssl::SslOptions::NO_TLSV1_1);
        acceptor.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        acceptor.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
        acceptor.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
        TlsServer::start(acceptor)
    };
    let server = old(&Wish { key: rsa_key(2048), ..wish("localhost", Some(&root)) }.issue());
    let mut monitor = server.monitor("localhost", &root);
    let result = check_monitor(&monitor);
    assert_eq!(result.outcome, Outcome::TlsError, "{result:?}");
    monitor.tls.min_version = TlsVersion::V1_0;
    let result = check_monitor(&monitor);
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    let server = old(&Wish { key: rsa_key(1024), ..wish("localhost", Some(&root)) }.issue());
    let mut monitor = server.monitor("localhost", &root);
    monitor.tls.min_version = TlsVersion::V1_0;
    assert_eq!(faults(&check_monitor(&monitor)), ["too_weak"]);
    // And the other way round.
    let server = TlsServer::start({
        let mut acceptor = acceptor(&wish("localhost", Some(&root)).issue(), &[]);
        acceptor.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
        acceptor
    });
    let mut monitor = server.monitor("localhost", &root);
    assert_eq!(check_monitor(&monitor).outcome, Outcome::Success);
    monitor.tls.min_version = TlsVersion::V1_3;
    let result = check_monitor(&monitor);
    assert_eq!(result.outcome, Outcome::TlsError, "{result:?}");
    assert!(result.error.as_ref().unwrap().contains("protocol version"), "{result:?}");
}

#[test]
fn a_site_without_secure_renegotiation_is_taken_where_the_monitor_says_so() {
    // A ServerHello of TLS 1.2 without any extension, for ECDHE-RSA-AES128-GCM-SHA256; then the server hangs up.
    let hello = [&b"\x16\x03\x03\0\x2a\x02\0\0\x26\x03\x03"[..], &[7; 32], b"\0\xc0\x2f\0"].concat();
    let port = listen(move |mut stream| {
        let mut client_hello = [0; 2_048];
        if stream.read(&mut client_hello).is_ok() {
            stream.write_all(&hello).ok();
        }
    });
    let mut monitor = monitor(&format!("https://127.0.0.1:{port}/"));
    let told = |monitor: &Monitor| check_monitor(monitor).error.unwrap();
    assert!(told(&monitor).contains("unsafe legacy renegotiation disabled"), "{}", told(&monitor));
    monitor.tls.legacy_renegotiation = true;
    assert!(!told(&monitor).contains("renegotiation"), "{}", told(&monitor));
}

#[test]
fn a_client_certificate_is_shown_to_the_monitors_own_site_and_to_no_other() {
    let root = root();
    let demanding = |leaf: &Issued, version| {
        let mut acceptor = acceptor(leaf, &[]);
        let mut store = X509StoreBuilder::new().unwrap();
        store.add_cert(root.certificate.clone()).unwrap();
        acceptor.set_cert_store(store.build());
        acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        acceptor.set_max_proto_version(Some(version)).unwrap();
        TlsServer::start(acceptor)
    };
    let middle = authority("Middle", Some(&root));
    let own = Wish { client_only: true, ..wish("edge-1", Some(&middle)) }.issue();
    let identity = crate::config::TlsIdentity::of(vec![own.certificate, middle.certificate.clone()], own.key);
    let leaf = wish("localhost", Some(&root)).issue();
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let server = demanding(&leaf, version);
        let mut monitor = server.monitor("localhost", &root);
        let refused = check_monitor(&monitor);
        assert_eq!((refused.outcome, faults(&refused).len()), (Outcome::TlsError, 0), "{refused:?}");
        assert!(refused.certificate.is_some());
        monitor.tls.identity = Some(identity.clone().into());
        let result = check_monitor(&monitor);
        assert_eq!((result.outcome, server.requests().len()), (Outcome::Success, 1), "{result:?}");
        let port = server.port;
        let elsewhere = Server::start(move |_, mut stream| {
            let to = format!("https://localhost:{port}/");
            stream.write_all(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n").as_bytes()).ok();
        });
        let led_there = Monitor { url: elsewhere.url("/").parse().unwrap(), ..monitor };
        assert_eq!(check_monitor(&led_there).outcome, Outcome::TlsError);
    }
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
    let root = root();
    let server = TlsServer::start(acceptor(&wish("127.0.0.1", Some(&root)).issue(), &[]));
    let port = server.port;
    let plain = Server::start(move |_, mut stream| {
        let to = format!("https://127.0.0.1:{port}/in");
        stream.write_all(format!("HTTP/1.1 301 Moved\r\nLocation: {to}\r\n\r\n").as_bytes()).ok();
    });
    let tls = Tls { authorities: trusting(&root), ..Tls::default() };
    let result = check_monitor(&Monitor { tls, ..monitor(&plain.url("/")) });
    assert_eq!((result.outcome, result.redirects), (Outcome::Success, Some(1)), "{result:?}");
    assert!(result.certificate.is_some() && result.peer == Some(format!("127.0.0.1:{port}")));
    assert!(server.requests()[0].starts_with("GET /in "));
}

#[test]
fn http_and_https_checks_share_a_checker_across_threads() {
    let root = root();
    let server = TlsServer::start(acceptor(&wish("127.0.0.1", Some(&root)).issue(), &[]));
    let secure = server.monitor("127.0.0.1", &root);
    let plain = monitor(&serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let checker = Checker::new().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for monitor in [&plain, &secure] {
                    let result = checker.check(monitor, Timestamp::now());
                    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
                }
            });
        }
    });
}
