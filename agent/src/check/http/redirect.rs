//! Where a redirect leads, and when following it ends.
//!
//! Redirects are followed here and not by ureq, which reads their bodies to the end, however long, and forgets the
//! status code when it gives up.

use std::borrow::Cow;

use percent_encoding::{CONTROLS, percent_encode};
use ureq::http::{HeaderValue, Method};
use url::Url;
use wire::{Outcome, limits};

use crate::check::outcome::Fault;

/// The requests of one check, in the order in which they were made. Most checks make one, for which nothing is copied.
pub(super) struct Path<'a> {
    start: &'a Url,
    here: Cow<'a, Url>,
    followed: u32,
    limit: u32,
    /// The request that is made now, and those before it with the urls that they went to.
    now: Asked,
    before: Vec<(Cow<'a, Url>, Asked)>,
}

/// What tells one request to a url from another: the same one again is a loop, since its answer leads to the same place.
#[derive(Default, PartialEq, Eq)]
struct Asked {
    method: Method,
    has_body: bool,
    cookies: String,
}

impl<'a> Path<'a> {
    /// A path that begins at the monitor's url and goes on over at most `limit` redirects.
    pub(super) fn new(start: &'a Url, limit: u32) -> Path<'a> {
        Path { start, here: Cow::Borrowed(start), followed: 0, limit, now: Asked::default(), before: Vec::new() }
    }

    /// The url to ask for now.
    pub(super) fn here(&self) -> &Url {
        &self.here
    }

    /// How many redirects were followed.
    pub(super) fn followed(&self) -> u32 {
        self.followed
    }

    /// Whether the monitor's credentials may go along: to the origin that they were meant for (scheme, host and port), and
    /// from plain HTTP to TLS on the same host where both have their usual ports; nowhere else.
    pub(super) fn carries_credentials(&self) -> bool {
        if self.followed == 0 {
            return true;
        }
        let (start, here) = (self.start, self.here());
        let becomes_secure = (start.scheme(), here.scheme()) == ("http", "https")
            && start.host() == here.host()
            && start.port().is_none()
            && here.port().is_none();
        start.origin() == here.origin() || becomes_secure
    }

    /// Notes the request that is made now.
    ///
    /// # Errors
    /// Where the same one was made before: the redirects are a loop.
    pub(super) fn ask(&mut self, method: &Method, has_body: bool, cookies: &str) -> Result<(), Fault> {
        self.now = Asked { method: method.clone(), has_body, cookies: cookies.to_owned() };
        if self.before.iter().any(|(url, asked)| *url == self.here && *asked == self.now) {
            return Err(fault(format!("the redirects are a loop: they lead to {} again", self.here)));
        }
        Ok(())
    }

    /// Follows a redirect.
    pub(super) fn follow(&mut self, location: Option<&HeaderValue>) -> Result<(), Fault> {
        let next = self.target(location)?;
        if self.followed >= self.limit {
            return Err(fault(format!("more than {} redirects", self.limit)));
        }
        let left = std::mem::replace(&mut self.here, Cow::Owned(next));
        self.before.push((left, std::mem::take(&mut self.now)));
        self.followed += 1;
        Ok(())
    }

    /// The target, without a fragment, and without a user and password that would be shown and sent.
    fn target(&self, location: Option<&HeaderValue>) -> Result<Url, Fault> {
        let location = location.ok_or_else(|| fault("a redirect without a Location"))?;
        let mut url = self
            .here()
            .join(&text(location.as_bytes()))
            .map_err(|error| fault(format!("a redirect with a bad Location: {error}")))?;
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

/// A Location as text. Where it is no UTF-8, each byte beyond ASCII is percent-encoded as it is, as browsers do.
fn text(location: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(location) {
        Ok(location) => location.into(),
        Err(_) => percent_encode(location, CONTROLS).into(),
    }
}

fn fault(text: impl Into<String>) -> Fault {
    Fault::new(Outcome::RedirectError, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(url: &str) -> Url {
        Url::parse(url).unwrap()
    }

    fn location(bytes: &[u8]) -> HeaderValue {
        HeaderValue::from_bytes(bytes).unwrap()
    }

    #[test]
    fn a_location_may_be_relative_and_may_hold_utf8() {
        let start = url("http://a.example/shop/x?q=1");
        let mut path = Path::new(&start, 10);
        path.follow(Some(&location("y/schön#top".as_bytes()))).unwrap();
        assert_eq!(path.here().as_str(), "http://a.example/shop/y/sch%C3%B6n");
        path.follow(Some(&location(b"//b.example:81/z"))).unwrap();
        assert_eq!(path.here().as_str(), "http://b.example:81/z");
        path.follow(Some(&location(b"/landing/mythe-do-c\xe9u"))).unwrap();
        assert_eq!(path.here().as_str(), "http://b.example:81/landing/mythe-do-c%E9u");
        assert_eq!(path.followed(), 3);
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        let bad: [Option<&[u8]>; 5] = [
            None,
            Some(b"http://"),
            Some(b"http://a.example:99999/"),
            Some(b"ftp://a.example/"),
            Some(b"javascript:alert(1)"),
        ];
        for bad in bad {
            let bad = bad.map(location);
            let fault = Path::new(&url("http://a.example/"), 10).follow(bad.as_ref()).unwrap_err();
            assert_eq!(fault.outcome(), Outcome::RedirectError, "{bad:?}");
        }
    }

    #[test]
    fn the_same_request_again_is_a_loop_and_too_many_hops_end() {
        let start = url("http://a.example/0");
        let mut path = Path::new(&start, 2);
        path.ask(&Method::POST, true, "").unwrap();
        path.follow(Some(&location(b"/0"))).unwrap();
        path.ask(&Method::GET, false, "").unwrap();
        path.follow(Some(&location(b"/0"))).unwrap();
        path.ask(&Method::GET, false, "s=1").unwrap();
        assert!(path.ask(&Method::GET, false, "").unwrap_err().text().contains("loop"));
        assert!(path.follow(Some(&location(b"/3"))).unwrap_err().text().contains("more than 2"));
    }

    #[test]
    fn credentials_go_to_their_own_site_only() {
        for (to, carried) in [
            ("/elsewhere", true),
            ("https://a.example/", true),
            ("http://a.example:8080/", false),
            ("https://a.example:8443/", false),
            ("http://b.example/", false),
            ("https://b.example/", false),
        ] {
            let start = url("http://a.example/");
            let mut path = Path::new(&start, 10);
            path.follow(Some(&location(to.as_bytes()))).unwrap();
            assert_eq!(path.carries_credentials(), carried, "{to}");
        }
        let start = url("https://a.example/");
        let mut path = Path::new(&start, 10);
        path.follow(Some(&location(b"http://a.example/"))).unwrap();
        assert!(!path.carries_credentials(), "not from TLS to plain text");
    }

    #[test]
    fn credentials_in_a_location_are_dropped() {
        let start = url("http://a.example/");
        let mut path = Path::new(&start, 10);
        path.follow(Some(&location(b"http://user:secret@b.example/"))).unwrap();
        assert_eq!(path.here().as_str(), "http://b.example/");
    }
}
