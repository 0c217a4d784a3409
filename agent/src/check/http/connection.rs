//! Our connector for ureq: it looks the name up, connects, shakes hands, and carries bytes, each within the deadline.
//!
//! ureq's own timeouts are not used: each of them starts a thread per look-up, and none covers all hops. Every error
//! that leaves here is a [`Fault`] inside of a `ureq::Error`.

use std::io::{self, Read, Write};
use std::sync::Arc;

use openssl::ssl::SslStream;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as UreqResolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use url::Host;
use wire::Outcome;

use super::buffers::GrowingBuffers;
use super::head::Head;
use crate::check::net::deadline::Deadline;
use crate::check::net::resolve::Resolver;
use crate::check::net::socket::Socket;
use crate::check::net::tls;
use crate::check::net::tls::Handshake;
use crate::check::net::trace::{Phase, SharedTrace};
use crate::check::outcome::Fault;
use crate::config::IpFamily;

/// Makes the connection of one hop.
pub(super) struct Dialer {
    pub(super) host: Host<String>,
    pub(super) port: u16,
    pub(super) family: IpFamily,
    /// Set where TLS is spoken.
    pub(super) tls: Option<Handshake>,
    pub(super) resolver: Arc<Resolver>,
    pub(super) deadline: Deadline,
    pub(super) trace: SharedTrace,
}

impl Dialer {
    fn dial(&self) -> Result<Connection, Fault> {
        self.trace.lock().enter(Phase::Dns);
        let addresses = self.resolver.resolve(&self.host, self.port, self.family, self.deadline)?;
        self.trace.lock().enter(Phase::Connect);
        let (socket, peer) = Socket::connect(&addresses, self.deadline)?;
        self.trace.lock().connected(peer);
        let stream = match &self.tls {
            None => Stream::Plain(socket),
            Some(tls) => {
                self.trace.lock().enter(Phase::Tls);
                Stream::Tls(Box::new(tls.shake(&self.host, socket, &self.trace)?))
            }
        };
        self.trace.lock().enter(Phase::FirstByte);
        let (buffers, head) = (GrowingBuffers::default(), Some(Head::default()));
        Ok(Connection { stream, deadline: self.deadline, buffers, head, trace: self.trace.clone() })
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dialer({}:{})", self.host, self.port)
    }
}

impl Connector for Dialer {
    type Out = Connection;

    fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Connection>, ureq::Error> {
        Ok(Some(self.dial()?))
    }
}

/// The connection of one hop.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    deadline: Deadline,
    buffers: GrowingBuffers,
    /// Until the answer's head is whole.
    head: Option<Head>,
    trace: SharedTrace,
}

#[derive(Debug)]
enum Stream {
    Plain(Socket),
    Tls(Box<SslStream<Socket>>),
}

impl Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(room),
            Stream::Tls(stream) => stream.read(room),
        }
    }
}

impl Connection {
    fn fault(&self, doing: &str, error: io::Error) -> Fault {
        if error.kind() == io::ErrorKind::TimedOut && self.deadline.left().is_none() {
            return self.deadline.passed(doing);
        }
        tls::alert(&error).unwrap_or_else(|| Fault::io(Outcome::ConnectionClosed, doing, &error))
    }

    /// Reads until the next head is whole and gives it to ureq, with what came behind the last one. Whether more came.
    fn await_head(&mut self, mut head: Head) -> Result<bool, Fault> {
        loop {
            if let Some(whole) = head.next()? {
                self.buffers.append(&whole.head);
                self.trace.lock().status_line(&whole.status_line);
                if whole.is_interim {
                    self.head = Some(head);
                } else {
                    self.buffers.append(head.rest());
                }
                return Ok(true);
            }
            let received =
                self.stream.read(head.room()?).map_err(|error| self.fault("waiting for the answer", error))?;
            if received == 0 {
                self.trace.lock().peer_ended();
                return Ok(false);
            }
            self.trace.lock().enter(Phase::Body);
            head.came(received);
            if let Some(line) = head.status_line() {
                self.trace.lock().status_line(line);
            }
        }
    }

    /// Why a TLS peer closed before it had the request: it may have said so, as when it wants another certificate.
    fn parting_words(&mut self) -> Option<Fault> {
        match &mut self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => tls::alert(&stream.read(&mut [0]).err()?),
        }
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let request = self.buffers.written(amount);
        let sent = match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(request),
            Stream::Tls(stream) => stream.write_all(request),
        };
        sent.map_err(|error| match self.parting_words() {
            Some(fault) => fault.into(),
            None => self.fault("sending the request", error).into(),
        })
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        if let Some(head) = self.head.take() {
            return Ok(self.await_head(head)?);
        }
        let room = self.buffers.input_append_buf();
        if room.is_empty() {
            return Err(
                Fault::new(Outcome::ProtocolError, "one line of the body's parts is longer than any buffer").into()
            );
        }
        let received = self.stream.read(room).map_err(|error| self.fault("reading the body", error))?;
        self.buffers.input_appended(received);
        if received == 0 {
            self.trace.lock().peer_ended();
        }
        Ok(received > 0)
    }

    /// Never: each hop has a connection of its own.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

/// Takes the place of ureq's resolver: names are looked up by the [`Dialer`], which has the deadline.
#[derive(Debug)]
pub(super) struct LeftToDialer;

impl UreqResolver for LeftToDialer {
    fn resolve(
        &self,
        _: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}
