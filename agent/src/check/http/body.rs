//! The body: read within its bound, decoded, and compared with what is expected of it while it comes.
//!
//! ```text
//! body ──▶ coding undone ──▶ the first max_body bytes ──▶ UTF-8 ──▶ searched
//! ```
//! The bound counts bytes as they come out of the decoder: a few compressed kilobytes that unfold to gigabytes cost no more
//! than `max_body`. No body is held but for patterns that need it, within one [`Budget`] for all. Reading ends as soon as
//! the rest of the body can change nothing: an event stream may have no end.

use std::io::Read;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use ureq::Body;
use ureq::http::Response;
use wire::Outcome;

use super::budget::Budget;
use super::charset::Text;
use super::coding::Codings;
use crate::check::expect::Searches;
use crate::check::findings::Findings;
use crate::check::net::deadline::Deadline;
use crate::check::net::trace::SharedTrace;
use crate::check::outcome::Fault;
use crate::config::Monitor;

/// How much is read at once: little at first, since most of a small page came with its head.
const FIRST: usize = 4 * 1024;
const PIECE: usize = 16 * 1024;

/// Reads the body up to `max_body` decoded bytes and looks for the patterns in them.
pub(super) fn examine(
    response: &mut Response<Body>,
    monitor: &Monitor,
    budget: &Budget,
    deadline: Deadline,
    trace: &SharedTrace,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let mut searches = Searches::of(monitor);
    let codings = match Codings::of(response.headers()) {
        Ok(codings) => codings,
        // Nothing has to be read in it.
        Err(_) if searches.is_empty() => Codings::default(),
        Err(words) => {
            let text = format!("the body comes in the coding {words:?}, which was not asked for and can't be searched");
            return Err(Fault::new(Outcome::BodyError, text));
        }
    };
    let mut text = Text::of(response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes));
    let fault = |error| Fault::of_body(error, !codings.is_empty(), trace.lock().has_peer_ended());
    // One byte more tells a body that ends at the bound from one that goes on.
    let most = monitor.max_body;
    let mut reader = codings.undo(response.body_mut().as_reader()).map_err(fault)?.take(most.saturating_add(1));
    let mut room = budget.share(deadline);
    let mut piece = vec![0; FIRST];
    let mut total = 0;
    loop {
        let count = reader.read(&mut piece).map_err(fault)?;
        let is_last = count == 0 || total + count as u64 > most;
        let within = usize::try_from(most - total).map_or(count, |left| count.min(left));
        total += within as u64;
        findings.body_bytes = Some(total);
        findings.truncated = Some(count > within);
        if !searches.is_empty() {
            room.cover(searches.hold() + within)?;
            searches.take(&text.take(&piece[..within], is_last));
        }
        if is_last {
            break;
        }
        if searches.are_settled() {
            // What would have followed is not known.
            findings.truncated = None;
            break;
        }
        if count == piece.len() {
            piece.resize(PIECE, 0);
        }
    }
    trace.lock().end();
    let place = if findings.truncated == Some(true) { "the part of the body that was read" } else { "the body" };
    searches.end(place, findings)
}
