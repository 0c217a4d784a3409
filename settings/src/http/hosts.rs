//! Checks the host name of a request to a daemon that has no login and listens on loopback.
//!
//! A page of an attacker can let a name of its own lead to 127.0.0.1 (DNS rebinding). The browser of a user on this
//! host then takes the daemon for the attacker's server, and lets the page read its answers. Such a request has the
//! attacker's name in `Host`, so it is refused. An address in `Host` cannot be made to lead anywhere else.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;

/// The paths that programs of operators ask for. They may use any address, or no name (HTTP/1.0).
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The names under which requests are answered.
#[derive(Clone, Debug)]
pub struct Hosts {
    /// The daemon's own name, in small letters. It is accepted in addition to `localhost`.
    own: Option<String>,
}

impl Hosts {
    /// Returns the names of a daemon without a login that listens at this address. It returns none when the address is
    /// not loopback, and then every request is answered. `url` is the one at which people find the daemon.
    pub fn of(listen: Option<SocketAddr>, url: Option<&str>) -> Option<Hosts> {
        let is_loopback = listen?.ip().to_canonical().is_loopback();
        let own = url.and_then(|url| url.parse::<axum::http::Uri>().ok()?.host().map(plain));
        is_loopback.then_some(Hosts { own })
    }

    /// Returns whether a request is answered.
    pub fn answers(&self, request: &Request) -> bool {
        let is_probe = PROBES.contains(&request.uri().path());
        let mut named = request.headers().get_all(HOST).iter();
        let host = match (request.uri().host(), named.next(), named.next()) {
            (Some(host), ..) => plain(host),
            (None, None, _) => return is_probe,
            (None, Some(authority), None) => {
                let Ok(authority) = Authority::try_from(authority.as_bytes()) else { return false };
                plain(authority.host())
            }
            _ => return false,
        };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        match address {
            Some(address) => is_probe || address.to_canonical().is_loopback() || self.own.as_ref() == Some(&host),
            None => host == "localhost" || self.own.as_ref() == Some(&host),
        }
    }
}

/// Returns a host as it is compared: names have no case, and a dot at their end changes nothing.
fn plain(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Returns the routes. A client that asks by another name gets the refusal.
pub fn for_hosts<R: IntoResponse + 'static>(routes: Router, hosts: Option<Hosts>, refusal: fn() -> R) -> Router {
    let Some(hosts) = hosts else { return routes };
    routes.layer(from_fn(move |request: Request, next: Next| {
        let is_answered = hosts.answers(&request);
        async move { if is_answered { next.run(request).await } else { refusal().into_response() } }
    }))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn asked(path: &str, hosts: &[&str]) -> Request {
        let request = hosts.iter().fold(Request::get(path), |request, host| request.header(HOST, *host));
        request.body(axum::body::Body::empty()).unwrap()
    }

    fn hosts(url: Option<&str>) -> Hosts {
        Hosts::of(Some((Ipv4Addr::LOCALHOST, 8080).into()), url).unwrap()
    }

    #[test]
    fn only_names_of_this_machine_and_the_own_one_are_answered() {
        let hosts = hosts(Some("https://Status.example:8443/monitor"));
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "status.example",
            "STATUS.example.:1",
        ] {
            assert!(hosts.answers(&asked("/", &[host])), "{host}");
        }
        for host in [
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example/127.0.0.1",
            "localhost@evil.example",
            "192.0.2.1",
            "0.0.0.0:8080",
            "[2001:db8::1]",
            "",
        ] {
            assert!(!hosts.answers(&asked("/", &[host])), "{host}");
        }
        assert!(!hosts.answers(&asked("/", &[])) && !hosts.answers(&asked("/", &["localhost", "evil.example"])));
        assert!(!hosts.answers(&asked("http://evil.example/", &["localhost"])), "the name in the first line counts");
    }

    #[test]
    fn probes_are_answered_by_any_address_and_by_no_foreign_name() {
        let hosts = hosts(None);
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert!(hosts.answers(&asked(path, &["192.0.2.1:8080"])) && hosts.answers(&asked(path, &[])), "{path}");
            assert!(!hosts.answers(&asked(path, &["evil.example"])), "{path}");
        }
    }

    #[test]
    fn a_daemon_that_listens_beyond_this_machine_is_answered_by_any_name() {
        let is_bound = |address: &str| Hosts::of(Some(address.parse().unwrap()), None).is_some();
        assert!(is_bound("127.0.0.2:80") && is_bound("[::1]:80") && is_bound("[::ffff:127.0.0.1]:80"));
        assert!(!is_bound("0.0.0.0:80") && !is_bound("[::]:80") && Hosts::of(None, None).is_none());
    }
}
