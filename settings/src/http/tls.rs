//! The `http.tls` section: the certificate that is shown to whoever connects.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::Section;

/// A certificate is renewed every few weeks or days, and a daemon runs for months: its files are read anew after this time.
const REREAD: Duration = Duration::from_secs(3600);

/// A certificate and its key.
#[derive(Clone)]
pub struct Tls {
    certificate_file: PathBuf,
    key_file: PathBuf,
    read: Arc<Mutex<(Instant, SslAcceptor)>>,
}

impl Tls {
    /// From its section; none when that is absent.
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
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0.elapsed() > REREAD {
            read.0 = Instant::now();
            match acceptor(&self.certificate_file, &self.key_file) {
                Ok(acceptor) => read.1 = acceptor,
                Err(error) => log::warn!(error:%; "`http.tls` can't be read anew: the certificate stays as it was"),
            }
        }
        read.1.clone()
    }
}

fn acceptor(certificate: &Path, key: &Path) -> io::Result<SslAcceptor> {
    // With a pass phrase of its own OpenSSL doesn't ask for one on the terminal.
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
