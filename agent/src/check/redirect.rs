//! Where a redirect leads, and when following it ends.
//!
//! Redirects are followed here and not by ureq, which reads their bodies to the end, however long, and forgets the
//! status code when it gives up.

use ureq::http::{HeaderValue, StatusCode};
use url::Url;
use wire::{Outcome, limits};

use super::outcome::Fault;

/// Whether the status code asks to go elsewhere.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The urls of one check, in the order in which they were asked for.
pub(super) struct Path {
    visited: Vec<Url>,
    limit: u32,
}

impl Path {
    /// A path that begins at the monitor's url and goes on over at most `limit` redirects.
    pub(super) fn new(start: Url, limit: u32) -> Path {
        Path { visited: vec![start], limit }
    }

    /// The url to ask for now.
    pub(super) fn here(&self) -> &Url {
        &self.visited[self.visited.len() - 1]
    }

    /// How many redirects were followed.
    pub(super) fn followed(&self) -> u32 {
        u32::try_from(self.visited.len() - 1).unwrap_or(u32::MAX)
    }

    /// Whether the monitor's credentials may go along: to where they were meant for, or to the same host over TLS;
    /// nowhere else, and never from TLS to plain text.
    pub(super) fn carries_credentials(&self) -> bool {
        let (start, here) = (&self.visited[0], self.here());
        start.origin() == here.origin() || (start.host() == here.host() && here.scheme() == "https")
    }

    /// Follows a redirect.
    pub(super) fn follow(&mut self, location: Option<&HeaderValue>) -> Result<(), Fault> {
        let next = self.target(location)?;
        if self.visited.contains(&next) {
            return Err(fault(format!("the redirects are a loop: they lead to {next} again")));
        }
        if self.followed() >= self.limit {
            return Err(fault(format!("more than {} redirects", self.limit)));
        }
        self.visited.push(next);
        Ok(())
    }

    /// The target, without a fragment, and without a user and password that would be shown and sent.
    fn target(&self, location: Option<&HeaderValue>) -> Result<Url, Fault> {
        let location = location.ok_or_else(|| fault("a redirect without a Location"))?;
        let location =
            std::str::from_utf8(location.as_bytes()).map_err(|_| fault("a redirect whose Location is not UTF-8"))?;
        let mut url =
            self.here().join(location).map_err(|error| fault(format!("a redirect with a bad Location: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(fault(format!("a redirect to {}:, which is neither http nor https", url.scheme())));
        }
        url.set_fragment(None);
        let stripped = url.set_username("").and_then(|()| url.set_password(None));
        if stripped.is_err() || url.as_str().len() > limits::URL {
            return Err(fault(format!("a redirect whose Location is longer than {} bytes", limits::URL)));
        }
        Ok(url)
    }
}

fn fault(text: impl Into<String>) -> Fault {
    Fault::new(Outcome::RedirectError, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(start: &str, limit: u32) -> Path {
        Path::new(Url::parse(start).unwrap(), limit)
    }

    fn location(bytes: &[u8]) -> HeaderValue {
        HeaderValue::from_bytes(bytes).unwrap()
    }

    #[test]
    fn a_location_may_be_relative_and_may_hold_utf8() {
        let mut path = path("http://a.example/shop/x?q=1", 10);
        path.follow(Some(&location("y/schön#top".as_bytes()))).unwrap();
        assert_eq!(path.here().as_str(), "http://a.example/shop/y/sch%C3%B6n");
        path.follow(Some(&location(b"//b.example:81/z"))).unwrap();
        assert_eq!(path.here().as_str(), "http://b.example:81/z");
        assert_eq!(path.followed(), 2);
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        let bad: [Option<&[u8]>; 6] = [
            None,
            Some(b"http://"),
            Some(b"http://a.example:99999/"),
            Some(b"ftp://a.example/"),
            Some(b"javascript:alert(1)"),
            Some(b"/\xff"),
        ];
        for bad in bad {
            let bad = bad.map(location);
            let fault = path("http://a.example/", 10).follow(bad.as_ref()).unwrap_err();
            assert_eq!(fault.outcome(), Outcome::RedirectError, "{bad:?}");
        }
    }

    #[test]
    fn a_loop_and_too_many_hops_end() {
        let mut path = path("http://a.example/0", 2);
        path.follow(Some(&location(b"/1"))).unwrap();
        assert!(path.follow(Some(&location(b"/0"))).unwrap_err().text().contains("loop"));
        path.follow(Some(&location(b"/2"))).unwrap();
        assert!(path.follow(Some(&location(b"/3"))).unwrap_err().text().contains("more than 2"));
    }

    #[test]
    fn credentials_go_to_their_own_site_only() {
        for (to, carried) in [
            ("/elsewhere", true),
            ("https://a.example/", true),
            ("http://a.example:8080/", false),
            ("http://b.example/", false),
            ("https://b.example/", false),
        ] {
            let mut path = path("http://a.example/", 10);
            path.follow(Some(&location(to.as_bytes()))).unwrap();
            assert_eq!(path.carries_credentials(), carried, "{to}");
        }
        let mut path = path("https://a.example/", 10);
        path.follow(Some(&location(b"http://a.example/"))).unwrap();
        assert!(!path.carries_credentials(), "not from TLS to plain text");
    }

    #[test]
    fn credentials_in_a_location_are_dropped() {
        let mut path = path("http://a.example/", 10);
        path.follow(Some(&location(b"http://user:secret@b.example/"))).unwrap();
        assert_eq!(path.here().as_str(), "http://b.example/");
    }
}
