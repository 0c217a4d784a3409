//! The body: read within its bound, decoded, and compared with what is expected of it.
//!
//! The bound counts decoded bytes, as they come out of the decoder: a few compressed kilobytes that unfold to
//! gigabytes cost no more than `max_body`. Without a pattern nothing is kept.

use std::io::Read;

use http::header::CONTENT_TYPE;
use ureq::Body;
use ureq::http::Response;
use wire::Outcome;

use super::coding::Codings;
use super::findings::Findings;
use super::outcome::Fault;
use super::trace::{SharedTrace, locked};
use super::{charset, expect};
use crate::config::Monitor;

const PIECE: usize = 16 * 1024;

/// Reads the body up to `max_body` decoded bytes and looks for the patterns in them.
pub(super) fn examine(
    response: &mut Response<Body>,
    monitor: &Monitor,
    trace: &SharedTrace,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let searched = monitor.pattern.is_some() || monitor.expect.pattern_absent.is_some();
    let codings = match Codings::of(response.headers()) {
        Ok(codings) => codings,
        // Nothing has to be read in it.
        Err(_) if !searched => Codings::default(),
        Err(words) => {
            let text = format!("the body comes in the coding {words:?}, which was not asked for and can't be searched");
            return Err(Fault::new(Outcome::BodyError, text));
        }
    };
    let content_type = response.headers().get(CONTENT_TYPE).cloned();
    let kept = read(response.body_mut(), &codings, monitor.max_body, searched, trace, findings)?;
    locked(trace).end();
    if !searched {
        return Ok(());
    }
    let place = if findings.truncated == Some(true) { "the part of the body that was read" } else { "the body" };
    let text = charset::in_utf8(&kept, content_type.as_ref().map(|value| value.as_bytes()));
    expect::text(&text, place, monitor, findings)
}

/// The body's first `max_body` bytes, or nothing when they are not to be kept.
fn read(
    body: &mut Body,
    codings: &Codings,
    max_body: u64,
    keep: bool,
    trace: &SharedTrace,
    findings: &mut Findings,
) -> Result<Vec<u8>, Fault> {
    let fault = |error| Fault::of_body(error, !codings.is_empty(), locked(trace).has_peer_ended());
    // One byte more tells a body that ends at the bound from one that goes on.
    let mut reader = codings.undo(body.as_reader()).map_err(fault)?.take(max_body.saturating_add(1));
    let mut kept = Vec::new();
    let mut piece = vec![0; PIECE];
    let mut total = 0;
    loop {
        let count = reader.read(&mut piece).map_err(fault)?;
        total += count as u64;
        findings.body_bytes = Some(total.min(max_body));
        findings.truncated = Some(total > max_body);
        if keep {
            kept.extend_from_slice(&piece[..count]);
        }
        if count == 0 || total > max_body {
            kept.truncate(usize::try_from(max_body).unwrap_or(usize::MAX));
            return Ok(kept);
        }
    }
}
