//! A TCP socket whose every operation ends at the check's deadline.
//!
//! The socket doesn't block; it is waited for with `poll` and only when there is nothing to do, so a peer that has data
//! ready costs one system call a read. The deadline is looked at before each of them: a peer that trickles is cut off
//! as well as one that is silent.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wire::Outcome;

use super::deadline::Deadline;
use super::outcome::Fault;

/// Most addresses of a name that are tried.
const MOST_ADDRESSES: usize = 16;

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    deadline: Deadline,
}

impl Socket {
    /// Connects to the first address that takes it. Each gets an equal share of the time that is left, so that one
    /// that doesn't answer leaves time for the next.
    pub(super) fn connect(addresses: &[SocketAddr], deadline: Deadline) -> Result<(Socket, SocketAddr), Fault> {
        let addresses = &addresses[..addresses.len().min(MOST_ADDRESSES)];
        let mut faults: Vec<Fault> = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            let Some(left) = deadline.left() else { break };
            let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
            match Socket::open(*address, share.max(Duration::from_millis(1)), deadline) {
                Ok(socket) => return Ok((socket, *address)),
                Err(error) => faults.push(connect_fault(*address, &error)),
            }
        }
        let Some(last) = faults.last() else { return Err(deadline.passed("connecting")) };
        let texts: Vec<&str> = faults.iter().map(Fault::text).collect();
        Err(Fault::new(last.outcome(), texts.join("; ")))
    }

    fn open(address: SocketAddr, share: Duration, deadline: Deadline) -> io::Result<Socket> {
        let stream = TcpStream::connect_timeout(&address, share)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Socket { stream, deadline })
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
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(wanted, left)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn wait(&self, wanted: PollFlags, left: Duration) -> io::Result<()> {
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut [PollFd::new(&self.stream, wanted)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
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

fn connect_fault(address: SocketAddr, error: &io::Error) -> Fault {
    let outcome = match error.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::ConnectionRefused,
        io::ErrorKind::TimedOut => Outcome::Timeout,
        _ => Outcome::ConnectionFailed,
    };
    Fault::io(outcome, &format!("connecting to {address}"), error)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    fn deadline() -> Deadline {
        Deadline::after(Instant::now(), Duration::from_secs(60))
    }

    fn refusing() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let (_socket, peer) = Socket::connect(&[refusing(), good], deadline()).unwrap();
        assert_eq!(peer, good);
    }

    #[test]
    fn the_fault_tells_of_every_address() {
        let addresses = [refusing(), refusing()];
        let fault = Socket::connect(&addresses, deadline()).unwrap_err();
        assert_eq!(fault.outcome(), Outcome::ConnectionRefused);
        assert!(addresses.iter().all(|address| fault.text().contains(&address.to_string())), "{fault}");
    }

    #[test]
    fn nothing_is_tried_after_the_deadline() {
        let passed = Deadline::after(Instant::now(), Duration::ZERO);
        let fault = Socket::connect(&[refusing()], passed).unwrap_err();
        assert_eq!(fault.outcome(), Outcome::Timeout);
    }
}
