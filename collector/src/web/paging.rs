//! Results in pages, newest first: each begins before the last moment of the one before it.

use jiff::Timestamp;

use crate::figures::detail::ResultRow;

/// What stands on a page of this many, and before which moment the next one begins, if there is one. Of results that were
/// read for it one more tells whether there is.
///
/// Results of one moment stay together, as far as there is room for them, so that none falls between two pages.
pub(super) fn page(read: &[ResultRow], most: usize) -> (&[ResultRow], Option<Timestamp>) {
    let Some(beyond) = read.get(most) else { return (read, None) };
    let whole = read[..most].iter().rposition(|result| result.checked_at > beyond.checked_at);
    let page = &read[..whole.map_or(most, |last| last + 1)];
    (page, page.last().map(|last| last.checked_at))
}
