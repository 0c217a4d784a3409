//! Reads the `http.tls` section: the certificate that the server shows to its clients.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::Section;

/// The files of a certificate are read again after this time, because a certificate is renewed every few weeks or days,
/// and a daemon runs for months.
const REREAD: Duration = Duration::from_secs(3600);

/// A certificate and its key.
#[derive(Clone)]
pub struct Tls {
    certificate_file: PathBuf,
    key_file: PathBuf,
    read: Arc<Mutex<(Instant, SslAcceptor)>>,
}

impl Tls {
    /// Reads the certificate and its key from their section. It returns none when the section is absent.
    pub fn of(section: &mut Section<'_>) -> Option<Tls> {
        let (certificate, key) = (section.readable("certificate_file"), section.readable("key_file"));
        let (certificate_file, key_file) = match (certificate, key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return None,
            _ => {
                section.fault("certificate_file", "stands without key_file, or the reverse", "give both or neither");
                return None;
            }
        };
        match acceptor(&certificate_file, &key_file) {
            Ok(acceptor) => {
                Some(Tls { certificate_file, key_file, read: Arc::new(Mutex::new((Instant::now(), acceptor))) })
            }
            Err(error) => {
                let mend = "name PEM files of a certificate (and its chain) and of its key, which is not encrypted";
                section.fault("certificate_file", format!("and key_file are of no use: {error}"), mend);
                None
            }
        }
    }

    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<SslStream<TcpStream>> {
        let ssl = Ssl::new(self.acceptor().context()).map_err(io::Error::from)?;
        let mut stream = SslStream::new(ssl, socket).map_err(io::Error::other)?;
        Pin::new(&mut stream).accept().await.map_err(io::Error::other)?;
        Ok(stream)
    }

    fn acceptor(&self) -> SslAcceptor {
        let mut read = self.read.lock();
        if read.0.elapsed() > REREAD {
            read.0 = Instant::now();
            match acceptor(&self.certificate_file, &self.key_file) {
                Ok(acceptor) => read.1 = acceptor,
                Err(error) => log::warn!(error:%; "`http.tls` can't be read again: the certificate stays as it was"),
            }
        }
        read.1.clone()
    }
}

fn acceptor(certificate: &Path, key: &Path) -> io::Result<SslAcceptor> {
    // With a given pass phrase, OpenSSL does not ask for one on the terminal.
    let key = PKey::private_key_from_pem_passphrase(&fs::read(key)?, b"")?;
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    acceptor.set_certificate_chain_file(certificate)?;
    acceptor.set_private_key(&key)?;
    acceptor.check_private_key()?;
    Ok(acceptor.build())
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.certificate_file).finish()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use openssl::asn1::Asn1Time;
    use openssl::bn::BigNum;
    use openssl::hash::MessageDigest;
    use openssl::pkey::Private;
    use openssl::rsa::Rsa;
    use openssl::ssl::{SslConnector, SslVerifyMode};
    use openssl::symm::Cipher;
    use openssl::x509::{X509, X509NameBuilder};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::Limits;

    fn key() -> PKey<Private> {
        PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
    }

    fn certificate(name: &str, key: &PKey<Private>) -> Vec<u8> {
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_text("CN", name).unwrap();
        let subject = subject.build();
        let mut certificate = X509::builder().unwrap();
        certificate.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
        certificate.set_subject_name(&subject).unwrap();
        certificate.set_issuer_name(&subject).unwrap();
        certificate.set_pubkey(key).unwrap();
        certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        certificate.sign(key, MessageDigest::sha256()).unwrap();
        certificate.build().to_pem().unwrap()
    }

    fn read(directory: &Path) -> (Option<Tls>, Vec<String>) {
        let value = serde_yaml::from_str("{certificate_file: a.pem, key_file: key.pem}").unwrap();
        let (tls, faults) = Section::read(&directory.join("c.yaml"), None, value, Tls::of);
        (tls, faults.iter().map(ToString::to_string).collect())
    }

    /// Returns the name of the certificate that is shown, and the answer.
    async fn ask(address: std::net::SocketAddr) -> (String, String) {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        let ssl = connector.build().configure().unwrap().into_ssl("localhost").unwrap();
        let mut stream = SslStream::new(ssl, TcpStream::connect(address).await.unwrap()).unwrap();
        Pin::new(&mut stream).connect().await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let certificate = stream.ssl().peer_certificate().unwrap();
        let name = certificate.subject_name().entries().next().unwrap().data().to_string().unwrap();
        (name, answer)
    }

    #[tokio::test]
    async fn a_certificate_is_shown_and_one_that_took_its_place_after_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let key = key();
        fs::write(directory.path().join("key.pem"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        fs::write(directory.path().join("a.pem"), certificate("old", &key)).unwrap();
        let tls = read(directory.path()).0.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(async || "seen"));
        tokio::spawn(crate::answer(listener, Some(tls.clone()), Limits::default(), routes));
        let (name, answer) = ask(address).await;
        assert!(name == "old" && answer.ends_with("seen"), "{name} {answer}");

        fs::write(directory.path().join("a.pem"), "no certificate").unwrap();
        tls.read.lock().0 = Instant::now().checked_sub(REREAD * 2).unwrap();
        assert_eq!(ask(address).await.0, "old");
        fs::write(directory.path().join("a.pem"), certificate("new", &key)).unwrap();
        assert_eq!(ask(address).await.0, "old");
        tls.read.lock().0 = Instant::now().checked_sub(REREAD * 2).unwrap();
        assert_eq!(ask(address).await.0, "new");
    }

    #[test]
    fn files_that_are_of_no_use_are_a_fault_and_no_one_is_asked_for_a_pass_phrase() {
        let directory = tempfile::tempdir().unwrap();
        let (key, other) = (key(), key());
        fs::write(directory.path().join("a.pem"), certificate("a", &key)).unwrap();
        let encrypted = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"hunter2").unwrap();
        for content in [other.private_key_to_pem_pkcs8().unwrap(), encrypted, b"nonsense".to_vec()] {
            fs::write(directory.path().join("key.pem"), content).unwrap();
            let (tls, faults) = read(directory.path());
            assert!(tls.is_none() && faults.len() == 1, "{faults:?}");
            assert!(faults[0].contains("certificate_file: and key_file are of no use: "), "{faults:?}");
        }
    }
}
