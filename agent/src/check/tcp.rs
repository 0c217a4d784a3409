//! A check of a port: it connects, says something first when asked to, and compares what the server says with the
//! pattern. Without a pattern nothing is waited for.

use std::io::{Read, Write};

use secrecy::ExposeSecret;
use wire::Outcome;

use super::deadline::Deadline;
use super::expect;
use super::findings::Findings;
use super::outcome::Fault;
use super::resolve::Resolver;
use super::socket::Socket;
use super::trace::{Phase, SharedTrace, locked};
use crate::config::{Monitor, Pattern, Port};

const PIECE: usize = 4 * 1024;

pub(super) fn check(
    monitor: &Monitor,
    port: &Port,
    resolver: &Resolver,
    deadline: Deadline,
    trace: &SharedTrace,
    findings: &mut Findings,
) -> Result<(), Fault> {
    locked(trace).enter(Phase::Dns);
    let addresses = resolver.resolve(&port.host, port.port, monitor.ip, deadline)?;
    locked(trace).enter(Phase::Connect);
    let (mut socket, peer) = Socket::connect(&addresses, deadline)?;
    locked(trace).connected(peer);
    if port.send.is_none() && monitor.pattern.is_none() {
        return Ok(());
    }
    locked(trace).enter(Phase::FirstByte);
    if let Some(send) = &port.send {
        let sent = socket.write_all(send.expose_secret().as_bytes());
        sent.map_err(|error| Fault::of_stream("sending", &error, deadline))?;
    }
    match &monitor.pattern {
        Some(pattern) => listen(&mut socket, pattern, monitor, trace, findings),
        None => Ok(()),
    }
}

/// Reads until the pattern is there, or nothing more comes.
fn listen(
    socket: &mut Socket,
    pattern: &Pattern,
    monitor: &Monitor,
    trace: &SharedTrace,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let deadline = socket.deadline();
    let most = usize::try_from(monitor.max_body).unwrap_or(usize::MAX);
    let mut said = Vec::new();
    // A text that trickles is not searched anew for each byte.
    let mut search_at = 0;
    let place = loop {
        let begin = said.len();
        said.resize(most.min(begin + PIECE), 0);
        let read = socket.read(&mut said[begin..]);
        said.truncate(begin + *read.as_ref().unwrap_or(&0));
        findings.body_bytes = Some(said.len() as u64);
        match read {
            Ok(0) => break "what the server said before it ended the connection",
            Ok(_) => locked(trace).enter(Phase::Body),
            // It said something else in all that time.
            Err(_) if deadline.left().is_none() && !said.is_empty() => break "what the server said within the timeout",
            Err(error) => return Err(Fault::of_stream("waiting for what the server says", &error, deadline)),
        }
        findings.truncated = Some(said.len() == most);
        if said.len() == most {
            break "the part that was read of what the server said";
        }
        if said.len() >= search_at {
            // Where it can't be known, the last search tells so.
            if pattern.is_in(&said) == Ok(true) {
                break "what the server said";
            }
            search_at = said.len() + said.len() / 2;
        }
    };
    if said.is_empty() {
        let text = "the connection ended before the server said anything";
        return Err(Fault::new(Outcome::ConnectionClosed, text));
    }
    expect::text(&said, place, monitor, findings)
}
