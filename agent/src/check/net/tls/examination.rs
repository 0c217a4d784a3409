//! How one peer's chain is examined, from within OpenSSL's verification.
//!
//! OpenSSL calls back for each certificate and each objection, and goes on as it is told. At the first call the chain
//! as the peer sent it is known, and so whether there is a verdict on it already: then verification is told to stop,
//! before the first signature. Else it is told to go on whatever it finds, and every objection is noted.

use std::sync::Arc;

use jiff::Timestamp;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::sha::Sha256;
use openssl::ssl::{Ssl, SslRef};
use openssl::x509::{X509Ref, X509StoreContext, X509StoreContextRef, X509VerifyResult};
use parking_lot::Mutex;
use wire::Outcome;

use super::certificate::timestamp;
use super::memory::{Key, Memory};
use super::verdict::{Reason, Verdict};
use crate::check::outcome::Fault;

/// `X509_V_ERR_HOSTNAME_MISMATCH`.
const WRONG_HOST: i32 = 62;

/// Where OpenSSL keeps what belongs to a connection.
#[derive(Clone, Copy)]
pub(super) struct Places {
    connection: Index<X509StoreContext, SslRef>,
    examination: Index<Ssl, Examination>,
}

/// The examination of one connection's peer.
pub(super) struct Examination {
    name: String,
    verify: bool,
    now: Timestamp,
    progress: Mutex<Progress>,
}

#[derive(Default)]
enum Progress {
    #[default]
    NotBegun,
    /// A verdict was remembered.
    Remembered(Arc<Verdict>),
    /// What OpenSSL objected to so far. Without a key the verdict can't be remembered.
    UnderWay { key: Option<Key>, reasons: Vec<Reason> },
}

impl Places {
    pub(super) fn new() -> Result<Places, ErrorStack> {
        Ok(Places { connection: X509StoreContext::ssl_idx()?, examination: Ssl::new_ex_index()? })
    }

    /// Has the connection's peer examined as `name`, by the authorities as of `now`.
    pub(super) fn prepare(self, ssl: &mut SslRef, name: String, verify: bool, now: Timestamp) {
        ssl.set_ex_data(self.examination, Examination { name, verify, now, progress: Mutex::default() });
    }

    /// OpenSSL's callback; whether verification is to go on.
    pub(super) fn examine(self, memory: &Memory, fits: bool, chain: &mut X509StoreContextRef) -> bool {
        let goes_on = self.note(memory, fits, chain);
        if goes_on {
            // Or it would repeat this objection in the place of later ones.
            chain.set_error(X509VerifyResult::OK);
        }
        goes_on
    }

    fn note(self, memory: &Memory, fits: bool, chain: &X509StoreContextRef) -> bool {
        let Some(ssl) = chain.ex_data(self.connection) else { return false };
        let Some(examination) = ssl.ex_data(self.examination) else { return false };
        if !examination.verify {
            return false;
        }
        let mut progress = examination.progress.lock();
        if let Progress::NotBegun = *progress {
            let key = key(&examination.name, ssl);
            *progress = match key.and_then(|key| memory.recall(&key, examination.now)) {
                Some(verdict) => Progress::Remembered(verdict),
                None => Progress::UnderWay { key, reasons: Vec::new() },
            };
        }
        let Progress::UnderWay { reasons, .. } = &mut *progress else { return false };
        let fits =
            fits || chain.error().as_raw() == WRONG_HOST && is_under_wildcard(&examination.name, chain.current_cert());
        if !fits {
            reasons.push(Reason::new(chain.error(), chain.error_depth(), chain.current_cert()));
        }
        true
    }

    /// The verdict once the handshake is over, be it that it failed; none where no certificate was shown before that.
    pub(super) fn verdict(self, memory: &Memory, ssl: &SslRef) -> Result<Option<Arc<Verdict>>, Fault> {
        let Some(examination) = ssl.ex_data(self.examination) else { return Ok(None) };
        let progress = std::mem::take(&mut *examination.progress.lock());
        let (key, reasons) = match progress {
            Progress::Remembered(verdict) => return Ok(Some(verdict)),
            Progress::UnderWay { key, reasons } => (key, reasons),
            Progress::NotBegun => (None, Vec::new()),
        };
        let Some(certificate) = ssl.peer_certificate() else { return Ok(None) };
        let result = ssl.verify_result();
        // Without an objection verification must have run, and run to its end.
        if examination.verify && reasons.is_empty() && (key.is_none() || result != X509VerifyResult::OK) {
            let text =
                format!("the certificate of {} could not be verified: {}", examination.name, result.error_string());
            return Err(Fault::new(Outcome::AgentError, text));
        }
        // A chain that was not verified is not relied on.
        let chain = ssl.verified_chain().filter(|_| examination.verify && reasons.is_empty());
        let chain = chain.into_iter().flatten();
        let verdict = Arc::new(Verdict::new(&certificate, &examination.name, &reasons, chain));
        if let Some(key) = key {
            memory.keep(key, verdict.clone(), examination.now, changes(ssl));
        }
        Ok(Some(verdict))
    }
}

/// Whether a name whose first label has an underscore lies under a wildcard of the certificate. OpenSSL has a wildcard stand
/// for letters, digits and hyphens only (`wildcard_match`); for curl, Go and browsers it stands for any label.
fn is_under_wildcard(name: &str, certificate: Option<&X509Ref>) -> bool {
    let Some((_, parent)) = name.split_once('.').filter(|(label, _)| label.contains('_')) else { return false };
    let names = certificate.and_then(X509Ref::subject_alt_names);
    names
        .iter()
        .flatten()
        .filter_map(|name| name.dnsname())
        .any(|name| name.strip_prefix("*.").is_some_and(|of| of.contains('.') && of.eq_ignore_ascii_case(parent)))
}

/// What a verdict depends on, beside the authorities and the time.
fn key(name: &str, ssl: &SslRef) -> Option<Key> {
    let sent = ssl.peer_cert_chain().filter(|sent| !sent.is_empty())?;
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update(&bytes.len().to_be_bytes());
        hash.update(bytes);
    };
    add(name.as_bytes());
    for certificate in sent {
        add(&certificate.to_der().ok()?);
    }
    Some(hash.finish())
}

/// The moments at which a certificate begins or ends: those that were sent, and those of the path that was built of
/// them, its root included.
fn changes(ssl: &SslRef) -> impl Iterator<Item = Timestamp> {
    let chains = [ssl.peer_cert_chain(), ssl.verified_chain()];
    let certificates = chains.into_iter().flatten().flatten();
    certificates
        .flat_map(|certificate| [certificate.not_before(), certificate.not_after()].into_iter().filter_map(timestamp))
}
