//! What is learnt on the way: how long each phase took, who answered, with which certificate and which status line.
//!
//! The connection writes it from inside of ureq, the check reads it afterwards, also when it failed half-way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use wire::{Certificate, Phases};

use super::deadline::micros;

/// The trace of one check, shared with its connections.
pub(in crate::check) type SharedTrace = Arc<Mutex<Trace>>;

/// What one check met, over all of its hops.
#[derive(Debug, Default)]
pub(in crate::check) struct Trace {
    phases: [Option<Duration>; 5],
    running: Option<(Phase, Instant)>,
    peer: Option<SocketAddr>,
    certificate: Option<Certificate>,
    first_end: Option<CertificateEnd>,
    status_line: Vec<u8>,
    ended: bool,
}

/// When a certificate ends on which a check relied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::check) struct CertificateEnd {
    /// Its last moment.
    pub(in crate::check) at: Timestamp,
    /// Which one it is, as a sentence's subject.
    pub(in crate::check) whose: String,
}

/// A phase of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::check) enum Phase {
    Dns,
    Connect,
    Tls,
    FirstByte,
    Body,
}

impl Trace {
    /// Ends the running phase and begins the next. Phases of the same kind add up over the hops.
    pub(in crate::check) fn enter(&mut self, phase: Phase) {
        if self.running.is_some_and(|(running, _)| running == phase) {
            return;
        }
        self.end();
        self.running = Some((phase, Instant::now()));
    }

    /// Ends the running phase.
    pub(in crate::check) fn end(&mut self) {
        if let Some((phase, since)) = self.running.take() {
            *self.phases[phase as usize].get_or_insert_default() += since.elapsed();
        }
    }

    /// How long each phase took so far; absent where it was not reached.
    pub(in crate::check) fn phases(&self) -> Phases {
        let [dns, connect, tls, first_byte, body] = self.phases.map(|took| took.map(micros));
        Phases { dns, connect, tls, first_byte, body }
    }

    /// A connection was made.
    pub(in crate::check) fn connected(&mut self, peer: SocketAddr) {
        self.peer = Some(peer);
        self.status_line.clear();
        self.ended = false;
    }

    /// The last peer.
    pub(in crate::check) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// A TLS peer showed its certificate, and `first_end` is the earliest end of its chain.
    pub(in crate::check) fn showed(&mut self, certificate: Certificate, first_end: &CertificateEnd) {
        self.certificate = Some(certificate);
        if self.first_end.as_ref().is_none_or(|known| first_end.at < known.at) {
            self.first_end = Some(first_end.clone());
        }
    }

    /// The earliest end of all chains that were shown.
    pub(in crate::check) fn first_end(&self) -> Option<&CertificateEnd> {
        self.first_end.as_ref()
    }

    /// The certificate that was shown last, to keep.
    pub(in crate::check) fn take_certificate(&mut self) -> Option<Certificate> {
        let mut certificate = self.certificate.take()?;
        let first = self.first_end.as_ref().map(|first| first.at);
        certificate.first_end = first.filter(|first| *first < certificate.not_after);
        Some(certificate)
    }

    /// The peer ended the connection.
    pub(in crate::check) fn peer_ended(&mut self) {
        self.ended = true;
    }

    /// Whether the peer ended the connection.
    pub(in crate::check) fn has_peer_ended(&self) -> bool {
        self.ended
    }

    /// An answer's status line came.
    pub(in crate::check) fn status_line(&mut self, line: &[u8]) {
        self.status_line.clear();
        self.status_line.extend_from_slice(line);
    }

    /// The status code of an answer whose head came at least in part; not one that only informs.
    pub(in crate::check) fn status_code(&self) -> Option<u16> {
        let code = self.status_line.strip_prefix(b"HTTP/1.")?.split(|byte| *byte == b' ').nth(1)?.trim_ascii();
        std::str::from_utf8(code).ok()?.parse().ok().filter(|code| (200..1_000).contains(code))
    }

    /// The phrase that the peer gave with this status code, if any. The http crate doesn't keep it.
    pub(in crate::check) fn phrase(&self, status: u16) -> Option<&[u8]> {
        let mut parts = self.status_line.splitn(3, |byte| *byte == b' ');
        let (_version, code, phrase) = (parts.next()?, parts.next()?, parts.next()?.trim_ascii());
        let code: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
        (code == status && !phrase.is_empty()).then_some(phrase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_add_up_over_hops_and_those_not_reached_stay_absent() {
        let mut trace = Trace::default();
        for phase in [Phase::Dns, Phase::Connect, Phase::Dns, Phase::Connect, Phase::FirstByte] {
            trace.enter(phase);
        }
        assert_eq!(trace.phases().first_byte, None, "still running");
        trace.end();
        let phases = trace.phases();
        assert!(phases.dns.is_some() && phases.connect.is_some() && phases.first_byte.is_some());
        assert_eq!((phases.tls, phases.body), (None, None));
    }

    #[test]
    fn the_phrase_is_the_servers_when_it_gave_one_for_that_status() {
        let mut trace = Trace::default();
        trace.status_line(b"HTTP/1.1 404 Nobody Home\r");
        assert_eq!(trace.phrase(404), Some(&b"Nobody Home"[..]));
        assert_eq!(trace.phrase(200), None);
        trace.status_line(b"HTTP/1.1 404 \r");
        assert_eq!(trace.phrase(404), None);
        trace.status_line(b"HTTP/1.1 404\r");
        assert_eq!(trace.phrase(404), None);
    }
}
