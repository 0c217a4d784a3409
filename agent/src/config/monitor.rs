//! One entry of `monitors`: its own options over those of `defaults`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::bytes::Regex;
use serde_yaml::Value;
use settings::{Fault, Section};
use url::Url;

use super::{BasicAuth, pattern, status, target};

/// The shortest and longest interval.
pub(super) const INTERVAL: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(86_400);
const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3_600);
const MOST_REDIRECTS: u64 = 100;
const MAX_BODY: std::ops::RangeInclusive<u64> = 1..=16 << 20;

/// Options that stand in an entry and in `defaults`; absent where they don't.
#[derive(Clone, Default)]
pub(super) struct Options {
    pattern: Option<Regex>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    expected_status: Option<Vec<(u16, u16)>>,
    follow_redirects: Option<u32>,
    max_body: Option<u64>,
    tags: BTreeMap<String, String>,
}

impl Options {
    pub(super) fn read(section: &mut Section<'_>) -> Options {
        Options {
            pattern: section.parse("pattern", pattern::compile),
            interval: section.duration("interval", INTERVAL),
            timeout: section.duration("timeout", TIMEOUT),
            expected_status: section.section("expect", |expect| expect.items("status", status::range)),
            follow_redirects: section.integer("follow_redirects", 0..=MOST_REDIRECTS),
            max_body: section.size("max_body", MAX_BODY),
            tags: section.texts("tags", wire::limits::ENTRIES, wire::limits::TEXT),
        }
    }

    fn over(self, defaults: &Options) -> Options {
        let mut tags = defaults.tags.clone();
        tags.extend(self.tags);
        Options {
            pattern: self.pattern.or_else(|| defaults.pattern.clone()),
            interval: self.interval.or(defaults.interval),
            timeout: self.timeout.or(defaults.timeout),
            expected_status: self.expected_status.or_else(|| defaults.expected_status.clone()),
            follow_redirects: self.follow_redirects.or(defaults.follow_redirects),
            max_body: self.max_body.or(defaults.max_body),
            tags,
        }
    }
}

/// What all entries have in common.
pub(super) struct Common {
    pub(super) interval: Duration,
    pub(super) url_regex: Option<Regex>,
    pub(super) defaults: Options,
}

/// A sound entry that has no id yet.
pub(super) struct Draft {
    /// Where it stands, for faults.
    pub(super) file: PathBuf,
    pub(super) entry: String,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) url: Url,
    basic_auth: Option<BasicAuth>,
    options: Options,
    interval: Duration,
}

impl Draft {
    /// Reads the entry at `position` (from 1) of a file.
    pub(super) fn read(file: &Path, position: usize, value: Value, common: &Common) -> Result<Draft, Vec<Fault>> {
        let entry = label(position, &value);
        let (draft, faults) = Section::read(file, Some(&entry), value, |section| {
            section.require("url", "give the address to check");
            let id = section.text_within("id", wire::limits::MONITOR);
            let name = section.text_within("name", wire::limits::NAME);
            let target = section.parse("url", |text| target::parse(text, common.url_regex.as_ref()));
            let options = Options::read(section).over(&common.defaults);
            if options.tags.len() > wire::limits::ENTRIES {
                let most = wire::limits::ENTRIES;
                section.fault("tags", "are too many with those of defaults", format!("keep at most {most}"));
            }
            let (url, basic_auth) = target?;
            let interval = options.interval.unwrap_or(common.interval);
            Some(Draft { file: file.into(), entry: entry.clone(), id, name, url, basic_auth, options, interval })
        });
        match draft {
            Some(draft) if faults.is_empty() => Ok(draft),
            _ => Err(faults),
        }
    }

    /// The pattern that its body must hold, as it was written.
    pub(super) fn pattern(&self) -> Option<&str> {
        self.options.pattern.as_ref().map(Regex::as_str)
    }

    /// The monitor, once its id is known.
    pub(super) fn into_monitor(self, id: String) -> super::Monitor {
        super::Monitor {
            id,
            // A url is ASCII, and may be longer than a name.
            name: self.name.unwrap_or_else(|| self.url.as_str().chars().take(wire::limits::NAME).collect()),
            url: self.url,
            basic_auth: self.basic_auth,
            pattern: self.options.pattern,
            interval: self.interval,
            timeout: self.options.timeout.unwrap_or(Duration::from_secs(5)),
            expected_status: self.options.expected_status.unwrap_or_else(|| vec![(200, 399)]),
            follow_redirects: self.options.follow_redirects.unwrap_or(10),
            max_body: self.options.max_body.unwrap_or(1 << 20),
            tags: self.options.tags,
        }
    }
}

/// The position of an entry, by how faults call it.
pub(super) fn position(label: &str) -> Option<usize> {
    label.strip_prefix("monitor ")?.split(' ').next()?.parse().ok()
}

/// How faults call an entry: by position, and by name where it has one.
fn label(position: usize, value: &Value) -> String {
    match value.get("name").or_else(|| value.get("id")).and_then(Value::as_str) {
        Some(name) => {
            let short: String = name.chars().take(60).collect();
            format!("monitor {position} ({short})")
        }
        None => format!("monitor {position}"),
    }
}
