//! What a remembered verdict is good for, and where it ends.

use std::sync::atomic::{AtomicI64, Ordering};

use super::pki::*;
use super::*;

fn outcome(checker: &Checker, monitor: &Monitor) -> Outcome {
    sane(checker.check(monitor, Timestamp::now())).outcome
}

#[test]
fn two_addresses_with_one_certificate_share_no_verdict() {
    let root = root();
    let server = TlsServer::start(acceptor(&wish("127.0.0.1", Some(&root)).issue(), &[]));
    let checker = Checker::new().unwrap();
    let right = server.monitor("127.0.0.1", &root);
    let mut wrong = server.monitor("127.0.0.2", &root);
    wrong.tls = right.tls.clone();
    for _ in 0..2 {
        assert_eq!(outcome(&checker, &right), Outcome::Success);
        assert_eq!(outcome(&checker, &wrong), Outcome::CertificateError);
    }
    assert_eq!(checker.http.tls.recalled(&right.tls), 2);
}

#[test]
fn a_chain_that_changed_is_judged_again() {
    let root = root();
    let middle = authority("Middle", Some(&root));
    let leaf = wish("localhost", Some(&middle)).issue();
    let server = TlsServer::start(acceptor(&leaf, &[&middle]));
    let (checker, monitor) = (Checker::new().unwrap(), server.monitor("localhost", &root));
    assert_eq!(outcome(&checker, &monitor), Outcome::Success);
    server.change(acceptor(&leaf, &[]));
    assert_eq!(outcome(&checker, &monitor), Outcome::CertificateError);
    let expired = Wish { end: BEGIN + DAY, ..wish("localhost", Some(&middle)) }.issue();
    server.change(acceptor(&expired, &[&middle]));
    assert_eq!(outcome(&checker, &monitor), Outcome::CertificateError);
    server.change(acceptor(&leaf, &[&middle]));
    assert_eq!(outcome(&checker, &monitor), Outcome::Success);
    assert_eq!(checker.http.tls.recalled(&monitor.tls), 1);
}

#[test]
fn other_authorities_share_no_verdict() {
    let (root, other) = (root(), authority("Other", None));
    let server = TlsServer::start(acceptor(&wish("localhost", Some(&root)).issue(), &[]));
    let checker = Checker::new().unwrap();
    let (trusting, not) = (server.monitor("localhost", &root), server.monitor("localhost", &other));
    for _ in 0..2 {
        assert_eq!(outcome(&checker, &trusting), Outcome::Success);
        assert_eq!(outcome(&checker, &not), Outcome::CertificateError);
    }
}

#[test]
fn a_key_that_is_not_the_certificates_is_found_out_with_a_verdict_in_memory() {
    // The chain alone is public: who shows it must sign with its key in every handshake.
    let root = root();
    let leaf = wish("localhost", Some(&root)).issue();
    let server = TlsServer::start(acceptor(&leaf, &[]));
    let (checker, monitor) = (Checker::new().unwrap(), server.monitor("localhost", &root));
    assert_eq!(outcome(&checker, &monitor), Outcome::Success);
    let mut thief = acceptor(&wish("thief", None).issue(), &[]);
    // OpenSSL refuses to be set up like that, but by way of a key whose public half is a lie.
    let stolen = lying_key(&leaf);
    thief.set_certificate(&leaf.certificate).unwrap();
    thief.set_private_key(&stolen).unwrap();
    server.change(thief);
    let result = checker.check(&monitor, Timestamp::now());
    assert_eq!(result.outcome, Outcome::TlsError, "{result:?}");
    assert_eq!((checker.http.tls.recalled(&monitor.tls), server.requests().len()), (1, 1));
}

/// The public half of a certificate's key, with another private half.
fn lying_key(of: &Issued) -> openssl::pkey::PKey<openssl::pkey::Private> {
    let public = of.certificate.public_key().unwrap().ec_key().unwrap();
    let other = ec_key(openssl::nid::Nid::X9_62_PRIME256V1).ec_key().unwrap();
    let lie = openssl::ec::EcKey::from_private_components(public.group(), other.private_key(), public.public_key());
    openssl::pkey::PKey::from_ec_key(lie.unwrap()).unwrap()
}

/// What the clock of [`a_verdict_ends_when_a_certificate_of_the_chain_begins_or_ends`] says.
static NOW: AtomicI64 = AtomicI64::new(0);

#[test]
fn a_verdict_ends_when_a_certificate_of_the_chain_begins_or_ends() {
    const START: i64 = 1_790_000_000;
    let checker = Checker::with_clock(|| Timestamp::from_second(NOW.load(Ordering::SeqCst)).unwrap());
    let check = |monitor: &Monitor, offset: i64| {
        NOW.store(START + offset, Ordering::SeqCst);
        let result = sane(checker.check(monitor, Timestamp::now()));
        let recalled = checker.http.tls.recalled(&monitor.tls);
        (result.certificate.unwrap().fault.unwrap_or_default(), recalled)
    };
    let told = |fault: &str, recalled: usize| (fault.to_owned(), recalled);

    let root = Wish { is_ca: true, end: START + 250, ..wish("Root", None) }.issue();
    let middle = Wish { is_ca: true, end: START + 200, ..wish("Middle", Some(&root)) }.issue();
    let leaf = Wish { begin: START + 50, end: START + 100, ..wish("localhost", Some(&middle)) }.issue();
    let server = TlsServer::start(acceptor(&leaf, &[&middle]));
    let monitor = server.monitor("localhost", &root);
    assert_eq!(check(&monitor, 0), told("not_yet_valid", 0));
    assert_eq!(check(&monitor, 49), told("not_yet_valid", 1));
    assert_eq!(check(&monitor, 50), told("", 1));
    assert_eq!(check(&monitor, 99), told("", 2));
    assert_eq!(check(&monitor, 100), told("expired", 2));
    assert_eq!(check(&monitor, 199), told("expired", 3));
    assert_eq!(check(&monitor, 200), told("issuer_expired", 3));

    // The root is not sent, and counts all the same.
    let leaf = wish("localhost", Some(&root)).issue();
    server.change(acceptor(&leaf, &[]));
    let monitor = server.monitor("localhost", &root);
    assert_eq!(check(&monitor, 0), told("", 0));
    assert_eq!(check(&monitor, 249), told("", 1));
    assert_eq!(check(&monitor, 250), told("issuer_expired", 1));
    // Nor does a verdict hold for the time before it: a clock may be set back.
    assert_eq!(check(&monitor, 249), told("", 1));
}
