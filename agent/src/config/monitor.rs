//! One entry of `monitors`: its own options over those of `defaults`.

mod dialect;
pub(super) mod expect;
pub(super) mod family;
pub(super) mod pattern;
pub(super) mod request;
pub(super) mod status;
pub(super) mod target;
pub(super) mod tls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde_yaml::Value;
use settings::{Fault, Section};
use url::Url;

use super::{IpFamily, Tls};
use expect::{Expect, ExpectOptions};
use pattern::Pattern;
use request::RequestOptions;
use target::{Address, Kind, Port, Target};
use tls::{TlsFiles, TlsOptions};

/// The shortest and longest interval.
pub(super) const INTERVAL: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(86_400);
const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3_600);
const MOST_REDIRECTS: u64 = 100;
const MOST_RETRIES: u64 = 10;
const MAX_BODY: std::ops::RangeInclusive<u64> = 1..=16 << 20;

/// Options that stand in an entry and in `defaults`; absent where they don't.
#[derive(Clone, Default)]
pub(super) struct Options {
    request: RequestOptions,
    send: Option<SecretString>,
    send_first: Option<bool>,
    pattern: Option<Pattern>,
    expect: ExpectOptions,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    follow_redirects: Option<u32>,
    retries: Option<u32>,
    max_body: Option<u64>,
    pub(super) tls: TlsOptions,
    ip: Option<IpFamily>,
    tags: BTreeMap<String, String>,
}

impl Options {
    pub(super) fn read(section: &mut Section<'_>) -> Options {
        Options {
            request: RequestOptions::read(section),
            send: section.secret("send"),
            send_first: section.boolean("send_first"),
            pattern: section.parse("pattern", Pattern::compile),
            expect: section.section("expect", ExpectOptions::read),
            interval: section.duration("interval", INTERVAL),
            timeout: section.duration("timeout", TIMEOUT),
            follow_redirects: section.integer("follow_redirects", 0..=MOST_REDIRECTS),
            retries: section.integer("retries", 0..=MOST_RETRIES),
            max_body: section.size("max_body", MAX_BODY),
            tls: section.section("tls", TlsOptions::read),
            ip: section.convert("ip", family::parse),
            tags: section.texts("tags", wire::limits::ENTRIES, wire::limits::TEXT),
        }
    }

    /// The options that stand in this entry and have no effect on what its url leads to. In `defaults` they may stand
    /// for other entries.
    fn without_effect(&self, kind: &Kind) -> Vec<&'static str> {
        let mut given: Vec<&str> = self.request.given().chain(self.expect.given()).collect();
        let own = [
            (self.send.is_some(), "send"),
            (self.send_first.is_some(), "send_first"),
            (self.follow_redirects.is_some(), "follow_redirects"),
            (self.max_body.is_some(), "max_body"),
            (self.tls.is_given(), "tls"),
            (self.ip.is_some(), "ip"),
        ];
        given.extend(own.into_iter().filter_map(|(given, name)| given.then_some(name)));
        given.retain(|option| match kind {
            Kind::Http(_) => ["send", "send_first"].contains(option),
            Kind::Tcp(..) => !["send", "send_first", "max_body", "ip"].contains(option),
            Kind::Dns(_) => !["expect.pattern_absent", "ip"].contains(option),
        });
        given
    }
}

/// What stands in an entry alone.
pub(super) struct Own {
    id: Option<String>,
    name: Option<String>,
    address: Option<Address>,
    has_own_tls: bool,
    options: Options,
}

impl Own {
    pub(super) fn read(section: &mut Section<'_>, url_regex: Option<&Pattern>) -> Own {
        section.require("url", "give the address to check");
        Own {
            id: section.text_within("id", wire::limits::MONITOR),
            name: section.text_within("name", wire::limits::NAME),
            address: section.parse("url", |text| target::parse(text, url_regex)),
            has_own_tls: section.has("tls"),
            options: Options::read(section),
        }
    }
}

/// What all entries have in common.
pub(super) struct Common {
    pub(super) interval: Duration,
    pub(super) url_regex: Option<Pattern>,
    pub(super) defaults: Options,
    pub(super) tls_files: TlsFiles,
    /// What `defaults.tls` makes; none where it is wrong, which was told then.
    pub(super) default_tls: Option<Tls>,
}

/// A sound entry that has no id yet.
pub(super) struct Draft {
    /// Where it stands, for faults.
    pub(super) file: PathBuf,
    pub(super) entry: String,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) url: Url,
    pattern: Option<Pattern>,
    target: Target,
    expect: Expect,
    interval: Duration,
    timeout: Duration,
    follow_redirects: u32,
    retries: u32,
    max_body: u64,
    tls: Tls,
    ip: IpFamily,
    tags: BTreeMap<String, String>,
}

impl Draft {
    /// Reads the entry at `position` (from 1) of a file.
    pub(super) fn read(file: &Path, position: usize, value: Value, common: &Common) -> Result<Draft, Vec<Fault>> {
        let entry = label(position, &value);
        let (draft, faults) = Section::read(file, Some(&entry), value, |section| {
            let Own { id, name, address, has_own_tls, options: own } = Own::read(section, common.url_regex.as_ref());
            let address = address?;
            for option in own.without_effect(&address.kind) {
                section.fault(option, format!("has no effect on {}", address.kind.scheme()), "remove it");
            }
            let defaults = &common.defaults;
            let mut tags = defaults.tags.clone();
            tags.extend(own.tags);
            if tags.len() > wire::limits::ENTRIES {
                let most = wire::limits::ENTRIES;
                section.fault("tags", "are too many with those of defaults", format!("keep at most {most}"));
            }
            let tls = match has_own_tls {
                true => common.tls_files.load(&own.tls.over(&defaults.tls), section, "tls"),
                false => common.default_tls.clone(),
            };
            let ip = own.ip.or(defaults.ip).unwrap_or_default();
            family::check(ip, address.host(), section);
            let timeout = own.timeout.or(defaults.timeout).unwrap_or(Duration::from_secs(5));
            if own.expect.max_response_time.is_some_and(|most| most >= timeout) {
                section.fault("expect.max_response_time", "is not below the timeout", "lower it, or raise the timeout");
            }
            let follow_redirects = own.follow_redirects.or(defaults.follow_redirects).unwrap_or(10);
            let has_own_pattern = own.pattern.is_some() || own.expect.pattern_absent.is_some();
            let mut pattern = own.pattern.or_else(|| defaults.pattern.clone());
            let mut expect = own.expect.over(&defaults.expect);
            if !matches!(address.kind, Kind::Http(_)) {
                // What a port or a name server says are lines.
                for pattern in [&mut pattern, &mut expect.pattern_absent].into_iter().flatten() {
                    match pattern.of_lines() {
                        Ok(of_lines) => *pattern = of_lines,
                        Err(wrong) => section.fault("pattern", wrong.problem, wrong.mend),
                    }
                }
            }
            let target = match address.kind {
                Kind::Http(credentials) => {
                    if follow_redirects > 0 && !expect.status.is_empty() && expect.status.iter().all(are_followed) {
                        let problem = "allows redirects alone, which are followed, so that no answer can meet it";
                        section.fault(
                            "expect.status",
                            problem,
                            "write `follow_redirects: 0`, or what comes after them",
                        );
                    }
                    let request = own.request.over(&defaults.request, credentials, section);
                    if request.method == http::Method::HEAD {
                        if has_own_pattern {
                            let problem = "can't be found in an answer to HEAD, which has no body";
                            section.fault("pattern", problem, "write `method: GET`, or remove the pattern");
                        }
                        (pattern, expect.pattern_absent) = (None, None);
                    }
                    Target::Http(request)
                }
                Kind::Tcp(host, port) => {
                    let send = own.send.or_else(|| defaults.send.clone());
                    Target::Tcp(Port {
                        host,
                        port,
                        send,
                        send_first: own.send_first.or(defaults.send_first).unwrap_or(false),
                    })
                }
                Kind::Dns(question) => Target::Dns(question),
            };
            Some(Draft {
                file: file.into(),
                entry: entry.clone(),
                id,
                name,
                url: address.url,
                pattern,
                target,
                expect,
                interval: own.interval.or(defaults.interval).unwrap_or(common.interval),
                timeout,
                follow_redirects,
                retries: own.retries.or(defaults.retries).unwrap_or(0),
                max_body: own.max_body.or(defaults.max_body).unwrap_or(1 << 20),
                tls: tls?,
                ip,
                tags,
            })
        });
        match draft {
            Some(draft) if faults.is_empty() => Ok(draft),
            _ => Err(faults),
        }
    }

    /// The pattern that its body must hold, as it was written.
    pub(super) fn pattern(&self) -> Option<&str> {
        self.pattern.as_ref().map(Pattern::as_str)
    }

    /// The monitor, once its id is known.
    /// For people: `name`, else `url`.
    pub(super) fn shown_name(&self) -> String {
        // A url is ASCII, and may be longer than a name.
        let url = || self.url.as_str().chars().take(wire::limits::NAME).collect();
        self.name.clone().unwrap_or_else(url)
    }

    pub(super) fn into_monitor(self, id: String) -> super::Monitor {
        super::Monitor {
            id,
            name: self.shown_name(),
            url: self.url,
            target: self.target,
            pattern: self.pattern,
            expect: self.expect,
            interval: self.interval,
            timeout: self.timeout,
            follow_redirects: self.follow_redirects,
            retries: self.retries,
            max_body: self.max_body,
            tls: self.tls,
            ip: self.ip,
            tags: self.tags,
        }
    }
}

/// Whether an answer with any of these codes leads on to another one.
fn are_followed((first, last): &(u16, u16)) -> bool {
    (*first..=*last).all(status::is_redirect)
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
