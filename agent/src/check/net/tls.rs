//! The TLS handshake, and the verdict on the peer's certificate.
//!
//! ```text
//! Contexts ─▶ Context, one for each set of authorities ─▶ handshake ─▶ examination: chain and name, or the verdict
//!                └─ memory: verdicts on chains               │           that is remembered of the same
//!                                                            └─▶ judged before a byte of HTTP is sent
//! ```
//!
//! One context serves all monitors that trust the same authorities: one for each connection would cost it a quarter
//! more, and a store of its own for each monitor a megabyte. What else a monitor's `tls` asks for is set on its
//! connection.
//!
//! OpenSSL verifies the chain and the name in any case, but is told to go on when it objects; the verdict is read after
//! the handshake. So a bad certificate is on record with its dates and all of its faults, and no request, with what
//! credentials it may hold, goes to a peer that did not prove itself.

mod certificate;
mod context;
mod examination;
mod memory;
mod verdict;

use std::io;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{self, SslStream};
use url::Host;
use wire::Outcome;

use super::socket::Socket;
use super::trace::SharedTrace;
use crate::check::outcome::Fault;
use crate::config::Tls;
use context::Context;
pub(in crate::check) use context::Contexts;

/// How one hop speaks TLS.
pub(in crate::check) struct Handshake {
    context: Arc<Context>,
    tls: Tls,
}

impl Contexts {
    /// How a hop speaks TLS that a monitor with these settings takes. A hop to another site than the monitor's own is
    /// shown no certificate of ours, is called by its own name, and has to prove it.
    pub(in crate::check) fn handshake(&self, tls: &Tls, is_own_site: bool) -> Result<Handshake, Fault> {
        let mut tls = tls.clone();
        if !is_own_site {
            tls.identity = None;
            tls.server_name = None;
            tls.verify = true;
            tls.legacy_renegotiation = false;
        }
        let context = self.of(&tls).map_err(own_trouble)?;
        Ok(Handshake { context, tls })
    }
}

impl Handshake {
    /// Shakes hands and judges the certificate.
    pub(in crate::check) fn shake(
        &self,
        host: &Host<String>,
        socket: Socket,
        trace: &SharedTrace,
    ) -> Result<SslStream<Socket>, Fault> {
        let deadline = socket.deadline();
        let name = self.tls.server_name.as_ref().unwrap_or(host);
        let ssl = self.context.prepare(&self.tls, name).map_err(own_trouble)?;
        let mut stream = SslStream::new(ssl, socket).map_err(own_trouble)?;
        let shaken = stream.connect();
        if let Some(verdict) = self.context.verdict(stream.ssl())? {
            trace.lock().showed(verdict.certificate().clone(), verdict.first_end());
            // A certificate that was seen and is bad came before whatever ended the handshake.
            verdict.accepted()?;
        } else if shaken.is_ok() {
            return Err(Fault::new(Outcome::TlsError, "the peer showed no certificate"));
        }
        match shaken {
            Ok(()) => Ok(stream),
            Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) => {
                Err(deadline.passed("the TLS handshake"))
            }
            Err(error) => Err(Fault::new(Outcome::TlsError, format!("the TLS handshake failed: {}", describe(&error)))),
        }
    }
}

/// The fault of an error that TLS itself raised once the connection stood, if it did.
pub(in crate::check) fn alert(error: &io::Error) -> Option<Fault> {
    let error = error.get_ref()?.downcast_ref::<ssl::Error>()?;
    Some(Fault::new(Outcome::TlsError, format!("TLS failed after the handshake: {}", describe(error))))
}

fn own_trouble(error: ErrorStack) -> Fault {
    Fault::new(Outcome::AgentError, format!("TLS can't be set up: {error}"))
}

/// OpenSSL's reason without its file names and numbers.
fn describe(error: &ssl::Error) -> String {
    if let Some(error) = error.io_error() {
        return error.to_string();
    }
    let reason = error.ssl_error().and_then(|stack| stack.errors().first()).and_then(|error| error.reason());
    reason.unwrap_or("the peer ended the connection").to_owned()
}
