//! The body: read within its bound, decoded, and searched for the pattern.
//!
//! The bound counts decoded bytes, as they come out of the decoder: a few compressed kilobytes that unfold to
//! gigabytes cost no more than `max_body`. Without a pattern nothing is kept.

use std::io::Read;

use regex::bytes::Regex;
use ureq::Body;
use ureq::http::Response;
use ureq::http::header::CONTENT_ENCODING;
use wire::Outcome;

use super::http::Findings;
use super::outcome::Fault;
use super::trace::{SharedTrace, locked};

const PIECE: usize = 16 * 1024;

/// Reads the body up to `max_body` decoded bytes and looks for the pattern in them.
pub(super) fn examine(
    response: &mut Response<Body>,
    max_body: u64,
    pattern: Option<&Regex>,
    trace: &SharedTrace,
    findings: &mut Findings,
) -> Result<(), Fault> {
    // ureq takes this header away when it decodes, so what is left is a coding that nobody asked for.
    let coding = response.headers().get(CONTENT_ENCODING).map(|coding| coding.as_bytes().to_ascii_lowercase());
    let kept = read(response.body_mut(), max_body, pattern.is_some(), trace, findings)?;
    locked(trace).end();
    let Some(pattern) = pattern else { return Ok(()) };
    if let Some(coding) = coding.filter(|coding| coding != b"identity" && !coding.is_empty()) {
        let coding = String::from_utf8_lossy(&coding);
        let text = format!("the body comes in the coding {coding:?}, which was not asked for and can't be searched");
        return Err(Fault::new(Outcome::BodyError, text));
    }
    let matched = pattern.is_match(&kept);
    findings.pattern_matched = Some(matched);
    if matched {
        return Ok(());
    }
    let place = if findings.truncated == Some(true) { "the part of the body that was read" } else { "the body" };
    Err(Fault::new(Outcome::PatternMismatch, format!("the pattern was not found in {place}")))
}

/// The body's first `max_body` bytes, or nothing when they are not to be kept.
fn read(
    body: &mut Body,
    max_body: u64,
    keep: bool,
    trace: &SharedTrace,
    findings: &mut Findings,
) -> Result<Vec<u8>, Fault> {
    // One byte more tells a body that ends at the bound from one that goes on.
    let mut reader = body.as_reader().take(max_body.saturating_add(1));
    let mut kept = Vec::new();
    let mut piece = vec![0; PIECE];
    let mut total = 0;
    loop {
        let read = reader.read(&mut piece);
        let count = read.map_err(|error| Fault::of_body(error, locked(trace).has_peer_ended()))?;
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
