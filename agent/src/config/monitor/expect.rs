//! What an answer must be like for a check to be a success.

use std::ops::RangeInclusive;
use std::time::Duration;

use settings::Section;

use super::pattern::Pattern;
use super::status;

/// What an answer must be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// Status codes that are a success, as inclusive ranges.
    pub status: Vec<(u16, u16)>,
    /// What must not be found in it.
    pub pattern_absent: Option<Pattern>,
    /// How long it may take, from the start of the check to its end.
    pub max_response_time: Option<Duration>,
    /// How long the certificate must still be valid.
    pub certificate_valid_for: Option<Duration>,
}

const RESPONSE_TIME: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3_600);
const VALID_FOR: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10 * 31_557_600);

/// What an entry or `defaults` says of it.
#[derive(Clone, Default)]
pub(in crate::config) struct ExpectOptions {
    status: Option<Vec<(u16, u16)>>,
    pub(in crate::config) pattern_absent: Option<Pattern>,
    pub(in crate::config) max_response_time: Option<Duration>,
    certificate_valid_for: Option<Duration>,
}

impl ExpectOptions {
    pub(in crate::config) fn read(section: &mut Section<'_>) -> ExpectOptions {
        let status = section.items("status", status::range);
        if status.as_ref().is_some_and(Vec::is_empty) {
            section.fault("status", "allows no status at all", "write codes and ranges, such as [200-399]");
        }
        ExpectOptions {
            status,
            pattern_absent: section.parse("pattern_absent", Pattern::compile),
            max_response_time: section.duration("max_response_time", RESPONSE_TIME),
            certificate_valid_for: section.duration("certificate_valid_for", VALID_FOR),
        }
    }

    /// The options that stand here, for kinds of monitors that have no use for them.
    pub(in crate::config) fn given(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            (self.status.is_some(), "expect.status"),
            (self.certificate_valid_for.is_some(), "expect.certificate_valid_for"),
            (self.pattern_absent.is_some(), "expect.pattern_absent"),
        ];
        given.into_iter().filter_map(|(given, name)| given.then_some(name))
    }

    pub(in crate::config) fn over(self, defaults: &ExpectOptions) -> Expect {
        let status = self.status.or_else(|| defaults.status.clone());
        Expect {
            status: status.unwrap_or_else(|| vec![(200, 399)]),
            pattern_absent: self.pattern_absent.or_else(|| defaults.pattern_absent.clone()),
            max_response_time: self.max_response_time.or(defaults.max_response_time),
            certificate_valid_for: self.certificate_valid_for.or(defaults.certificate_valid_for),
        }
    }
}
