//! Reads the kinds of values that a [`Section`] can have: texts, numbers, durations, sizes, paths, lists and maps.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::Value;

use super::Section;
use crate::options::fault::Wrong;
use crate::options::quantity;
use crate::options::quantity::{kind, show_duration, show_size, shown};
use crate::options::schema::kinds;

impl Section<'_> {
    /// Reads a text of at least one character.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.convert_kind(key, || kinds::text(None), |value| text(value).map(String::from))
    }

    /// Reads a text of at most `most` bytes.
    pub fn text_within(&mut self, key: &str, most: usize) -> Option<String> {
        self.convert_kind(key, || kinds::text(Some(most)), |value| text_within(text(value)?, most).map(String::from))
    }

    /// Reads a text, and converts it with `parse`.
    pub fn parse<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        self.convert_kind(key, || kinds::text(None), |value| parse(text(value)?))
    }

    /// Reads one of some words, and returns its choice.
    pub fn choice<T: Clone>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        self.convert_kind(
            key,
            || kinds::choice(choices.iter().map(|(word, _)| *word)),
            |value| {
                let chosen = value.as_str().and_then(|word| choices.iter().find(|(known, _)| known.eq(&word)));
                let known = || choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
                chosen.map(|(_, choice)| choice.clone()).ok_or_else(|| {
                    Wrong::new(format!("{} is not known", shown(value)), format!("write one of: {}", known()))
                })
            },
        )
    }

    /// Reads a whole number.
    pub fn integer<T: TryFrom<u64>>(&mut self, key: &str, within: RangeInclusive<u64>) -> Option<T> {
        self.convert_kind(
            key,
            || kinds::integer(*within.start(), *within.end()),
            |value| {
                let number = match value {
                    Value::String(text) => text.parse().ok(),
                    other => other.as_u64(),
                };
                let fitting =
                    number.filter(|number| within.contains(number)).and_then(|number| T::try_from(number).ok());
                fitting.ok_or_else(|| {
                    let (least, most) = (within.start(), within.end());
                    Wrong::new(format!("{} is no whole number from {least} to {most}", shown(value)), "write one")
                })
            },
        )
    }

    /// Reads `true` or `false`.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        self.convert_kind(key, kinds::boolean, |value| match value {
            Value::Bool(value) => Ok(*value),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            other => Err(Wrong::new(format!("{} is neither true nor false", shown(other)), "write true or false")),
        })
    }

    /// Reads a duration such as `30` (seconds), `30s` or `1m30s`.
    pub fn duration(&mut self, key: &str, within: RangeInclusive<Duration>) -> Option<Duration> {
        let (least, most) = (show_duration(*within.start()), show_duration(*within.end()));
        self.convert_kind(
            key,
            || kinds::quantity("a duration", &least, &most),
            |value| {
                let duration = quantity::duration(value)
                    .map_err(|problem| Wrong::new(problem, "write 30 (seconds), 30s, 1m30s or 500ms"))?;
                if within.contains(&duration) {
                    return Ok(duration);
                }
                Err(Wrong::new(format!("{} is out of bounds", shown(value)), format!("choose from {least} to {most}")))
            },
        )
    }

    /// Reads a size such as `1MiB`, `1GiB`, or a number of bytes.
    pub fn size(&mut self, key: &str, within: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (show_size(*within.start()), show_size(*within.end()));
        self.convert_kind(
            key,
            || kinds::quantity("a size", &least, &most),
            |value| {
                let size = quantity::size(value)
                    .map_err(|problem| Wrong::new(problem, "write 1MiB, 1GiB or a number of bytes"))?;
                if within.contains(&size) {
                    return Ok(size);
                }
                Err(Wrong::new(format!("{} is out of bounds", shown(value)), format!("choose from {least} to {most}")))
            },
        )
    }

    /// Reads a path. A relative path starts at the directory of the configuration file.
    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        let path = self.text(key)?;
        Some(self.file.parent().unwrap_or(Path::new("")).join(path))
    }

    /// Reads the path of a file or directory, and adds a fault when it cannot be read.
    pub fn readable(&mut self, key: &str) -> Option<PathBuf> {
        let path = self.path(key)?;
        if let Err(error) = File::open(&path) {
            self.fault(
                key,
                format!("{} can't be read: {error}", path.display()),
                "name one that the daemon's user may read",
            );
        }
        Some(path)
    }

    /// Reads a mapping of at most `entries` entries from texts to texts of at most `most` bytes. It is empty when the
    /// option is absent.
    pub fn texts(&mut self, key: &str, entries: usize, most: usize) -> BTreeMap<String, String> {
        let texts = self.section(key, |section| {
            let keys = section.names();
            let read = |key: String| {
                let value = section.text_within(&key, most)?;
                if let Err(wrong) = text(&Value::from(key.as_str())).and_then(|key| text_within(key, most)) {
                    section.fault(&key, wrong.problem, wrong.mend);
                    return None;
                }
                Some((key, value))
            };
            keys.into_iter().filter_map(read).collect::<BTreeMap<_, _>>()
        });
        if texts.len() > entries {
            self.fault(key, format!("holds {} entries", texts.len()), format!("keep at most {entries}"));
        }
        texts
    }

    /// Reads a list, whose entries stay as they are.
    pub fn list(&mut self, key: &str) -> Option<Vec<Value>> {
        self.convert_kind(key, kinds::list, |value| match value {
            Value::Sequence(entries) => Ok(entries.clone()),
            other => Err(Wrong::new(format!("{} stands where a list is expected", kind(other)), "write a list: `- …`")),
        })
    }

    /// Reads a list whose items `convert` converts. Variables in the items are expanded. A single item may be written
    /// without a list.
    pub fn items<T>(&mut self, key: &str, convert: impl Fn(&Value) -> Result<T, Wrong>) -> Option<Vec<T>> {
        self.note(key, kinds::items);
        let items = match self.take(key)? {
            Value::Sequence(items) => items,
            item => {
                return convert(&item)
                    .map_err(|wrong| self.fault(key, wrong.problem, wrong.mend))
                    .ok()
                    .map(|t| vec![t]);
            }
        };
        let before = self.faults.len();
        let mut converted = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let place = format!("{key}[{}]", index + 1);
            let item = match item {
                Value::String(text) => self.expand(&place, &text).map(Value::String),
                other => Some(other),
            };
            match item.map(|item| convert(&item)) {
                Some(Ok(item)) => converted.push(item),
                Some(Err(wrong)) => self.fault(&place, wrong.problem, wrong.mend),
                None => {}
            }
        }
        (self.faults.len() == before).then_some(converted)
    }

    /// Reads a list of texts. A single text may be written without a list.
    pub fn text_items(&mut self, key: &str) -> Option<Vec<String>> {
        self.items(key, |item| text(item).map(String::from))
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
        other => Err(Wrong::new(format!("{} stands where a text is expected", kind(other)), "write one text")),
    }
}

/// Refuses a text of more than `most` bytes.
pub(crate) fn text_within(text: &str, most: usize) -> Result<&str, Wrong> {
    if text.len() > most {
        return Err(Wrong::new(format!("has {} bytes", text.len()), format!("keep it within {most}")));
    }
    Ok(text)
}
