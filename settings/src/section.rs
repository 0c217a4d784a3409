//! Reading options out of a YAML mapping so that all faults are found at once.
//!
//! A daemon asks a [`Section`] for each option that it knows. What is absent is `None`; what is wrong is `None` too
//! and leaves a [`Fault`]. What was never asked for is an unknown option, and a fault as well. So a configuration is
//! always read to its end, and counts only when there were no faults.
//!
//! ```
//! # use std::{path::Path, time::Duration};
//! let value = serde_yaml::from_str("interval: 30\nagent: {nmae: edge-1}").unwrap();
//! let ((interval, name), faults) = settings::Section::read(Path::new("agent.yaml"), None, value, |root| {
//!     let interval = root.duration("interval", Duration::from_secs(1)..=Duration::from_secs(3600));
//!     let name = root.section("agent", |agent| agent.text("name"));
//!     (interval, name)
//! });
//! assert_eq!(interval, Some(Duration::from_secs(30)));
//! assert_eq!(name, None);
//! assert_eq!(
//!     faults[0].to_string(),
//!     "agent.yaml: agent.nmae: is no option; did you mean `name`?"
//! );
//! ```
//!
//! An option without a value (`name:`) counts as absent. Paths are taken relative to the file's directory.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::{Mapping, Value};

use crate::quantity::{show_duration, show_size, shown};
use crate::{Fault, quantity, variables};

/// What is wrong with a value, and what to do about it; the section adds where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub mend: String,
}

impl Wrong {
    /// A problem and its mend.
    pub fn new(problem: impl Into<String>, mend: impl Into<String>) -> Wrong {
        Wrong { problem: problem.into(), mend: mend.into() }
    }
}

/// A mapping of options that is being read.
pub struct Section<'a> {
    file: &'a Path,
    entry: Option<&'a str>,
    prefix: String,
    unread: Mapping,
    known: Vec<String>,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Section<'a> {
    /// Reads the options of `value`: a whole file, or one entry of a list. Returns what `read` makes of them and
    /// all faults. Where `value` is no mapping that is the only fault, and `read` sees an empty one.
    pub fn read<T>(
        file: &Path,
        entry: Option<&str>,
        value: Value,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> (T, Vec<Fault>) {
        let mut faults = Vec::new();
        let read = Section::within(file, entry, String::new(), value, &mut faults, read);
        (read, faults)
    }

    fn within<T>(
        file: &Path,
        entry: Option<&str>,
        prefix: String,
        value: Value,
        faults: &mut Vec<Fault>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let (unread, other) = match value {
            Value::Mapping(options) => (options, None),
            Value::Null => (Mapping::new(), None),
            other => (Mapping::new(), Some(other)),
        };
        let before = faults.len();
        let mut section = Section { file, entry, prefix, unread, known: Vec::new(), faults };
        let read = read(&mut section);
        match other {
            None => section.refuse_unread(),
            Some(other) => {
                section.faults.truncate(before);
                let option = section.prefix.strip_suffix('.').map(String::from);
                let problem = format!("{} stands where options are expected", shown(&other));
                section.add(option, problem, "write `option: value` lines");
            }
        }
        read
    }

    fn refuse_unread(&mut self) {
        for (key, _) in std::mem::take(&mut self.unread) {
            let Some(key) = key.as_str() else {
                self.add(self.option(&shown(&key)), "is no option", "names of options are texts");
                continue;
            };
            let near = |known: &&String| strsim::damerau_levenshtein(key, known) <= 1 + key.chars().count() / 4;
            let nearest = self.known.iter().filter(near).min_by_key(|known| strsim::damerau_levenshtein(key, known));
            let mend = match nearest {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("remove it; known here: {}", self.known.join(", ")),
            };
            self.add(self.option(key), "is no option", mend);
        }
    }

    fn option(&self, key: &str) -> Option<String> {
        Some(format!("{}{key}", self.prefix))
    }

    fn add(&mut self, option: Option<String>, problem: impl Into<String>, mend: impl Into<String>) {
        let (problem, mend) = (problem.into(), mend.into());
        let entry = self.entry.map(String::from);
        self.faults.push(Fault { file: self.file.into(), entry, option, problem, mend });
    }

    /// Adds a fault of option `key`.
    pub fn fault(&mut self, key: &str, problem: impl Into<String>, mend: impl Into<String>) {
        self.add(self.option(key), problem, mend);
    }

    /// The file that is being read.
    pub fn file(&self) -> &Path {
        self.file
    }

    /// How many faults there are so far.
    pub fn fault_count(&self) -> usize {
        self.faults.len()
    }

    /// The value of `key` as it stands in the file, but for variables: those of a text are expanded.
    pub fn value(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.into());
        match self.unread.shift_remove(key)? {
            Value::Null => None,
            Value::String(text) => self.expand(key, &text).map(Value::String),
            other => Some(other),
        }
    }

    fn expand(&mut self, key: &str, text: &str) -> Option<String> {
        let expanded = variables::expand(text, |name| std::env::var(name).ok());
        expanded.map_err(|wrong| self.fault(key, wrong.problem, wrong.mend)).ok()
    }

    /// The names of the options that weren't read yet; for sections whose names are free.
    pub fn names(&self) -> Vec<String> {
        self.unread.keys().filter_map(|key| key.as_str().map(String::from)).collect()
    }

    /// Whether `key` has a value that wasn't read yet.
    pub fn has(&self, key: &str) -> bool {
        self.unread.get(key).is_some_and(|value| !value.is_null())
    }

    /// Adds a fault when `key` is absent; for an option that must be given. Ask before you read it.
    pub fn require(&mut self, key: &str, mend: &str) {
        if !self.has(key) {
            self.fault(key, "is missing", mend);
        }
    }

    /// The value of `key`, made by `convert` out of what stands in the file.
    pub fn convert<T>(&mut self, key: &str, convert: impl FnOnce(&Value) -> Result<T, Wrong>) -> Option<T> {
        let value = self.value(key)?;
        convert(&value).map_err(|wrong| self.fault(key, wrong.problem, wrong.mend)).ok()
    }

    /// A text of at least one character.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.convert(key, |value| text(value).map(String::from))
    }

    /// A text of at most `most` bytes.
    pub fn text_within(&mut self, key: &str, most: usize) -> Option<String> {
        self.convert(key, |value| text_within(text(value)?, most).map(String::from))
    }

    /// A text that `parse` makes something of.
    pub fn parse<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        self.convert(key, |value| parse(text(value)?))
    }

    /// One of some words.
    pub fn choice<T: Clone>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        self.convert(key, |value| {
            let chosen = value.as_str().and_then(|word| choices.iter().find(|(known, _)| known.eq(&word)));
            let known = || choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            chosen.map(|(_, choice)| choice.clone()).ok_or_else(|| {
                Wrong::new(format!("{} is not known", shown(value)), format!("write one of: {}", known()))
            })
        })
    }

    /// A whole number.
    pub fn integer<T: TryFrom<u64>>(&mut self, key: &str, within: RangeInclusive<u64>) -> Option<T> {
        self.convert(key, |value| {
            let number = match value {
                Value::String(text) => text.parse().ok(),
                other => other.as_u64(),
            };
            number.filter(|number| within.contains(number)).and_then(|number| T::try_from(number).ok()).ok_or_else(
                || {
                    let mend = format!("write a whole number from {} to {}", within.start(), within.end());
                    Wrong::new(format!("{} is out of bounds", shown(value)), mend)
                },
            )
        })
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        self.convert(key, |value| match value {
            Value::Bool(value) => Ok(*value),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            other => Err(Wrong::new(format!("{} is neither true nor false", shown(other)), "write true or false")),
        })
    }

    /// A duration: `30` (seconds), `30s`, `1m30s`.
    pub fn duration(&mut self, key: &str, within: RangeInclusive<Duration>) -> Option<Duration> {
        self.convert(key, |value| {
            let duration = quantity::duration(value)
                .map_err(|problem| Wrong::new(problem, "write 30 (seconds), 30s, 1m30s or 500ms"))?;
            if within.contains(&duration) {
                return Ok(duration);
            }
            let (least, most) = (show_duration(*within.start()), show_duration(*within.end()));
            Err(Wrong::new(format!("{} is out of bounds", shown(value)), format!("choose from {least} to {most}")))
        })
    }

    /// A size: `1MiB`, `1GiB`, or a number of bytes.
    pub fn size(&mut self, key: &str, within: RangeInclusive<u64>) -> Option<u64> {
        self.convert(key, |value| {
            let size = quantity::size(value)
                .map_err(|problem| Wrong::new(problem, "write 1MiB, 1GiB or a number of bytes"))?;
            if within.contains(&size) {
                return Ok(size);
            }
            let (least, most) = (show_size(*within.start()), show_size(*within.end()));
            Err(Wrong::new(format!("{} is out of bounds", shown(value)), format!("choose from {least} to {most}")))
        })
    }

    /// A path; a relative one starts at the file's directory.
    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        let path = self.text(key)?;
        Some(self.file.parent().unwrap_or(Path::new("")).join(path))
    }

    /// A mapping from texts to texts, both at most `most` bytes, at most `entries` of them; empty when absent.
    pub fn texts(&mut self, key: &str, entries: usize, most: usize) -> BTreeMap<String, String> {
        let texts = self.section(key, |section| {
            let keys = section.names();
            let read = |key: String| {
                let value = section.text_within(&key, most)?;
                Some((key, value))
            };
            keys.into_iter().filter_map(read).collect::<BTreeMap<_, _>>()
        });
        if texts.len() > entries {
            self.fault(key, format!("holds {} entries", texts.len()), format!("keep at most {entries}"));
        }
        texts
    }

    /// A list; the entries stand as they are.
    pub fn list(&mut self, key: &str) -> Option<Vec<Value>> {
        self.convert(key, |value| match value {
            Value::Sequence(entries) => Ok(entries.clone()),
            other => {
                Err(Wrong::new(format!("{} stands where a list is expected", shown(other)), "write a list: `- …`"))
            }
        })
    }

    /// The options of the section `key`; all absent when it is.
    pub fn section<T>(&mut self, key: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let value = self.value(key).unwrap_or_default();
        let prefix = format!("{}{key}.", self.prefix);
        Section::within(self.file, self.entry, prefix, value, self.faults, read)
    }
}

fn text(value: &Value) -> Result<&str, Wrong> {
    match value {
        Value::String(text) if text.is_empty() => {
            Err(Wrong::new("is empty", "give it a text, or leave the option out"))
        }
        Value::String(text) if text.contains('\0') => Err(Wrong::new("holds a NUL character", "remove it")),
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => {
            Err(Wrong::new(format!("{} is no text", shown(value)), "put it in quotes"))
        }
        other => Err(Wrong::new(format!("{} stands where a text is expected", shown(other)), "write one text")),
    }
}

/// Refuses a text of more than `most` bytes.
pub(crate) fn text_within(text: &str, most: usize) -> Result<&str, Wrong> {
    if text.len() > most {
        return Err(Wrong::new(format!("has {} bytes", text.len()), format!("keep it within {most}")));
    }
    Ok(text)
}
