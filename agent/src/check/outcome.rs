//! From what went wrong to the outcome's word and a sentence for people.
//!
//! The connection speaks in [`Fault`]s itself, wrapped so that they pass through ureq and `io::Error` unchanged; what
//! is left are ureq's own errors, which concern HTTP.

use std::io;

use rustix::io::Errno;
use wire::Outcome;

/// Why a check failed: its first cause.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Fault {
    outcome: Outcome,
    text: String,
}

impl Fault {
    pub(super) fn new(outcome: Outcome, text: impl Into<String>) -> Fault {
        Fault { outcome, text: text.into() }
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The fault of a system call on the way to the peer: `outcome`, unless the agent itself is out of something.
    pub(super) fn io(outcome: Outcome, doing: &str, error: &io::Error) -> Fault {
        let outcome = if is_own_trouble(error) { Outcome::AgentError } else { outcome };
        Fault::new(outcome, format!("{doing}: {error}"))
    }

    /// The fault behind an error that came before the answer's head was whole.
    pub(super) fn of_head(error: ureq::Error) -> Fault {
        match error {
            ureq::Error::Other(inner) => Fault::carried(inner),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Fault::new(Outcome::ConnectionClosed, "the connection ended before an answer came")
            }
            ureq::Error::LargeResponseHeader(_, most) => {
                Fault::new(Outcome::ProtocolError, format!("the answer's head is longer than {most} bytes"))
            }
            ureq::Error::Protocol(error) => Fault::new(Outcome::ProtocolError, format!("no HTTP answer: {error}")),
            other => Fault::new(Outcome::AgentError, format!("the request could not be made: {other}")),
        }
    }

    /// The fault behind an error while the body was read: the connection's, HTTP's, or that of the body's coding.
    /// `ended` tells whether the peer ended the connection.
    pub(super) fn of_body(error: io::Error, is_coded: bool, ended: bool) -> Fault {
        let closed = || Fault::new(Outcome::ConnectionClosed, "the connection ended before the body was whole");
        let is_ureqs = error.get_ref().is_some_and(|inner| inner.is::<ureq::Error>());
        if is_coded && !is_ureqs {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof if ended => closed(),
                _ => Fault::new(Outcome::BodyError, format!("the body is not in the coding that it claims: {error}")),
            };
        }
        match ureq::Error::from(error) {
            ureq::Error::Other(inner) => Fault::carried(inner),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => closed(),
            other => Fault::new(Outcome::BodyError, format!("the body can't be read: {other}")),
        }
    }

    fn carried(error: Box<dyn std::error::Error + Send + Sync>) -> Fault {
        match error.downcast::<Fault>() {
            Ok(fault) => *fault,
            Err(other) => Fault::new(Outcome::AgentError, other.to_string()),
        }
    }
}

impl From<Fault> for ureq::Error {
    fn from(fault: Fault) -> ureq::Error {
        ureq::Error::Other(Box::new(fault))
    }
}

/// Whether the machine had no descriptors, memory or buffers: no site is to blame for that.
pub(super) fn is_own_trouble(error: &io::Error) -> bool {
    let own = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS];
    error.raw_os_error().is_some_and(|code| own.contains(&Errno::from_raw_os_error(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_descriptors_is_the_agents_trouble_whatever_was_going_on() {
        let full = io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
        let refused = io::Error::from_raw_os_error(Errno::CONNREFUSED.raw_os_error());
        assert_eq!(Fault::io(Outcome::DnsError, "x", &full).outcome(), Outcome::AgentError);
        assert_eq!(Fault::io(Outcome::ConnectionRefused, "x", &refused).outcome(), Outcome::ConnectionRefused);
    }

    #[test]
    fn a_fault_passes_through_ureq_and_io_unchanged() {
        let fault = Fault::new(Outcome::Timeout, "late");
        let error = io::Error::other(ureq::Error::from(fault));
        let back = Fault::of_body(error, true, false);
        assert_eq!((back.outcome(), back.text()), (Outcome::Timeout, "late"));
    }
}
