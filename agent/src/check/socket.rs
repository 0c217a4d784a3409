//! A TCP socket whose every operation ends at the check's deadline.
//!
//! The socket doesn't block; it is waited for with `poll` and only when there is nothing to do, so a peer that has data
//! ready costs one system call a read. The deadline is looked at before each of them: a peer that trickles is cut off
//! as well as one that is silent.

mod race;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::deadline::Deadline;
use super::outcome::Fault;

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    deadline: Deadline,
}

impl Socket {
    /// Connects to whichever of the addresses takes it first.
    pub(super) fn connect(addresses: &[SocketAddr], deadline: Deadline) -> Result<(Socket, SocketAddr), Fault> {
        let (stream, peer) = race::connect(addresses, deadline)?;
        Ok((Socket { stream, deadline }, peer))
    }

    /// The deadline that holds for it.
    pub(super) fn deadline(&self) -> Deadline {
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
        self.persist(PollFlags::IN, |mut stream| stream.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
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
