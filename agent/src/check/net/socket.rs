//! A TCP socket whose every operation ends at the check's deadline.
//!
//! The socket doesn't block; it is waited for with `poll`, and only when there is nothing to do: when a read found
//! nothing, or right after something was sent, since no peer has answered that yet. The deadline is looked at before
//! each call of the system: a peer that trickles is cut off as well as one that is silent.

mod race;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_tcp_nodelay;

use super::deadline::Deadline;
use crate::check::outcome::Fault;

/// A connected socket.
#[derive(Debug)]
pub(in crate::check) struct Socket {
    stream: TcpStream,
    deadline: Deadline,
    /// How many pieces were sent.
    sent: usize,
    /// The last thing done was to send.
    has_just_sent: bool,
}

impl Socket {
    /// Connects to whichever of the addresses takes it first.
    pub(in crate::check) fn connect(
        addresses: &[SocketAddr],
        deadline: Deadline,
    ) -> Result<(Socket, SocketAddr), Fault> {
        let (stream, peer) = race::connect(addresses, deadline)?;
        Ok((Socket { stream, deadline, sent: 0, has_just_sent: false }, peer))
    }

    /// The deadline that holds for it.
    pub(in crate::check) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Repeats what would block until it is done or the deadline has passed.
    fn persist<T>(&self, wanted: PollFlags, mut step: impl FnMut(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            let Some(left) = self.deadline.left() else { return Err(io::ErrorKind::TimedOut.into()) };
            match step(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(&mut [PollFd::new(&self.stream, wanted)], left)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let (true, Some(left)) = (std::mem::take(&mut self.has_just_sent), self.deadline.left()) {
            wait(&mut [PollFd::new(&self.stream, PollFlags::IN)], left)?;
        }
        self.persist(PollFlags::IN, |mut stream| stream.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Most requests are one piece. Of more, none is to wait until the peer has acknowledged the one before.
        if self.sent == 1 {
            set_tcp_nodelay(&self.stream, true)?;
        }
        self.sent += 1;
        self.has_just_sent = true;
        self.persist(PollFlags::OUT, |mut stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until one of the sockets is ready, or `most` has passed, or a signal came.
fn wait(sockets: &mut [PollFd<'_>], most: Duration) -> io::Result<()> {
    let timeout = Timespec::try_from(most).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
    match poll(sockets, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
