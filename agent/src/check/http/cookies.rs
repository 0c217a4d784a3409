//! The cookies of one check.
//!
//! Sites set a cookie on a redirect and ask for it on the next hop: without it they redirect again, or refuse. What a site
//! sets goes back to it by the rules of RFC 6265 for domain, path and `Secure`, and to no other site. It ends with the check.

use cookie_store::CookieStore;
use http::HeaderMap;
use http::header::SET_COOKIE;
use url::Url;

/// Longer cookies are not taken, as in browsers.
const LONGEST: usize = 4 * 1024;

/// The cookies that sites have set in this check: none in most.
#[derive(Default)]
pub(super) struct Cookies(Option<CookieStore>);

impl Cookies {
    /// Takes in what the answer of a url sets. A cookie that the site may not set is passed over.
    pub(super) fn take(&mut self, headers: &HeaderMap, url: &Url) {
        let texts = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        for text in texts.filter(|text| text.len() <= LONGEST) {
            self.0.get_or_insert_default().parse(text, url).ok();
        }
    }

    /// What goes to a url, as the value of `Cookie`; empty where nothing does. The order is the same each time.
    pub(super) fn of(&self, url: &Url) -> String {
        let Some(store) = &self.0 else { return String::new() };
        let mut pairs: Vec<String> =
            store.get_request_values(url).map(|(name, value)| format!("{name}={value}")).collect();
        pairs.sort_unstable();
        pairs.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn url(url: &str) -> Url {
        Url::parse(url).unwrap()
    }

    /// What is sent to a url after another one has set these.
    fn sent(by: &str, set: &[&str], to: &str) -> String {
        let values = set.iter().map(|text| (SET_COOKIE, HeaderValue::from_str(text).unwrap()));
        let mut cookies = Cookies::default();
        cookies.take(&HeaderMap::from_iter(values), &url(by));
        cookies.of(&url(to))
    }

    #[test]
    fn a_cookie_goes_back_to_the_site_that_set_it_and_to_no_other() {
        let by = "https://shop.example.test/cart/1";
        for (set, to, expected) in [
            ("s=1", by, "s=1"),
            ("s=1", "https://shop.example.test/cart/2", "s=1"),
            ("s=1", "https://shop.example.test/", ""),
            ("s=1; Path=/", "https://shop.example.test/", "s=1"),
            ("s=1; Path=/", "https://www.example.test/", ""),
            ("s=1; Path=/; Domain=example.test", "https://www.example.test/", "s=1"),
            ("s=1; Path=/; Domain=other.test", "https://other.test/", ""),
            ("s=1; Path=/; Secure", "http://shop.example.test/", ""),
            ("s=1; Path=/; Max-Age=0", "https://shop.example.test/", ""),
        ] {
            assert_eq!(sent(by, &[set], to), expected, "{set} to {to}");
        }
    }

    #[test]
    fn several_cookies_go_together_and_a_long_one_not_at_all() {
        let long = format!("long={}", "x".repeat(LONGEST));
        assert_eq!(sent("http://a.test/", &["b=2", "a=1", &long, "b=3"], "http://a.test/"), "a=1; b=3");
    }
}
