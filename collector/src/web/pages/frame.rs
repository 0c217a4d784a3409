//! What all pages have around them, and where they lead.

use jiff::Timestamp;

use super::assets;
use super::assets::Asset;
use super::words::When;

/// Around a page.
pub(super) struct Frame {
    pub(super) style: &'static Asset,
    pub(super) script: &'static Asset,
    pub(super) icon: &'static Asset,
    /// The moment that the page describes; none where there was nothing to read.
    pub(super) as_of: Option<When>,
    /// Whether it is shown again from time to time.
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
