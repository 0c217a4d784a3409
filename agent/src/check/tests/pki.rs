//! Certificates of every kind, made by the test, and servers that show them.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Extension, X509NameBuilder};
use parking_lot::Mutex;

use crate::check::testing::{hang, listen_on, read_head};
use crate::config::{Authorities, Monitor, Tls};

pub(super) const DAY: i64 = 86_400;
/// 2021-01-01: when certificates begin, unless told otherwise.
pub(super) const BEGIN: i64 = 1_609_459_200;
/// 2120-12-08: when they end, unless told otherwise.
pub(super) const END: i64 = BEGIN + 36_500 * DAY;

/// A certificate with its key.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) certificate: X509,
    pub(super) key: PKey<Private>,
}

/// What a certificate is to be like.
pub(super) struct Wish<'a> {
    pub(super) name: &'a str,
    pub(super) key: PKey<Private>,
    pub(super) begin: i64,
    pub(super) end: i64,
    /// None signs itself.
    pub(super) issuer: Option<&'a Issued>,
    pub(super) is_ca: bool,
    pub(super) has_alternative_name: bool,
    pub(super) client_only: bool,
    pub(super) permits: Option<&'a str>,
    pub(super) digest: MessageDigest,
}

/// A good certificate of this name.
pub(super) fn wish<'a>(name: &'a str, issuer: Option<&'a Issued>) -> Wish<'a> {
    Wish {
        name,
        key: ec_key(Nid::X9_62_PRIME256V1),
        begin: BEGIN,
        end: END,
        issuer,
        is_ca: false,
        has_alternative_name: true,
        client_only: false,
        permits: None,
        digest: MessageDigest::sha256(),
    }
}

/// An authority that signed itself.
pub(super) fn root() -> Issued {
    authority("Root", None)
}

/// An authority.
pub(super) fn authority(name: &str, issuer: Option<&Issued>) -> Issued {
    Wish { is_ca: true, ..wish(name, issuer) }.issue()
}

pub(super) fn ec_key(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

pub(super) fn rsa_key(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

impl Wish<'_> {
    pub(super) fn issue(self) -> Issued {
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_nid(Nid::ORGANIZATIONNAME, "Tests").unwrap();
        subject.append_entry_by_nid(Nid::COMMONNAME, self.name).unwrap();
        let subject = subject.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let serial = BigNum::from_u32(rand::random::<u32>() | 1).unwrap().to_asn1_integer().unwrap();
        builder.set_serial_number(&serial).unwrap();
        builder.set_subject_name(&subject).unwrap();
        let issuer = self.issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name());
        builder.set_issuer_name(issuer).unwrap();
        builder.set_pubkey(&self.key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(self.begin).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(self.end).unwrap()).unwrap();
        if self.is_ca {
            builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        }
        if self.has_alternative_name && (!self.is_ca || self.name.parse::<IpAddr>().is_ok()) {
            let mut names = SubjectAlternativeName::new();
            match self.name.parse::<IpAddr>() {
                Ok(_) => names.ip(self.name),
                Err(_) => names.dns(self.name),
            };
            let names = names.build(&builder.x509v3_context(None, None)).unwrap();
            builder.append_extension(names).unwrap();
        }
        if self.client_only {
            builder.append_extension(ExtendedKeyUsage::new().client_auth().build().unwrap()).unwrap();
        }
        if let Some(permitted) = self.permits {
            #[allow(deprecated, reason = "the crate has no other way to this extension")]
            let extension =
                X509Extension::new(None, None, "nameConstraints", &format!("critical,permitted;{permitted}"));
            builder.append_extension(extension.unwrap()).unwrap();
        }
        builder.sign(self.issuer.map_or(&self.key, |issuer| &issuer.key), self.digest).unwrap();
        Issued { certificate: builder.build(), key: self.key }
    }
}

/// How a test's server speaks TLS: it shows this certificate with these others of its chain. It finds nothing too weak.
pub(super) fn acceptor(leaf: &Issued, chain: &[&Issued]) -> SslAcceptorBuilder {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_security_level(0);
    acceptor.set_certificate(&leaf.certificate).unwrap();
    acceptor.set_private_key(&leaf.key).unwrap();
    for issued in chain {
        acceptor.add_extra_chain_cert(issued.certificate.clone()).unwrap();
    }
    acceptor
}

/// A server of TLS on every address of this host that answers 200.
pub(super) struct TlsServer {
    pub(super) port: u16,
    acceptor: Arc<Mutex<SslAcceptor>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TlsServer {
    pub(super) fn start(acceptor: SslAcceptorBuilder) -> TlsServer {
        TlsServer::answering(acceptor, "HTTP/1.1 200 OK\r\n\r\nhello".into())
    }

    /// One that redirects to this url.
    pub(super) fn redirecting(acceptor: SslAcceptorBuilder, to: &str) -> TlsServer {
        TlsServer::answering(acceptor, format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n"))
    }

    fn answering(acceptor: SslAcceptorBuilder, answer: String) -> TlsServer {
        let acceptor = Arc::new(Mutex::new(acceptor.build()));
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (log, current) = (requests.clone(), acceptor.clone());
        let port = listen_on("0.0.0.0", move |stream| {
            let acceptor = current.lock().clone();
            let Ok(mut stream) = acceptor.accept(stream) else { return };
            let request = read_head(&mut stream);
            if !request.is_empty() {
                log.lock().push(request);
            }
            stream.write_all(answer.as_bytes()).ok();
            if stream.shutdown().is_ok() {
                hang(stream);
            }
        });
        TlsServer { port, acceptor, requests }
    }

    /// From now on it shows another certificate.
    pub(super) fn change(&self, acceptor: SslAcceptorBuilder) {
        *self.acceptor.lock() = acceptor.build();
    }

    /// A monitor of this server, by this name, that trusts no one but this authority.
    pub(super) fn monitor(&self, host: &str, authority: &Issued) -> Monitor {
        let tls = Tls { authorities: trusting(authority), ..Tls::default() };
        Monitor { tls, ..crate::check::testing::monitor(&format!("https://{host}:{}/", self.port)) }
    }

    /// The heads of all requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

pub(super) fn trusting(authority: &Issued) -> Arc<Authorities> {
    let certificates = vec![authority.certificate.clone()];
    Arc::new(Authorities::File { path: PathBuf::from("ca.pem"), certificates })
}
