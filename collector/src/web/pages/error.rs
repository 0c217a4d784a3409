//! What is shown where there is nothing to show.

use askama::Template;

use super::frame::{Frame, Place};

#[derive(Template)]
#[template(path = "error.html")]
struct Page {
    frame: Frame,
    what: &'static str,
    mend: &'static str,
}

/// A page that says what is the matter, and what one can do; where that is to wait, it looks
/// again by itself.
///
/// # Errors
/// None but of the template engine.
pub(super) fn render(place: Place, what: &'static str, mend: &'static str, retries: bool) -> askama::Result<String> {
    Page { frame: Frame { refreshes: retries, ..Frame::new(place, None) }, what, mend }.render()
}
