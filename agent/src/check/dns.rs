//! A check of a name server: it asks for records of a name, by UDP, and by TCP when the answer doesn't fit, and compares
//! them with the pattern, as text, a record a line.
//!
//! An answer that is not to this question (another number, another name) is passed over, as resolvers do. A question
//! that stays unanswered is asked again, since UDP loses packets without a word.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder};
use domain::rdata::AllRecordData;
use wire::Outcome;

use super::expect;
use super::expect::Searches;
use super::findings::Findings;
use super::net::deadline::Deadline;
use super::net::resolve::Resolver;
use super::net::socket::Socket;
use super::net::trace::{Phase, SharedTrace};
use super::outcome::Fault;
use crate::config::{Monitor, Question};

/// How many times the question is sent within the timeout.
const SENDS: u32 = 3;
const MOST_UDP: usize = 4_096;

type Answer = Message<Vec<u8>>;

pub(super) fn check(
    monitor: &Monitor,
    question: &Question,
    resolver: &Resolver,
    deadline: Deadline,
    trace: &SharedTrace,
    findings: &mut Findings,
) -> Result<(), Fault> {
    trace.lock().enter(Phase::Dns);
    let server = resolver.resolve(&question.server, question.port, monitor.ip, deadline)?[0];
    let query = query(question)?;
    let mut answer = by_udp(server, &query, deadline, trace)?;
    if answer.header().tc() {
        answer = by_tcp(server, &query, deadline, trace)?;
    }
    trace.lock().end();
    findings.body_bytes = Some(answer.as_octets().len() as u64);
    let Question { name, kind, .. } = question;
    let code = answer.header().rcode();
    if code != Rcode::NOERROR {
        return Err(Fault::new(Outcome::DnsError, format!("the server answered {code} to {name} {kind}")));
    }
    let records = records(&answer, question)?;
    if !records.has_kind {
        return Err(Fault::new(Outcome::DnsError, format!("{name} has no {kind} records")));
    }
    let (said, mut searches) = (records.lines.as_bytes(), Searches::of(monitor));
    searches.take(said);
    expect::end_of_what_was_said(searches, said, "the records", findings)
}

fn query(question: &Question) -> Result<Answer, Fault> {
    let unusable = || Fault::new(Outcome::AgentError, "the question can't be asked");
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(rand::random());
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((&question.name, question.kind)).map_err(|_| unusable())?;
    Message::from_octets(builder.finish()).map_err(|_| unusable())
}

fn by_udp(server: SocketAddr, query: &Answer, deadline: Deadline, trace: &SharedTrace) -> Result<Answer, Fault> {
    trace.lock().enter(Phase::Connect);
    let doing = format!("asking {server}");
    let fault = |error: &io::Error| udp_fault(&doing, error);
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).map_err(|error| fault(&error))?;
    socket.connect(server).map_err(|error| fault(&error))?;
    trace.lock().connected(server);
    trace.lock().enter(Phase::FirstByte);
    let mut buffer = vec![0; MOST_UDP];
    let whole = deadline.left().ok_or_else(|| deadline.passed(&doing))?;
    for sent in 1..=SENDS {
        socket.send(query.as_slice()).map_err(|error| fault(&error))?;
        // The last one waits for all that is left.
        let until = if sent == SENDS { Duration::ZERO } else { whole * (SENDS - sent) / SENDS };
        loop {
            let left = deadline.left().map(|left| left.saturating_sub(until)).filter(|left| !left.is_zero());
            let Some(left) = left else { break };
            socket.set_read_timeout(Some(left)).map_err(|error| fault(&error))?;
            match socket.recv(&mut buffer) {
                Ok(length) => match Message::from_octets(buffer[..length].to_vec()) {
                    Ok(answer) if answer.is_answer(query) => return Ok(answer),
                    _ => {}
                },
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(fault(&error)),
            }
        }
    }
    Err(deadline.passed(&doing))
}

fn udp_fault(doing: &str, error: &io::Error) -> Fault {
    let outcome = match error.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::ConnectionRefused,
        // Nothing was sent, for want of a route or of a port to send from.
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => Outcome::AgentError,
        _ => Outcome::ConnectionFailed,
    };
    Fault::io(outcome, doing, error)
}

fn by_tcp(server: SocketAddr, query: &Answer, deadline: Deadline, trace: &SharedTrace) -> Result<Answer, Fault> {
    trace.lock().enter(Phase::Connect);
    let (mut socket, _) = Socket::connect(&[server], deadline)?;
    trace.lock().enter(Phase::FirstByte);
    let fault = |error: io::Error| deadline.of_stream("asking by TCP", &error);
    let length = u16::try_from(query.as_slice().len()).unwrap_or(u16::MAX);
    socket.write_all(&[&length.to_be_bytes(), query.as_slice()].concat()).map_err(fault)?;
    let mut length = [0; 2];
    socket.read_exact(&mut length).map_err(fault)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    socket.read_exact(&mut answer).map_err(fault)?;
    let answer = Message::from_octets(answer).ok().filter(|answer| answer.is_answer(query));
    answer.ok_or_else(|| Fault::new(Outcome::ProtocolError, "what the server sent by TCP is no answer to the question"))
}

struct Records {
    lines: String,
    has_kind: bool,
}

/// The records of the answer, those that lead from the name to another one included.
fn records(answer: &Answer, question: &Question) -> Result<Records, Fault> {
    let broken = |error| Fault::new(Outcome::ProtocolError, format!("the answer can't be read: {error}"));
    let mut records = Records { lines: String::new(), has_kind: false };
    for record in answer.answer().map_err(broken)?.limit_to::<AllRecordData<_, _>>() {
        let record = record.map_err(broken)?;
        records.has_kind |= record.rtype() == question.kind || question.kind == domain::base::iana::Rtype::ANY;
        records.lines.push_str(&format!("{}\n", record.data()));
    }
    Ok(records)
}
