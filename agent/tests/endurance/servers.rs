//! Servers in few threads, which stay the same however many connections come: what else grows is not theirs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
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

/// Threads of each server.
pub(super) const THREADS: usize = 4;

/// A server that answers each request with this, and closes; its port.
pub(super) fn plain(answer: &'static [u8]) -> u16 {
    serve(move |mut stream| {
        read_head(&mut stream);
        stream.write_all(answer).ok();
    })
}

/// The same over TLS, with a certificate for localhost; the authority's certificate goes into a file.
pub(super) fn secure(answer: &'static [u8], ca_file: &Path) -> u16 {
    let root_key = key();
    let root = certificate("Root", &root_key, None);
    std::fs::write(ca_file, root.to_pem().unwrap()).unwrap();
    let leaf_key = key();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&certificate("localhost", &leaf_key, Some((&root, &root_key)))).unwrap();
    acceptor.set_private_key(&leaf_key).unwrap();
    let acceptor = acceptor.build();
    serve(move |stream| {
        let Ok(mut stream) = acceptor.accept(stream) else { return };
        read_head(&mut stream);
        stream.write_all(answer).ok();
        stream.shutdown().ok();
    })
}

/// Takes connections and never says a word.
pub(super) fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn serve(handle: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for _ in 0..THREADS {
        let (listener, handle) = (listener.try_clone().unwrap(), handle.clone());
        thread::spawn(move || listener.incoming().flatten().for_each(&handle));
    }
    port
}

/// Reads a request's head, or the first bytes of what is none.
fn read_head(stream: &mut impl Read) {
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => head.extend_from_slice(&piece[..count]),
            _ => return,
        }
        if !head.starts_with(b"GET ") {
            return;
        }
    }
}

fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn certificate(name: &str, key: &PKey<Private>, issuer: Option<(&X509, &PKey<Private>)>) -> X509 {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(issuer.map_or(&*subject, |(issuer, _)| issuer.subject_name())).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(365).unwrap()).unwrap();
    if issuer.is_none() {
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    }
    let names = SubjectAlternativeName::new().dns(name).build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(issuer.map_or(key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    builder.build()
}
