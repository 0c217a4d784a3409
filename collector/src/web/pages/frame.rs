//! What all pages have around them, and where they lead.

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::assets::{self, Asset};
use super::words::When;

/// Around a page.
pub(super) struct Frame {
    pub(super) style: &'static Asset,
    pub(super) script: &'static Asset,
    pub(super) icon: &'static Asset,
    /// Of which the page is; none where there was nothing to read.
    pub(super) as_of: Option<When>,
    /// Whether it is shown anew from time to time.
    pub(super) refreshes: bool,
    pub(super) place: Place,
    /// What stands at the top.
    pub(super) title: String,
}

/// Where in the site a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Monitors,
    Agents,
    Public,
    Elsewhere,
}

impl Frame {
    pub(super) fn new(place: Place, as_of: Option<Timestamp>) -> Frame {
        let [style, script, icon] = assets::all();
        let title = "Website monitor".into();
        Frame { style, script, icon, as_of: as_of.map(When), refreshes: as_of.is_some(), place, title }
    }

    /// Whether the page is in that place.
    pub(super) fn is(&self, place: Place) -> bool {
        self.place == place
    }
}

/// What a part of an address needs not to be encoded.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The address of a monitor; its id may be a url.
pub(crate) fn monitor(root: &str, id: &str) -> String {
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
