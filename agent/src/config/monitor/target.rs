//! What a monitor's url leads to: a page, a port, or a name server's answer. The url must be allowed by `url_regex`, and
//! goes on without user and password. No fault shows a text that may hold a password.

use std::fmt;
use std::str::FromStr;

use domain::base::Name;
use domain::base::iana::Rtype;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use settings::Wrong;
use url::{Host, ParseError, Url};

use super::pattern::Pattern;
use super::request::{Request, basic_authorization};

/// What a monitor checks, with what only checks of that kind need.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// `http://` and `https://`: a page.
    Http(Request),
    /// `tcp://host:port`: a port that accepts connections.
    Tcp(Port),
    /// `dns://server[:port]/name?type=A`: a name server that knows a name.
    Dns(Question),
}

/// A port that accepts connections.
#[derive(Clone)]
pub struct Port {
    /// Where it is.
    pub host: Host<String>,
    /// Its number.
    pub port: u16,
    /// What is sent to it.
    pub send: Option<SecretString>,
    /// Whether it is sent before the server has said anything. Else the pattern is waited for first.
    pub send_first: bool,
}

impl PartialEq for Port {
    fn eq(&self, other: &Port) -> bool {
        let send = |port: &Port| port.send.as_ref().map(|send| send.expose_secret().to_owned());
        self.host == other.host
            && self.port == other.port
            && send(self) == send(other)
            && self.send_first == other.send_first
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({}:{}, send: {})", self.host, self.port, self.send.is_some())
    }
}

/// A question to a name server.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The name server.
    pub server: Host<String>,
    /// Its port.
    pub port: u16,
    /// The name.
    pub name: Name<Vec<u8>>,
    /// The type of the records.
    pub kind: Rtype,
}

/// A url that was understood, and what it leads to.
#[derive(Debug)]
pub(in crate::config) struct Address {
    pub(in crate::config) url: Url,
    pub(in crate::config) kind: Kind,
}

#[derive(Debug)]
pub(in crate::config) enum Kind {
    /// With the authorization that stood in the url.
    Http(Option<HeaderValue>),
    Tcp(Host<String>, u16),
    Dns(Question),
}

impl Address {
    /// The host to connect to.
    pub(in crate::config) fn host(&self) -> Option<Host<String>> {
        match &self.kind {
            Kind::Http(_) => self.url.host().map(|host| host.to_owned()),
            Kind::Tcp(host, _) => Some(host.clone()),
            Kind::Dns(question) => Some(question.server.clone()),
        }
    }
}

impl Kind {
    pub(in crate::config) fn scheme(&self) -> &'static str {
        match self {
            Kind::Http(_) => "http://",
            Kind::Tcp(..) => "tcp://",
            Kind::Dns(_) => "dns://",
        }
    }
}

pub(in crate::config) fn parse(text: &str, url_regex: Option<&Pattern>) -> Result<Address, Wrong> {
    let shown = if text.contains('@') { String::new() } else { format!("{text:?} ") };
    let mut url = Url::parse(text).map_err(|error| match error {
        ParseError::InvalidIpv6Address if text.contains('%') => Wrong::new(
            format!("{shown}has an IPv6 address with a zone, which no url can have"),
            "write an address that is the same on each interface, or a name",
        ),
        error => Wrong::new(format!("{shown}is no url: {error}"), "write it whole: https://host/path"),
    })?;
    if !matches!(url.scheme(), "http" | "https" | "tcp" | "dns") {
        let problem = format!("{shown}begins with none of https://, http://, tcp:// and dns://");
        return Err(Wrong::new(problem, "begin it with one of them"));
    }
    if url.port() == Some(0) {
        return Err(Wrong::new(format!("{shown}has port 0, to which nothing can connect"), "write the server's port"));
    }
    let authorization = take_basic_auth(&mut url)?;
    let plain = if authorization.is_some() { url.as_str() } else { text.trim() };
    // A url is short: every pattern can be searched for in it.
    if let Some(regex) = url_regex.filter(|regex| regex.is_in(plain.as_bytes()) != Ok(true)) {
        let problem = format!("{plain:?} does not match url_regex `{}`", regex.as_str());
        return Err(Wrong::new(problem, "correct the url, or widen url_regex"));
    }
    if url.as_str().len() > wire::limits::URL {
        let problem = format!("has {} bytes", url.as_str().len());
        return Err(Wrong::new(problem, format!("keep it within {}", wire::limits::URL)));
    }
    let kind = match url.scheme() {
        "http" | "https" => Kind::Http(authorization),
        _ if authorization.is_some() => return Err(Wrong::new("has a user, but no site to log in to", "remove it")),
        "tcp" => port(&url)?,
        _ => Kind::Dns(question(&url)?),
    };
    Ok(Address { url, kind })
}

fn take_basic_auth(url: &mut Url) -> Result<Option<HeaderValue>, Wrong> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(String::from)
            .map_err(|_| Wrong::new("has a user or password that is not UTF-8", "write it as percent-encoded UTF-8"))
    };
    let (user, password) = (decode(url.username())?, decode(url.password().unwrap_or_default())?);
    let authorization = basic_authorization(&user, &password)?;
    let removed = url.set_username("").and_then(|()| url.set_password(None));
    removed.map_err(|()| Wrong::new("has a user but no host", "write it whole: https://user:password@host/path"))?;
    Ok(Some(authorization))
}

fn port(url: &Url) -> Result<Kind, Wrong> {
    let mend = "write tcp://host:port";
    let port = url.port().ok_or_else(|| Wrong::new(format!("{:?} has no port", url.as_str()), mend))?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::new(format!("{:?} has more than a host and a port", url.as_str()), mend));
    }
    Ok(Kind::Tcp(host(url, mend)?, port))
}

fn question(url: &Url) -> Result<Question, Wrong> {
    let mend = "write dns://server/name?type=A";
    let wrong = |problem: &str| Wrong::new(format!("{:?} {problem}", url.as_str()), mend);
    let name = percent_decode_str(url.path().trim_start_matches('/')).decode_utf8_lossy();
    let name =
        if name.is_ascii() { name.into_owned() } else { idna(&name).ok_or_else(|| wrong("asks for no name"))? };
    if name.is_empty() {
        return Err(wrong("asks for no name"));
    }
    let name = Name::from_str(&name).map_err(|error| wrong(&format!("asks for no name: {error}")))?;
    let mut kind = Rtype::A;
    for (key, value) in url.query_pairs() {
        kind = match key.as_ref() {
            "type" => Rtype::from_str(&value).map_err(|_| wrong("asks for no known type of records"))?,
            _ => return Err(wrong("has another parameter than `type`")),
        };
    }
    if [Rtype::AXFR, Rtype::IXFR, Rtype::OPT, Rtype::TSIG].contains(&kind) {
        return Err(wrong("asks for what is no record"));
    }
    Ok(Question { server: host(url, mend)?, port: url.port().unwrap_or(53), name, kind })
}

/// The host. With schemes that the web doesn't know, a url doesn't tell an address from a name.
fn host(url: &Url, mend: &str) -> Result<Host<String>, Wrong> {
    let text = url.host_str().unwrap_or_default();
    let host = percent_decode_str(text).decode_utf8_lossy();
    Host::parse(&host).map_err(|error| Wrong::new(format!("{:?} has no good host: {error}", url.as_str()), mend))
}

fn idna(name: &str) -> Option<String> {
    match Host::parse(name) {
        Ok(Host::Domain(name)) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str, url_regex: Option<&str>) -> String {
        let regex = url_regex.map(|regex| Pattern::compile(regex).unwrap());
        let wrong = parse(text, regex.as_ref()).unwrap_err();
        format!("{}; {}", wrong.problem, wrong.mend)
    }

    fn http(text: &str) -> (String, String) {
        let address = parse(text, None).unwrap();
        assert!(!format!("{address:?}").contains("Basic"), "{address:?}");
        let Kind::Http(Some(authorization)) = address.kind else { panic!("{text} has a user") };
        let sent = authorization.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let pair = String::from_utf8(openssl::base64::decode_block(sent).unwrap()).unwrap();
        (address.url.to_string(), pair)
    }

    #[test]
    fn user_and_password_leave_the_url() {
        let read = http("https://us%40er:p%C3%A4ss%3Aword@shop.example/a?b=c");
        assert_eq!(read, ("https://shop.example/a?b=c".into(), "us@er:päss:word".into()));
    }

    #[test]
    fn a_token_in_the_place_of_the_user_counts() {
        assert_eq!(http("https://t0ken@shop.example/"), ("https://shop.example/".into(), "t0ken:".into()));
    }

    #[test]
    fn no_fault_shows_a_password() {
        for text in [
            "https://u:s3cret@",
            "ftp://u:s3cret@h/",
            "u:s3cret@h",
            "https://u:s3cret%FF@h/",
            "https://a%3Ab:s3cret@h",
            "tcp://u:s3cret@h:1",
            "tcp://u:s3cret@h",
            "dns://u:s3cret@h/name",
        ] {
            assert!(!fault(text, None).contains("s3cret"), "{}", fault(text, None));
        }
        let told = fault("https://u:s3cret@shop.example/", Some("^https://bank"));
        assert!(!told.contains("s3cret") && told.contains("https://shop.example/"), "{told}");
    }

    #[test]
    fn url_regex_sees_the_url_as_it_was_written() {
        let regex = Pattern::compile("^https://shop.example$").unwrap();
        assert!(parse("https://shop.example", Some(&regex)).is_ok());
        assert!(parse("https://shop.example/", Some(&regex)).is_err());
    }

    #[test]
    fn a_port_is_a_host_and_a_number() {
        for (text, expected) in [
            ("tcp://127.0.0.1:25", "127.0.0.1:25"),
            ("tcp://[::1]:5432/", "[::1]:5432"),
            ("tcp://m%C3%BC:1", "xn--m-eha:1"),
        ] {
            let Kind::Tcp(host, port) = parse(text, None).unwrap().kind else { panic!("{text}") };
            assert_eq!(format!("{host}:{port}"), expected);
        }
        assert!(matches!(parse("tcp://127.0.0.1:25", None).unwrap().kind, Kind::Tcp(Host::Ipv4(_), 25)));
        for text in ["tcp://host", "tcp://host:1/path", "tcp://host:1?query", "tcp:host:1", "tcp://:1"] {
            assert!(fault(text, None).contains("tcp://host:port") || text.starts_with("tcp://:"), "{text}");
        }
    }

    #[test]
    fn a_question_is_a_server_a_name_and_a_type() {
        for (text, expected) in [
            ("dns://127.0.0.1/shop.example", "127.0.0.1:53 shop.example A"),
            ("dns://[::1]:5353/_dmarc.shop.example.?type=TXT", "[::1]:5353 _dmarc.shop.example TXT"),
            ("dns://ns.example/m%C3%BCller.example?type=MX", "ns.example:53 xn--mller-kva.example MX"),
        ] {
            let Kind::Dns(question) = parse(text, None).unwrap().kind else { panic!("{text}") };
            let Question { server, port, name, kind } = question;
            assert_eq!(format!("{server}:{port} {name} {kind}"), expected);
        }
        for text in [
            "dns://ns.example/",
            "dns://ns.example",
            "dns://ns.example/a..b",
            "dns://ns.example/a?type=NONE",
            "dns://ns.example/a?type=AXFR",
            "dns://ns.example/a?class=CH",
            "dns:///a",
        ] {
            assert!(fault(text, None).contains("dns://server/name?type=A"), "{text}: {}", fault(text, None));
        }
    }
}
