//! Checks of name servers, against one that plays a script.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::str::FromStr;
use std::thread;

use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, Ttl};
use domain::rdata::{A, Cname, Mx, Txt};
use url::{Host, Url};

use super::*;
use crate::config::{Pattern, Question};

/// What a server does with a question by UDP: the messages that it sends.
type Script = fn(&Message<Vec<u8>>) -> Vec<Vec<u8>>;

fn name(text: &str) -> Name<Vec<u8>> {
    Name::from_str(text).unwrap()
}

/// An answer with this code, and two records when it is a good one.
fn answer(query: &Message<Vec<u8>>, code: Rcode) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec().start_answer(query, code).unwrap();
    if code == Rcode::NOERROR {
        let (alias, ttl) = (name("www.shop.example"), Ttl::from_secs(60));
        builder.push((name("shop.example"), ttl, Cname::new(alias.clone()))).unwrap();
        builder.push((alias, ttl, A::from_octets(192, 0, 2, 7))).unwrap();
    }
    builder.finish()
}

fn good(query: &Message<Vec<u8>>) -> Vec<Vec<u8>> {
    vec![answer(query, Rcode::NOERROR)]
}

/// A name server; its port. By TCP it gives the good answer.
fn serve(script: Script) -> u16 {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            break (udp, tcp);
        }
    };
    let port = udp.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut query).unwrap();
            let answer = answer(&Message::from_octets(query).unwrap(), Rcode::NOERROR);
            stream.write_all(&(answer.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    thread::spawn(move || {
        let mut buffer = [0; 512];
        loop {
            let (length, peer) = udp.recv_from(&mut buffer).unwrap();
            let query = Message::from_octets(buffer[..length].to_vec()).unwrap();
            for message in script(&query) {
                udp.send_to(&message, peer).unwrap();
            }
        }
    });
    port
}

fn asking(port: u16, kind: Rtype, pattern: &str) -> Monitor {
    let server = Host::parse("127.0.0.1").unwrap();
    let question = Question { server, port, name: name("shop.example"), kind };
    Monitor {
        url: Url::parse(&format!("dns://127.0.0.1:{port}/shop.example?type={kind}")).unwrap(),
        target: Target::Dns(question),
        pattern: Some(Pattern::compile(pattern).unwrap()),
        ..monitor("dns://127.0.0.1/")
    }
}

#[test]
fn records_are_searched_a_line_each() {
    let port = serve(good);
    let result = check_monitor(&asking(port, Rtype::A, r"(?m)^192\.0\.2\.7$"));
    assert_eq!((result.outcome, result.pattern_matched), (Outcome::Success, Some(true)), "{result:?}");
    assert_eq!((result.status_code, result.peer), (None, Some(format!("127.0.0.1:{port}"))));
    assert!(result.body_bytes.is_some() && result.phases.first_byte.is_some());
    assert_eq!(check_monitor(&asking(port, Rtype::A, r"(?m)^www\.shop\.example\.$")).outcome, Outcome::Success);
    let other = check_monitor(&asking(port, Rtype::A, r"192\.0\.2\.8"));
    assert_eq!((other.outcome, other.pattern_matched), (Outcome::PatternMismatch, Some(false)));
}

#[test]
fn an_answer_that_does_not_fit_is_asked_for_by_tcp() {
    let port = serve(|query| {
        let mut builder = MessageBuilder::new_vec().start_answer(query, Rcode::NOERROR).unwrap();
        builder.header_mut().set_tc(true);
        vec![builder.finish()]
    });
    assert_eq!(check_monitor(&asking(port, Rtype::A, "192")).outcome, Outcome::Success);
}

#[test]
fn a_name_that_is_unknown_or_a_server_that_fails_is_told_with_its_word() {
    for (script, word) in [
        ((|query| vec![answer(query, Rcode::NXDOMAIN)]) as Script, "NXDOMAIN"),
        (|query| vec![answer(query, Rcode::SERVFAIL)], "SERVFAIL"),
        (|query| vec![answer(query, Rcode::REFUSED)], "REFUSED"),
    ] {
        let result = check_monitor(&asking(serve(script), Rtype::A, "x"));
        assert_eq!(result.outcome, Outcome::DnsError, "{result:?}");
        assert!(result.error.as_deref().unwrap().contains(word), "{result:?}");
    }
    let result = check_monitor(&asking(serve(good), Rtype::MX, "x"));
    assert_eq!(result.outcome, Outcome::DnsError, "{result:?}");
    assert!(result.error.as_deref().unwrap().contains("no MX records"), "{result:?}");
}

#[test]
fn records_are_compared_and_quoted_in_the_form_of_a_zone_file() {
    let port = serve(|query| {
        let mut builder = MessageBuilder::new_vec().start_answer(query, Rcode::NOERROR).unwrap();
        let (owner, ttl) = (name("shop.example"), Ttl::from_secs(60));
        builder.push((owner.clone(), ttl, Cname::new(name("www.shop.example")))).unwrap();
        builder.push((owner.clone(), ttl, Mx::new(10, name("mail.example")))).unwrap();
        builder.push((owner, ttl, Txt::<Vec<u8>>::build_from_slice(b"v=spf1 -all").unwrap())).unwrap();
        vec![builder.finish()]
    });
    for pattern in [r"^www\.shop\.example\.$", r"^10 mail\.example\.$", r#"^"v=spf1 -all"$"#] {
        let of_lines = Pattern::compile(pattern).unwrap().of_lines().unwrap();
        let monitor = Monitor { pattern: Some(of_lines), ..asking(port, Rtype::MX, "") };
        let result = check_monitor(&monitor);
        assert_eq!(result.outcome, Outcome::Success, "{pattern}: {result:?}");
    }
    let result = check_monitor(&asking(port, Rtype::MX, "^20 "));
    let told = r#"not found in the records: "www.shop.example. ⏎ 10 mail.example. ⏎ "v=spf1 -all"""#;
    assert!(result.error.as_deref().unwrap().ends_with(told), "{result:?}");
}

#[test]
fn what_is_no_answer_to_the_question_is_passed_over() {
    let port = serve(|query| {
        let mut other_id = answer(query, Rcode::NXDOMAIN);
        other_id[0] ^= 0xff;
        let mut other_name = answer(query, Rcode::NXDOMAIN);
        other_name[13] ^= 0x01;
        vec![b"x".to_vec(), Vec::new(), other_id, other_name, query.as_slice().to_vec(), answer(query, Rcode::NOERROR)]
    });
    assert_eq!(check_monitor(&asking(port, Rtype::A, "192")).outcome, Outcome::Success);
}

#[test]
fn a_question_that_got_lost_is_asked_again() {
    let port = serve(|query| {
        thread_local!(static SEEN: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
        SEEN.set(SEEN.get() + 1);
        if SEEN.get() == 2 { vec![answer(query, Rcode::NOERROR)] } else { Vec::new() }
    });
    let monitor = Monitor { timeout: Duration::from_secs(6), ..asking(port, Rtype::A, "192") };
    assert_eq!(check_monitor(&monitor).outcome, Outcome::Success);
}

#[test]
fn a_server_that_is_not_there_refuses_and_a_silent_one_times_out() {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let result = check_monitor(&asking(free, Rtype::A, "x"));
    assert_eq!(result.outcome, Outcome::ConnectionRefused, "{result:?}");
    let silent = asking(serve(|_| Vec::new()), Rtype::A, "x");
    assert_timed_out(&check_monitor(&Monitor { timeout: Duration::from_secs(1), ..silent }));
}

#[test]
fn records_that_can_not_be_read_are_a_protocol_error() {
    let port = serve(|query| {
        let mut cut = answer(query, Rcode::NOERROR);
        cut.truncate(cut.len() - 3);
        vec![cut]
    });
    let result = check_monitor(&asking(port, Rtype::A, "x"));
    assert_eq!(result.outcome, Outcome::ProtocolError, "{result:?}");
}
