//! Makes the addresses of the pages, which are also in messages to receivers.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that need no encoding in a part of an address.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Returns the address of the page of a monitor below `root`. The id may be a url.
pub fn monitor(root: &str, id: &str) -> String {
    format!("{root}/monitors/{}", utf8_percent_encode(id, PART))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_any_id() {
        assert_eq!(
            monitor("", "https://a.example/?q=\"<ä>"),
            "/monitors/https%3A%2F%2Fa.example%2F%3Fq%3D%22%3C%C3%A4%3E"
        );
        assert_eq!(monitor("/public", "shop-1"), "/public/monitors/shop-1");
    }
}
