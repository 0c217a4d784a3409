//! Names to addresses, within a deadline.
//!
//! `getaddrinfo` honours everything that the machine's administrator has set up, but can't be given a deadline and may
//! hang for ever. So it runs in threads of its own (`lookups`), which are waited for only so long. When names of
//! different sites get no answer at all, one after the other, the trouble is this machine's and not theirs (`health`).

mod health;
mod lookups;

use std::io;
use std::net::SocketAddr;

use dns_lookup::{AddrInfoHints, LookupErrorKind, getaddrinfo};
use rustix::net::{AddressFamily, SocketType};
use url::Host;
use wire::Outcome;

use super::deadline::Deadline;
use crate::check::outcome::{Fault, is_own_trouble};
use crate::config::IpFamily;
use lookups::{Answer, Lookups, Unresolved};

/// glibc's `EAI_ADDRFAMILY`: the name has addresses, but none of this family.
const NONE_OF_THIS_FAMILY: i32 = -9;

/// Looks names up.
pub(in crate::check) struct Resolver {
    lookups: Lookups,
}

/// Why a name has no addresses.
#[derive(Clone, Debug)]
enum Failure {
    /// Somebody who should know said so.
    NoAddress(String),
    /// No one who should know gave an answer.
    NoAnswer(String),
    /// This machine was out of something.
    Own(String),
}

impl Resolver {
    /// By the system's rules.
    pub(in crate::check) fn new() -> Resolver {
        Resolver { lookups: Lookups::new(Box::new(look_up)) }
    }

    /// The addresses of a host, of one family where that is asked for; never none.
    pub(in crate::check) fn resolve(
        &self,
        host: &Host<String>,
        port: u16,
        family: IpFamily,
        deadline: Deadline,
    ) -> Result<Vec<SocketAddr>, Fault> {
        let name = match host {
            Host::Ipv4(ip) => return literal(SocketAddr::from((*ip, port)), family),
            Host::Ipv6(ip) => return literal(SocketAddr::from((*ip, port)), family),
            Host::Domain(name) => name,
        };
        let doing = format!("looking up {name}");
        let (outcome, text, dead) = match self.lookups.ask(name, family, deadline) {
            Ok(addresses) => {
                return Ok(addresses.iter().map(|address| SocketAddr::new(address.ip(), port)).collect());
            }
            Err(Unresolved::Failed { failure, dead }) => match failure {
                Failure::NoAddress(text) => (Outcome::DnsError, format!("{doing}: {text}"), false),
                Failure::NoAnswer(text) => (Outcome::DnsError, format!("{doing}: {text}"), dead),
                Failure::Own(text) => (Outcome::AgentError, format!("{doing}: {text}"), false),
            },
            Err(Unresolved::Hanging { dead }) => {
                let passed = deadline.passed(&doing);
                (passed.outcome(), passed.text().to_owned(), dead)
            }
            Err(Unresolved::NotBegun(why)) => (Outcome::AgentError, format!("{doing}: {why}"), false),
        };
        if dead {
            let text = format!("{text}; nor did other sites' names get an answer: this host's name service is down");
            return Err(Fault::new(Outcome::AgentError, text));
        }
        Err(Fault::new(outcome, text))
    }
}

fn literal(address: SocketAddr, family: IpFamily) -> Result<Vec<SocketAddr>, Fault> {
    if family.takes(address.ip()) {
        return Ok(vec![address]);
    }
    Err(Fault::new(Outcome::DnsError, format!("{} is not {family}, which alone is allowed", address.ip())))
}

/// One look-up, however long it takes.
fn look_up(name: &str, family: IpFamily) -> Answer {
    let address = match family {
        IpFamily::Any => AddressFamily::UNSPEC,
        IpFamily::V4 => AddressFamily::INET,
        IpFamily::V6 => AddressFamily::INET6,
    };
    let hints = AddrInfoHints {
        address: address.as_raw().into(),
        socktype: SocketType::STREAM.as_raw().cast_signed(),
        ..AddrInfoHints::default()
    };
    let no_address = || match family {
        IpFamily::Any => Failure::NoAddress("the name has no address".into()),
        other => Failure::NoAddress(format!("the name has no {other} address")),
    };
    let found = match getaddrinfo(Some(name), None, Some(hints)) {
        Ok(found) => found,
        Err(error) => {
            let (kind, number) = (error.kind(), error.error_num());
            let error = io::Error::from(error);
            return Err(match kind {
                LookupErrorKind::NoData => no_address(),
                _ if number == NONE_OF_THIS_FAMILY => no_address(),
                LookupErrorKind::Memory => Failure::Own(error.to_string()),
                LookupErrorKind::Again => Failure::NoAnswer(error.to_string()),
                LookupErrorKind::System | LookupErrorKind::IO if is_own_trouble(&error) => {
                    Failure::Own(error.to_string())
                }
                LookupErrorKind::System => Failure::NoAnswer(error.to_string()),
                _ => Failure::NoAddress(error.to_string()),
            });
        }
    };
    let addresses: Vec<SocketAddr> = found.filter_map(|found| Some(found.ok()?.sockaddr)).collect();
    if addresses.is_empty() { Err(no_address()) } else { Ok(addresses.into()) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn later() -> Deadline {
        Deadline::after(Instant::now(), Duration::from_secs(60))
    }

    fn with(lookup: impl Fn(&str, IpFamily) -> Answer + Send + Sync + 'static) -> Resolver {
        Resolver { lookups: Lookups::new(Box::new(lookup)) }
    }

    fn resolve(resolver: &Resolver, name: &str) -> Result<Vec<SocketAddr>, Fault> {
        resolver.resolve(&Host::Domain(name.into()), 80, IpFamily::Any, later())
    }

    #[test]
    fn an_address_needs_no_look_up_but_must_be_of_the_family() {
        let resolver = with(|_, _| panic!("looked up"));
        let (v4, v6) = (Host::parse("127.0.0.1").unwrap(), Host::parse("[::1]").unwrap());
        let of = |host, family| resolver.resolve(host, 443, family, later()).map(|found| found[0].to_string());
        assert_eq!(of(&v4, IpFamily::Any).unwrap(), "127.0.0.1:443");
        assert_eq!(of(&v6, IpFamily::V6).unwrap(), "[::1]:443");
        let fault = of(&v6, IpFamily::V4).unwrap_err();
        assert_eq!((fault.outcome(), fault.text()), (Outcome::DnsError, "::1 is not IPv4, which alone is allowed"));
    }

    #[test]
    fn the_systems_rules_know_this_host_and_keep_to_the_family() {
        let resolver = Resolver::new();
        let localhost = Host::Domain("localhost".into());
        let found = resolver.resolve(&localhost, 80, IpFamily::V4, later()).unwrap();
        assert!(found.iter().all(SocketAddr::is_ipv4) && found[0].port() == 80, "{found:?}");
    }

    #[test]
    fn what_is_known_not_to_exist_and_what_got_no_answer_are_dns_errors_with_their_reason() {
        let resolver = with(|name, _| match name {
            "gone.example" => Err(Failure::NoAddress("no such name".into())),
            _ => Err(Failure::NoAnswer("try again".into())),
        });
        let gone = resolve(&resolver, "gone.example").unwrap_err();
        assert_eq!((gone.outcome(), gone.text()), (Outcome::DnsError, "looking up gone.example: no such name"));
        assert_eq!(resolve(&resolver, "mute.example").unwrap_err().outcome(), Outcome::DnsError);
    }

    #[test]
    fn a_host_without_name_service_blames_itself_and_not_the_sites() {
        let resolver = with(|name, _| match name {
            "up.example" => Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))].into()),
            _ => Err(Failure::NoAnswer("try again".into())),
        });
        let outcome = |name: &str| resolve(&resolver, name).map_or_else(|fault| fault.outcome(), |_| Outcome::Success);
        // One domain, however many of its names: it may be that domain's own trouble.
        for name in ["www.shop.example", "api.shop.example", "shop.example", "www.news.example", "shop.example"] {
            assert_eq!(outcome(name), Outcome::DnsError, "{name}");
        }
        assert_eq!(outcome("a.third.example"), Outcome::AgentError);
        assert_eq!(outcome("www.shop.example"), Outcome::AgentError);
        let text = resolve(&resolver, "shop.example").unwrap_err().text().to_owned();
        assert!(text.contains("this host's name service is down"), "{text}");
        assert_eq!(outcome("up.example"), Outcome::Success);
        assert_eq!(outcome("www.shop.example"), Outcome::DnsError, "an answer makes the others suspect again");
    }
}
