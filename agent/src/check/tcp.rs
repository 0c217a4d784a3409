//! A check of a port: it connects, compares what the server says with the pattern, and then says something itself where it
//! is to. With `send_first` it speaks first, as some protocols want it; others, such as SMTP, hang up on a peer that does not
//! wait for their greeting. Without a pattern nothing is waited for.

use std::io::{self, Read, Write};

use secrecy::ExposeSecret;
use wire::Outcome;

use super::expect;
use super::expect::Searches;
use super::findings::Findings;
use super::net::deadline::Deadline;
use super::net::resolve::Resolver;
use super::net::socket::Socket;
use super::net::trace::{Phase, SharedTrace};
use super::outcome::Fault;
use crate::config::{Monitor, Port};

const PIECE: usize = 4 * 1024;
const ENDED: &str = "what the server said before it ended the connection";

pub(super) fn check(
    monitor: &Monitor,
    port: &Port,
    resolver: &Resolver,
    deadline: Deadline,
    trace: &SharedTrace,
    findings: &mut Findings,
) -> Result<(), Fault> {
    trace.lock().enter(Phase::Dns);
    let addresses = resolver.resolve(&port.host, port.port, monitor.ip, deadline)?;
    trace.lock().enter(Phase::Connect);
    let (mut socket, peer) = Socket::connect(&addresses, deadline)?;
    trace.lock().connected(peer);
    if port.send.is_none() && monitor.pattern.is_none() {
        return Ok(());
    }
    trace.lock().enter(Phase::FirstByte);
    if monitor.pattern.is_none() {
        return say(&mut socket, port);
    }
    if port.send_first {
        say(&mut socket, port)?;
        return listen(&mut socket, monitor, trace, findings);
    }
    listen(&mut socket, monitor, trace, findings)?;
    // The server said what was wanted. A farewell that it does not wait for changes nothing.
    say(&mut socket, port).ok();
    Ok(())
}

fn say(socket: &mut Socket, port: &Port) -> Result<(), Fault> {
    let Some(send) = &port.send else { return Ok(()) };
    let (sent, deadline) = (socket.write_all(send.expose_secret().as_bytes()), socket.deadline());
    sent.map_err(|error| deadline.of_stream("sending", &error))
}

/// Reads until the pattern is there, or nothing more comes.
fn listen(socket: &mut Socket, monitor: &Monitor, trace: &SharedTrace, findings: &mut Findings) -> Result<(), Fault> {
    let deadline = socket.deadline();
    let mut searches = Searches::of(monitor);
    let (mut begin, mut piece, mut total) = (Vec::new(), vec![0; PIECE], 0);
    let place = loop {
        let room = usize::try_from(monitor.max_body - total).map_or(PIECE, |left| left.min(PIECE));
        let said = match socket.read(&mut piece[..room]) {
            Ok(0) => break ENDED,
            Ok(count) => &piece[..count],
            // A server that hangs up on what it didn't read resets the connection.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && total > 0 => break ENDED,
            // It said something else in all that time.
            Err(_) if deadline.left().is_none() && total > 0 => break "what the server said within the timeout",
            Err(error) => return Err(deadline.of_stream("waiting for what the server says", &error)),
        };
        trace.lock().enter(Phase::Body);
        searches.take(said);
        begin.extend_from_slice(&said[..said.len().min(expect::MOST_QUOTED + 1 - begin.len())]);
        total += said.len() as u64;
        findings.body_bytes = Some(total);
        findings.truncated = Some(total == monitor.max_body);
        if searches.have_pattern() {
            break "what the server said";
        }
        if total == monitor.max_body {
            break "the part that was read of what the server said";
        }
    };
    if total == 0 {
        let text = "the connection ended before the server said anything";
        return Err(Fault::new(Outcome::ConnectionClosed, text));
    }
    expect::end_of_what_was_said(searches, &begin, place, findings)
}
