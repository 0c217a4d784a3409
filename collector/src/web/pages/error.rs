//! The page that is shown when there is nothing else to show.

use askama::Template;

use super::frame::{Frame, Place};

#[derive(Template)]
#[template(path = "error.html")]
struct Page {
    frame: Frame,
    what: &'static str,
    mend: &'static str,
}

/// Returns a page that says what is wrong and what the reader can do. When the reader has to wait, the page loads again
/// by itself.
///
/// # Errors
/// Returns only errors of the template engine.
pub(super) fn render(place: Place, what: &'static str, mend: &'static str, retries: bool) -> askama::Result<String> {
    Page { frame: Frame { refreshes: retries, ..Frame::new(place, None) }, what, mend }.render()
}
