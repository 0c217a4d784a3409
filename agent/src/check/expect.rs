//! An answer that came, compared with what was expected, in the order in which a check learns it: the status, the
//! text, the time, the certificate.

use std::time::Duration;

use jiff::Timestamp;
use wire::{Certificate, Outcome};

use super::findings::Findings;
use super::outcome::Fault;
use crate::config::{Expect, Monitor, Pattern};

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

/// The text holds the pattern, and not the one that must be absent. `place` names the text for people.
pub(super) fn text(text: &[u8], place: &str, monitor: &Monitor, findings: &mut Findings) -> Result<(), Fault> {
    let is_in = |pattern: &Pattern| {
        pattern.is_in(text).map_err(|error| Fault::new(Outcome::AgentError, format!("{error} ({pattern:?})")))
    };
    if let Some(pattern) = &monitor.pattern {
        let matched = is_in(pattern)?;
        findings.pattern_matched = Some(matched);
        if !matched {
            return Err(Fault::new(Outcome::PatternMismatch, format!("the pattern was not found in {place}")));
        }
    }
    match &monitor.expect.pattern_absent {
        Some(absent) if is_in(absent)? => {
            let text = format!("the pattern that must be absent ({}) was found in {place}", absent.as_str());
            Err(Fault::new(Outcome::PatternMismatch, text))
        }
        _ => Ok(()),
    }
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

/// The certificate stays valid for long enough.
pub(super) fn certificate(certificate: Option<&Certificate>, expect: &Expect) -> Result<(), Fault> {
    let Some((certificate, least)) = certificate.zip(expect.certificate_valid_for) else { return Ok(()) };
    let left = certificate.not_after.duration_since(Timestamp::now());
    if Duration::try_from(left).is_ok_and(|left| left >= least) {
        return Ok(());
    }
    let days = left.as_secs().div_euclid(86_400);
    let text = format!(
        "the certificate ends in {days} days, on {}, which is sooner than {}",
        certificate.not_after,
        settings::quantity::show_duration(least)
    );
    Err(Fault::new(Outcome::CertificateExpiring, text))
}
