//! An answer that came, compared with what was expected, in the order in which a check learns it: the status, the
//! text, the time, the certificate.

use std::time::Duration;

use jiff::Timestamp;
use wire::Outcome;

use super::findings::Findings;
use super::net::trace::CertificateEnd;
use super::outcome::Fault;
use super::text::harmless;
use crate::config::{Expect, Monitor, Pattern, Search};

/// Most bytes that an error quotes.
pub(super) const MOST_QUOTED: usize = 200;

/// The status code is an expected one.
pub(super) fn status(status: u16, expect: &Expect) -> Result<(), Fault> {
    if expect.status.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
        return Ok(());
    }
    let shown = |(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let expected: Vec<String> = expect.status.iter().map(shown).collect();
    let text = format!("status {status} is not among the expected ({})", expected.join(", "));
    Err(Fault::new(Outcome::StatusMismatch, text))
}

/// What must be in a text and what must not, looked for while the text comes.
pub(super) struct Searches<'m> {
    pattern: Option<Search<'m>>,
    absent: Option<Search<'m>>,
}

impl<'m> Searches<'m> {
    pub(super) fn of(monitor: &'m Monitor) -> Searches<'m> {
        let search = |pattern: &'m Option<Pattern>| pattern.as_ref().map(Pattern::search);
        Searches { pattern: search(&monitor.pattern), absent: search(&monitor.expect.pattern_absent) }
    }

    fn each(&self) -> impl Iterator<Item = &Search<'m>> {
        self.pattern.iter().chain(&self.absent)
    }

    /// Whether nothing is looked for.
    pub(super) fn is_empty(&self) -> bool {
        self.each().next().is_none()
    }

    /// How many bytes of the text they hold.
    pub(super) fn hold(&self) -> usize {
        self.each().map(Search::holds).sum()
    }

    /// Whether all is found that is looked for, so that the rest of the text changes nothing.
    pub(super) fn are_settled(&self) -> bool {
        !self.is_empty() && self.each().all(Search::is_found)
    }

    /// Whether the pattern is found.
    pub(super) fn have_pattern(&self) -> bool {
        self.pattern.as_ref().is_some_and(Search::is_found)
    }

    /// Looks into the next piece of the text.
    pub(super) fn take(&mut self, piece: &[u8]) {
        self.pattern.iter_mut().chain(&mut self.absent).for_each(|search| search.take(piece));
    }

    /// The text holds the pattern, and not the one that must be absent. `place` names the text for people.
    pub(super) fn end(self, place: &str, findings: &mut Findings) -> Result<(), Fault> {
        let Searches { pattern, absent } = self;
        if let Some(pattern) = pattern {
            let matched = is_in(pattern)?;
            findings.pattern_matched = Some(matched);
            if !matched {
                return Err(Fault::new(Outcome::PatternMismatch, format!("the pattern was not found in {place}")));
            }
        }
        let Some(absent) = absent else { return Ok(()) };
        let text = format!("the pattern that must be absent ({}) was found in {place}", absent.source());
        if is_in(absent)? { Err(Fault::new(Outcome::PatternMismatch, text)) } else { Ok(()) }
    }
}

/// How a search ended.
fn is_in(search: Search<'_>) -> Result<bool, Fault> {
    let source = search.source().to_owned();
    search.end().map_err(|error| Fault::new(Outcome::AgentError, format!("{error} ({source:?})")))
}

/// The end of a search in what a port or a name server said, which is quoted where the pattern is not in it. `said` is its
/// begin.
pub(super) fn end_of_what_was_said(
    searches: Searches<'_>,
    said: &[u8],
    place: &str,
    findings: &mut Findings,
) -> Result<(), Fault> {
    searches.end(place, findings).map_err(|fault| match findings.pattern_matched {
        Some(false) => Fault::new(fault.outcome(), format!("{}: {}", fault.text(), quoted(said))),
        _ => fault,
    })
}

/// The begin of a text in one line, in quotation marks.
fn quoted(text: &[u8]) -> String {
    let begin = &text[..text.len().min(MOST_QUOTED)];
    let goes_on = if begin.len() < text.len() { "…" } else { "" };
    let lines: Vec<String> =
        begin.trim_ascii_end().split(|byte| *byte == b'\n').map(|line| harmless(line.trim_ascii_end())).collect();
    format!("\"{}{goes_on}\"", lines.join(" ⏎ "))
}

/// The answer came in time.
pub(super) fn time(took: Duration, expect: &Expect) -> Result<(), Fault> {
    match expect.max_response_time {
        Some(most) if took > most => {
            Err(Fault::new(Outcome::TooSlow, format!("the answer took {took:.1?}, which is more than {most:?}")))
        }
        _ => Ok(()),
    }
}

/// All certificates that the check relied on stay valid for long enough.
pub(super) fn certificate(first_end: Option<&CertificateEnd>, expect: &Expect) -> Result<(), Fault> {
    let Some((CertificateEnd { at, whose }, least)) = first_end.zip(expect.certificate_valid_for) else {
        return Ok(());
    };
    let left = at.duration_since(Timestamp::now());
    if Duration::try_from(left).is_ok_and(|left| left >= least) {
        return Ok(());
    }
    let days = left.as_secs().div_euclid(86_400);
    let text = format!(
        "{whose} ends in {days} days, on {at}, which is sooner than {}",
        settings::quantity::show_duration(least)
    );
    Err(Fault::new(Outcome::CertificateExpiring, text))
}
