//! `ip`: which addresses of a site to connect to.

use std::fmt;
use std::net::IpAddr;

use serde_yaml::Value;
use settings::{Section, Wrong};
use url::Host;

/// Which addresses to connect to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IpFamily {
    /// Whichever is there and answers.
    #[default]
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

impl IpFamily {
    /// Whether the address is of this family.
    pub fn takes(self, address: IpAddr) -> bool {
        match self {
            IpFamily::Any => true,
            IpFamily::V4 => address.is_ipv4(),
            IpFamily::V6 => address.is_ipv6(),
        }
    }
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IpFamily::Any => "IP",
            IpFamily::V4 => "IPv4",
            IpFamily::V6 => "IPv6",
        })
    }
}

/// Reads the option; YAML takes `4` for a number.
pub(in crate::config) fn parse(value: &Value) -> Result<IpFamily, Wrong> {
    let wrong = || Wrong::new("is neither any nor 4 nor 6", "write `ip: any`, `ip: 4` or `ip: 6`");
    match value {
        Value::String(text) if text == "any" => Ok(IpFamily::Any),
        Value::String(text) if text == "4" => Ok(IpFamily::V4),
        Value::String(text) if text == "6" => Ok(IpFamily::V6),
        Value::Number(number) if number.as_u64() == Some(4) => Ok(IpFamily::V4),
        Value::Number(number) if number.as_u64() == Some(6) => Ok(IpFamily::V6),
        _ => Err(wrong()),
    }
}

/// A url whose host is an address of the other family could never be checked.
pub(in crate::config) fn check(family: IpFamily, host: Option<Host<String>>, section: &mut Section<'_>) {
    let address = match host {
        Some(Host::Ipv4(ip)) => IpAddr::from(ip),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip),
        _ => return,
    };
    if !family.takes(address) {
        section.fault("ip", format!("allows {family} alone, and the url's host is {address}"), "leave ip out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_may_stand_as_a_number_or_a_text() {
        let read = |text: &str| parse(&serde_yaml::from_str(text).unwrap()).ok();
        assert_eq!([read("4"), read("'4'")], [Some(IpFamily::V4); 2]);
        assert_eq!([read("6"), read("any")], [Some(IpFamily::V6), Some(IpFamily::Any)]);
        assert_eq!([read("5"), read("v4"), read("[4]"), read("-4")], [None; 4]);
    }
}
