//! The frame around all pages, with the links between them.

use jiff::Timestamp;

use super::assets;
use super::assets::Asset;
use super::words::When;

/// The frame of a page.
pub(super) struct Frame {
    pub(super) style: &'static Asset,
    pub(super) script: &'static Asset,
    pub(super) icon: &'static Asset,
    /// The moment to which the page refers; none when there was nothing to read.
    pub(super) as_of: Option<When>,
    /// Whether the page is loaded again from time to time.
    pub(super) refreshes: bool,
    pub(super) place: Place,
    /// The text at the top.
    pub(super) title: String,
}

/// The part of the site to which a page belongs.
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

    /// Returns whether the page belongs to that part.
    pub(super) fn is(&self, place: Place) -> bool {
        self.place == place
    }
}
