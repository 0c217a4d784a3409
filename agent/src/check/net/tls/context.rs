//! What TLS connections share, and what is set on each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use openssl::error::ErrorStack;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslRef, SslSessionCacheMode, SslVerifyMode,
};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags};
use parking_lot::Mutex;
use url::Host;

use super::examination::Places;
use super::memory::Memory;
use super::verdict::Verdict;
use crate::check::outcome::Fault;
use crate::config::{Authorities, Tls};

/// What a certificate must be strong enough for, whatever the handshake's version: neither SHA-1 nor RSA below 2,048.
const CERTIFICATE_LEVEL: i32 = 2;

/// `SSL_OP_LEGACY_SERVER_CONNECT`, which the openssl crate does not name.
const LEGACY_SERVER_CONNECT: SslOptions = SslOptions::from_bits_retain(1 << 2);

/// The contexts of all authorities that are in use.
pub(in crate::check) struct Contexts {
    places: Places,
    contexts: Mutex<HashMap<Key, InUse>>,
    clock: fn() -> Timestamp,
}

/// What connections of one context have in common: the address of their authorities, and whether they take sites without
/// secure renegotiation, which can't be set on one connection alone.
type Key = (usize, bool);

/// A context, and the authorities without whom it would go.
struct InUse {
    authorities: Arc<Authorities>,
    context: Arc<Context>,
}

/// What the connections share that trust the same authorities.
pub(in crate::check) struct Context {
    context: SslContext,
    memory: Arc<Memory>,
    places: Places,
    clock: fn() -> Timestamp,
}

impl Contexts {
    pub(in crate::check) fn new() -> Result<Contexts, ErrorStack> {
        Ok(Contexts { places: Places::new()?, contexts: Mutex::default(), clock: Timestamp::now })
    }

    /// Contexts to which another time is told.
    #[cfg(test)]
    pub(in crate::check) fn with_clock(clock: fn() -> Timestamp) -> Contexts {
        Contexts { clock, ..Contexts::new().unwrap() }
    }

    /// How often a verdict was remembered under these authorities.
    #[cfg(test)]
    pub(in crate::check) fn recalled(&self, tls: &Tls) -> usize {
        self.of(tls).unwrap().memory.recalled()
    }

    /// The context for these settings: made when it is first needed, so that an agent without https has none, and
    /// dropped when no configuration has them any more.
    pub(in crate::check) fn of(&self, tls: &Tls) -> Result<Arc<Context>, ErrorStack> {
        let Tls { authorities, legacy_renegotiation, .. } = tls;
        let mut contexts = self.contexts.lock();
        let key = (Arc::as_ptr(authorities).addr(), *legacy_renegotiation);
        if let Some(known) = contexts.get(&key) {
            return Ok(known.context.clone());
        }
        contexts.retain(|_, known| Arc::strong_count(&known.authorities) > 1);
        let context = Arc::new(Context::new(tls, self.places, self.clock)?);
        contexts.insert(key, InUse { authorities: authorities.clone(), context: context.clone() });
        Ok(context)
    }
}

impl Context {
    fn new(tls: &Tls, places: Places, clock: fn() -> Timestamp) -> Result<Context, ErrorStack> {
        let mut builder = SslContextBuilder::new(SslMethod::tls_client())?;
        let store = match &*tls.authorities {
            Authorities::System => roots_of_system()?,
            Authorities::File { certificates, .. } => {
                let mut store = X509StoreBuilder::new()?;
                for certificate in certificates {
                    store.add_cert(certificate.clone())?;
                }
                // What the administrator named is trusted as it stands, be it a root or not.
                store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
                store
            }
        };
        builder.set_cert_store(store.build());
        let memory = Arc::<Memory>::default();
        let remembered = memory.clone();
        builder.set_verify_callback(SslVerifyMode::NONE, move |fits, chain| places.examine(&remembered, fits, chain));
        builder.set_cipher_list("DEFAULT:!aNULL:!eNULL:!MD5:!3DES:!DES:!RC4:!IDEA:!SEED:!aDSS:!SRP:!PSK")?;
        // The cheapest key share first: later versions of OpenSSL would begin with a post-quantum one.
        builder.set_groups_list("X25519:P-256:X448:P-384:P-521")?;
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        builder.set_mode(SslMode::AUTO_RETRY | SslMode::ENABLE_PARTIAL_WRITE | SslMode::RELEASE_BUFFERS);
        // Many servers end without saying so. A body whose length is known is checked against it all the same.
        builder.set_options(SslOptions::NO_COMPRESSION | SslOptions::IGNORE_UNEXPECTED_EOF);
        if tls.legacy_renegotiation {
            builder.set_options(LEGACY_SERVER_CONNECT);
        }
        Ok(Context { context: builder.build(), memory, places, clock })
    }

    /// A connection to a peer that is to prove itself to be `name`.
    pub(super) fn prepare(&self, tls: &Tls, name: &Host<String>) -> Result<Ssl, ErrorStack> {
        let now = (self.clock)();
        let mut ssl = Ssl::new(&self.context)?;
        ssl.set_min_proto_version(Some(tls.min_version.number()))?;
        ssl.set_security_level(tls.min_version.security_level());
        let param = ssl.param_mut();
        param.set_auth_level(CERTIFICATE_LEVEL);
        // A common name is no name of a host, as browsers and Go have it.
        param.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS | X509CheckFlags::NEVER_CHECK_SUBJECT);
        // OpenSSL and the memory go by the same moment.
        param.set_time(now.as_second());
        let shown = match name {
            Host::Domain(name) => {
                // An empty name would be no name to verify.
                let name = Some(name.trim_end_matches('.')).filter(|name| !name.is_empty()).unwrap_or(name);
                param.set_host(name)?;
                ssl.set_hostname(name)?;
                name.to_owned()
            }
            Host::Ipv4(ip) => {
                param.set_ip(IpAddr::from(*ip))?;
                ip.to_string()
            }
            Host::Ipv6(ip) => {
                param.set_ip(IpAddr::from(*ip))?;
                ip.to_string()
            }
        };
        if let Some(identity) = &tls.identity {
            ssl.set_certificate(&identity.certificates[0])?;
            for certificate in &identity.certificates[1..] {
                ssl.add_chain_cert(certificate.clone())?;
            }
            ssl.set_private_key(&identity.key)?;
        }
        self.places.prepare(&mut ssl, shown, tls.verify, now);
        Ok(ssl)
    }

    /// The verdict once the handshake is over.
    pub(super) fn verdict(&self, ssl: &SslRef) -> Result<Option<Arc<Verdict>>, Fault> {
        self.places.verdict(&self.memory, ssl)
    }
}

/// Whom the system trusts: each that its file or its directory of roots has, read once. OpenSSL's own ways would look
/// into the directory again for each intermediate that a peer sends, since that is no root and never found there.
fn roots_of_system() -> Result<X509StoreBuilder, ErrorStack> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        log::warn!(error:%; "not all roots that the system trusts can be read");
    }
    let mut store = X509StoreBuilder::new()?;
    for root in &found.certs {
        match X509::from_der(root) {
            Ok(root) => store.add_cert(root)?,
            Err(error) => log::warn!(error:%; "one of the roots that the system trusts can't be read"),
        }
    }
    Ok(store)
}
