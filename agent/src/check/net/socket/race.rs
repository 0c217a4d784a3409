//! Which of a name's addresses: happy eyeballs (RFC 8305).
//!
//! The addresses come in the order of the system's rules. The families take turns, the next address is tried when the
//! last one failed or has not answered for [`STAGGER`], and the first that connects wins. So a family that leads
//! nowhere costs a quarter of a second and not the check.
//!
//! One thread does it all, with sockets that don't block. What never left this machine, for want of a route or of a
//! port to send from, is the agent's own trouble; it is told only where no address got any further.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::sockopt::socket_error;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use wire::Outcome;

use super::wait;
use crate::check::net::deadline::Deadline;
use crate::check::outcome::Fault;

/// Most addresses of a name that are tried.
const MOST_ADDRESSES: usize = 16;

/// How long an address is waited for until the next is tried as well.
const STAGGER: Duration = Duration::from_millis(250);

/// A connection that is being made.
struct Attempt {
    socket: OwnedFd,
    address: SocketAddr,
}

enum Begun {
    Connected(OwnedFd),
    Pending(OwnedFd),
}

/// Connects to whichever of the addresses takes it first.
pub(super) fn connect(addresses: &[SocketAddr], deadline: Deadline) -> Result<(TcpStream, SocketAddr), Fault> {
    let mut waiting = in_turns(addresses).into_iter();
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut failed: Vec<(SocketAddr, Fault)> = Vec::new();
    let mut due = Instant::now();
    loop {
        while attempts.is_empty() || due <= Instant::now() {
            if deadline.left().is_none() {
                return Err(too_late(&failed, &attempts, deadline));
            }
            let Some(address) = waiting.next() else { break };
            match begin(address) {
                Ok(Begun::Connected(socket)) => return Ok((TcpStream::from(socket), address)),
                Ok(Begun::Pending(socket)) => {
                    attempts.push(Attempt { socket, address });
                    due = Instant::now() + STAGGER;
                }
                Err(error) => failed.push((address, fault(address, &error, is_local(&error)))),
            }
        }
        if attempts.is_empty() {
            return Err(all_failed(&failed, deadline));
        }
        let Some(left) = deadline.left() else { return Err(too_late(&failed, &attempts, deadline)) };
        let until_next = due.saturating_duration_since(Instant::now());
        let most = if waiting.len() > 0 { left.min(until_next) } else { left };
        let ready = ready(&attempts, most).map_err(|error| Fault::io(Outcome::AgentError, "connecting", &error))?;
        for (index, events) in ready.into_iter().rev() {
            let Attempt { socket, address } = attempts.swap_remove(index);
            match outcome(&socket, events) {
                Ok(()) => return Ok((TcpStream::from(socket), address)),
                Err(error) => {
                    failed.push((address, fault(address, &error.into(), false)));
                    due = Instant::now();
                }
            }
        }
    }
}

/// The addresses, the families by turns; the first one's comes first.
fn in_turns(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else { return Vec::new() };
    let (mut one, mut other): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().partition(|address| address.is_ipv4() == first.is_ipv4());
    one.truncate(MOST_ADDRESSES);
    other.truncate(MOST_ADDRESSES);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut turns = Vec::with_capacity(addresses.len());
    loop {
        let pair = [one.next(), other.next()];
        if pair == [None, None] {
            turns.truncate(MOST_ADDRESSES);
            return turns;
        }
        turns.extend(pair.into_iter().flatten());
    }
}

fn begin(address: SocketAddr) -> io::Result<Begun> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok(Begun::Connected(socket)),
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(Begun::Pending(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Those attempts that came to an end, and what `poll` says of them, in ascending order; none when `most` has passed.
fn ready(attempts: &[Attempt], most: Duration) -> io::Result<Vec<(usize, PollFlags)>> {
    let mut polled: Vec<PollFd<'_>> =
        attempts.iter().map(|attempt| PollFd::new(&attempt.socket, PollFlags::OUT)).collect();
    wait(&mut polled, most)?;
    let ended = polled.iter().map(PollFd::revents).enumerate();
    Ok(ended.filter(|(_, events)| !events.is_empty()).collect())
}

/// Returns how an attempt ended. A socket that can be written to, and that reports no error, is connected.
fn outcome(socket: &OwnedFd, events: PollFlags) -> Result<(), Errno> {
    if events == PollFlags::OUT { Ok(()) } else { socket_error(socket).and_then(|connected| connected) }
}

/// Whether an error that came at once means that nothing was sent. Later the same numbers tell what a router said.
fn is_local(error: &io::Error) -> bool {
    let local = [Errno::NETUNREACH, Errno::ADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| local.contains(&Errno::from_raw_os_error(code)))
}

fn fault(address: SocketAddr, error: &io::Error, local: bool) -> Fault {
    let outcome = match error.kind() {
        _ if local => Outcome::AgentError,
        io::ErrorKind::ConnectionRefused => Outcome::ConnectionRefused,
        io::ErrorKind::TimedOut => Outcome::Timeout,
        _ => Outcome::ConnectionFailed,
    };
    Fault::io(outcome, &format!("connecting to {address}"), error)
}

/// The first cause that is not the agent's own, with the texts of all.
fn all_failed(failed: &[(SocketAddr, Fault)], deadline: Deadline) -> Fault {
    let outcomes = || failed.iter().map(|(_, fault)| fault.outcome());
    let outcome = outcomes().find(|outcome| *outcome != Outcome::AgentError).or_else(|| outcomes().next());
    let texts: Vec<&str> = failed.iter().map(|(_, fault)| fault.text()).collect();
    outcome.map_or_else(|| deadline.passed("connecting"), |outcome| Fault::new(outcome, texts.join("; ")))
}

/// The deadline passed while some had not answered.
fn too_late(failed: &[(SocketAddr, Fault)], pending: &[Attempt], deadline: Deadline) -> Fault {
    let silent: Vec<String> = pending.iter().map(|attempt| attempt.address.to_string()).collect();
    let doing = if silent.is_empty() { "connecting".into() } else { format!("connecting to {}", silent.join(" and ")) };
    let passed = deadline.passed(&doing);
    let mut texts: Vec<&str> = failed.iter().map(|(_, fault)| fault.text()).collect();
    texts.push(passed.text());
    Fault::new(passed.outcome(), texts.join("; "))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn within(timeout: Duration) -> Deadline {
        Deadline::after(Instant::now(), timeout)
    }

    fn deadline() -> Deadline {
        within(Duration::from_secs(60))
    }

    fn addresses<const N: usize>(texts: [&str; N]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn refusing() -> SocketAddr {
        listener().1
    }

    /// A listener that takes no more connections: what it has not accepted fills its queue, so SYNs go unanswered.
    fn silent() -> (Vec<OwnedFd>, SocketAddr) {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let address = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
        let mut held = vec![socket];
        loop {
            match begin(address).unwrap() {
                Begun::Connected(socket) => held.push(socket),
                Begun::Pending(socket) => {
                    let attempt = [Attempt { socket, address }];
                    let answered = !ready(&attempt, Duration::from_millis(100)).unwrap().is_empty();
                    held.extend(attempt.map(|attempt| attempt.socket));
                    if !answered {
                        return (held, address);
                    }
                }
            }
        }
    }

    #[test]
    fn the_families_take_turns_and_the_number_is_bounded() {
        let turns = in_turns(&addresses(["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"]));
        assert_eq!(turns, addresses(["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"]));
        let many: Vec<SocketAddr> = (1..100).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        assert_eq!(in_turns(&many), many[..MOST_ADDRESSES]);
        assert_eq!(in_turns(&[]), []);
    }

    #[test]
    fn the_next_address_is_tried_when_one_refuses() {
        let (_listener, good) = listener();
        let (_socket, peer) = connect(&[refusing(), good], deadline()).unwrap();
        assert_eq!(peer, good);
    }

    #[test]
    fn an_address_that_does_not_answer_costs_a_moment_and_not_the_check() {
        let ((_held, silent), (_listener, good)) = (silent(), listener());
        let began = Instant::now();
        let (_socket, peer) = connect(&[silent, good], deadline()).unwrap();
        assert_eq!(peer, good);
        assert!((STAGGER..Duration::from_secs(30)).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[test]
    fn the_other_family_wins_where_one_leads_nowhere() {
        let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
        let good = listener.local_addr().unwrap();
        let ((_held, silent), refusing) = (silent(), refusing());
        let (_socket, peer) = connect(&[silent, refusing, good], deadline()).unwrap();
        assert_eq!(peer, good);
    }

    #[test]
    fn the_fault_tells_of_every_address() {
        let addresses = [refusing(), refusing()];
        let fault = connect(&addresses, deadline()).unwrap_err();
        assert_eq!(fault.outcome(), Outcome::ConnectionRefused);
        assert!(addresses.iter().all(|address| fault.text().contains(&address.to_string())), "{fault}");
    }

    #[test]
    fn one_that_refuses_and_one_that_is_silent_are_a_timeout_that_tells_of_both() {
        let ((_held, silent), refusing) = (silent(), refusing());
        let fault = connect(&[refusing, silent], within(Duration::from_millis(400))).unwrap_err();
        assert_eq!(fault.outcome(), Outcome::Timeout);
        let expected = format!("connecting to {silent}: not done within 400ms");
        assert!(fault.text().contains(&format!("{refusing}: Connection refused")), "{fault}");
        assert!(fault.text().ends_with(&expected), "{fault}");
    }

    #[test]
    fn nothing_is_tried_after_the_deadline() {
        let fault = connect(&[refusing()], within(Duration::ZERO)).unwrap_err();
        assert_eq!(fault.outcome(), Outcome::Timeout);
    }

    #[test]
    fn what_never_left_this_machine_is_its_own_trouble_unless_an_address_got_further() {
        let unroutable = |code: Errno| {
            let error = io::Error::from(code);
            ("192.0.2.1:80".parse().unwrap(), fault("192.0.2.1:80".parse().unwrap(), &error, is_local(&error)))
        };
        let refused = (refusing(), fault(refusing(), &Errno::CONNREFUSED.into(), false));
        let alone = all_failed(&[unroutable(Errno::NETUNREACH)], deadline());
        assert_eq!(alone.outcome(), Outcome::AgentError);
        let both = all_failed(&[unroutable(Errno::ADDRNOTAVAIL), refused], deadline());
        assert_eq!(both.outcome(), Outcome::ConnectionRefused);
        assert!(both.text().contains("192.0.2.1"), "{both}");
        assert_eq!(fault(refusing(), &Errno::NETUNREACH.into(), false).outcome(), Outcome::ConnectionFailed);
    }
}
