//! Divides results into pages, newest first: each page begins before the last moment of the page before it.

use jiff::Timestamp;

use crate::figures::detail::ResultRow;

/// Returns the results of a page with at most this number of results, and the moment before which the next page begins,
/// if there is one. One result more than the page holds has to be read, which shows that there is a next page.
///
/// Results of one moment stay together when there is room for them, so that none is lost between two pages.
pub(in crate::web) fn page(read: &[ResultRow], most: usize) -> (&[ResultRow], Option<Timestamp>) {
    let Some(beyond) = read.get(most) else { return (read, None) };
    let whole = read[..most].iter().rposition(|result| result.checked_at > beyond.checked_at);
    let page = &read[..whole.map_or(most, |last| last + 1)];
    (page, page.last().map(|last| last.checked_at))
}
