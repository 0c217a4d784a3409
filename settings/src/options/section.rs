//! Reads options out of a YAML mapping in such a way that all faults are found at once.
//!
//! A daemon asks a [`Section`] for each option that it knows. An absent option gives `None`. A wrong option also gives
//! `None`, and leaves a [`Fault`]. An option that was never asked for is unknown, which is a fault as well. So a
//! configuration is always read to its end, and it is valid only when there were no faults.
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

mod values;

use std::path::Path;

use serde_yaml::{Mapping, Value};

use super::fault::{Fault, Wrong};
use super::nearest::nearest;
use super::quantity::{kind, shown};
use super::schema::{Schema, kinds};
use super::variables;

/// A mapping of options that is being read.
pub struct Section<'a> {
    file: &'a Path,
    entry: Option<&'a str>,
    prefix: String,
    unread: Mapping,
    known: Vec<String>,
    faults: &'a mut Vec<Fault>,
    schema: Option<&'a mut Schema>,
}

impl<'a> Section<'a> {
    /// Reads the options of `value`: a whole file, or one entry of a list. Returns what `read` makes of them, and all
    /// faults. When `value` is not a mapping, that is the only fault, and `read` gets an empty mapping.
    pub fn read<T>(
        file: &Path,
        entry: Option<&str>,
        value: Value,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> (T, Vec<Fault>) {
        let mut faults = Vec::new();
        let read = Section::within(file, entry, String::new(), value, &mut faults, None, read);
        (read, faults)
    }

    /// Reads the options of `value` and has the schema learn each option that is asked for.
    pub(crate) fn read_for<T>(
        schema: &mut Schema,
        file: &Path,
        value: Value,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        Section::within(file, None, String::new(), value, &mut Vec::new(), Some(schema), read)
    }

    fn within<T>(
        file: &Path,
        entry: Option<&str>,
        prefix: String,
        value: Value,
        faults: &mut Vec<Fault>,
        schema: Option<&mut Schema>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let (unread, other) = match value {
            Value::Mapping(options) => (options, None),
            Value::Null => (Mapping::new(), None),
            other => (Mapping::new(), Some(other)),
        };
        let before = faults.len();
        let mut section = Section { file, entry, prefix, unread, known: Vec::new(), faults, schema };
        let read = read(&mut section);
        match other {
            None => section.refuse_unread(),
            Some(other) => {
                section.faults.truncate(before);
                let option = section.prefix.strip_suffix('.').map(String::from);
                let problem = format!("{} stands where options are expected", kind(&other));
                section.add(option, problem, "write `option: value` lines");
            }
        }
        read
    }

    fn refuse_unread(&mut self) {
        self.known.sort();
        for (key, _) in std::mem::take(&mut self.unread) {
            let Some(key) = key.as_str() else {
                self.add(self.option(&shown(&key)), "is no option", "names of options are texts");
                continue;
            };
            let mend = match nearest(key, self.known.iter().map(String::as_str)) {
                Some(known) => format!("did you mean `{known}`?"),
                None if self.known.is_empty() => "remove it: nothing is known here".into(),
                None => format!("remove it; known here: {}", self.known.join(", ")),
            };
            self.add(self.option(key), "is no option", mend);
        }
    }

    fn option(&self, key: &str) -> Option<String> {
        let short: String = key.chars().take(60).collect();
        Some(format!("{}{short}", self.prefix))
    }

    fn add(&mut self, option: Option<String>, problem: impl Into<String>, mend: impl Into<String>) {
        let (problem, mend) = (problem.into(), mend.into());
        let entry = self.entry.map(String::from);
        self.faults.push(Fault { file: self.file.into(), line: None, entry, option, problem, mend });
    }

    /// Adds a fault of option `key`.
    pub fn fault(&mut self, key: &str, problem: impl Into<String>, mend: impl Into<String>) {
        self.add(self.option(key), problem, mend);
    }

    /// Returns the file that is being read.
    pub fn file(&self) -> &Path {
        self.file
    }

    /// Has the schema learn of which kind `key` is, where one is made.
    fn note(&mut self, key: &str, kind: impl FnOnce() -> serde_json::Value) {
        if let Some(schema) = &mut self.schema {
            schema.note(key, kind());
        }
    }

    /// Returns the value of `key` as it is in the file, except that the variables of a text are expanded.
    pub fn value(&mut self, key: &str) -> Option<Value> {
        self.note(key, kinds::any);
        self.take(key)
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.into());
        match self.unread.shift_remove(key)? {
            Value::Null => None,
            Value::String(text) => self.expand(key, &text).map(Value::String),
            other => Some(other),
        }
    }

    fn expand(&mut self, key: &str, text: &str) -> Option<String> {
        let expanded = variables::expand(text, variables::of_environment);
        expanded.map_err(|wrong| self.fault(key, wrong.problem, wrong.mend)).ok()
    }

    /// Returns the names of the options that were not read yet. It is for sections whose names are free.
    pub fn names(&mut self) -> Vec<String> {
        if let Some(schema) = &mut self.schema {
            schema.has_free_names();
        }
        self.unread.keys().filter_map(|key| key.as_str().map(String::from)).collect()
    }

    /// Returns whether `key` has a value that was not read yet.
    pub fn has(&self, key: &str) -> bool {
        self.unread.get(key).is_some_and(|value| !value.is_null())
    }

    /// Returns whether `key` is there without a value. If so, it counts as read from now on.
    pub fn is_null(&mut self, key: &str) -> bool {
        let is_null = self.unread.get(key).is_some_and(Value::is_null);
        if is_null {
            self.unread.remove(key);
        }
        is_null
    }

    /// Adds a fault when `key` is absent. It is for an option that must be given, and must be called before the option
    /// is read.
    pub fn require(&mut self, key: &str, mend: &str) {
        if !self.has(key) {
            self.fault(key, "is missing", mend);
        }
    }

    /// Returns the value of `key`, converted by `convert`.
    pub fn convert<T>(&mut self, key: &str, convert: impl FnOnce(&Value) -> Result<T, Wrong>) -> Option<T> {
        self.convert_kind(key, kinds::any, convert)
    }

    /// As [`Section::convert`], of a kind that a schema tells.
    pub(crate) fn convert_kind<T>(
        &mut self,
        key: &str,
        kind: impl FnOnce() -> serde_json::Value,
        convert: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.note(key, kind);
        let value = self.take(key)?;
        convert(&value).map_err(|wrong| self.fault(key, wrong.problem, wrong.mend)).ok()
    }

    /// Reads the options of the section `key`. When the section is absent, all its options are absent.
    pub fn section<T>(&mut self, key: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let value = self.take(key).unwrap_or_default();
        let prefix = format!("{}{key}.", self.prefix);
        let schema = self.schema.as_deref_mut().map(|schema| schema.section(key));
        Section::within(self.file, self.entry, prefix, value, self.faults, schema, read)
    }

    /// Reads a list of sections, each with `read`. A fault names its place, such as `rules[2].name`.
    pub fn sections<T>(&mut self, key: &str, mut read: impl FnMut(&mut Section<'_>) -> T) -> Vec<T> {
        let mut sections = Vec::new();
        for (index, value) in self.list(key).unwrap_or_default().into_iter().enumerate() {
            let prefix = format!("{}{key}[{}].", self.prefix, index + 1);
            let schema = self.schema.as_deref_mut().map(|schema| schema.items(key));
            sections.push(Section::within(self.file, self.entry, prefix, value, self.faults, schema, &mut read));
        }
        sections
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn faults(text: &str, read: impl FnOnce(&mut Section<'_>)) -> Vec<String> {
        let value = serde_yaml::from_str(text).unwrap();
        let ((), faults) = Section::read(Path::new("a.yaml"), Some("monitor 1"), value, read);
        faults.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn all_faults_are_found_at_once() {
        let told =
            faults("{name: 5, size: big, on: maybe, when: later, tags: [a], nested: {deep: {x: 1}}}", |section| {
                section.text("name");
                section.size("size", 0..=9);
                section.boolean("on");
                section.duration("when", Duration::ZERO..=Duration::from_secs(9));
                section.texts("tags", 1, 9);
                section.section("nested", |nested| nested.section("deep", |_| ()));
            });
        assert_eq!(
            told,
            [
                "a.yaml: monitor 1: name: 5 is no text; put it in quotes",
                "a.yaml: monitor 1: size: \"big\" is no size; write 1MiB, 1GiB or a number of bytes",
                "a.yaml: monitor 1: on: \"maybe\" is neither true nor false; write true or false",
                "a.yaml: monitor 1: when: \"later\" is no duration; write 30 (seconds), 30s, 1m30s or 500ms",
                "a.yaml: monitor 1: tags: a list stands where options are expected; write `option: value` lines",
                "a.yaml: monitor 1: nested.deep.x: is no option; remove it: nothing is known here",
            ]
        );
    }

    #[test]
    fn a_fault_of_a_section_in_a_list_names_its_place() {
        let told = faults("rules: [{name: a}, {nmae: b}, c]", |section| {
            let names = section.sections("rules", |rule| rule.text("name"));
            assert_eq!(names, [Some("a".into()), None, None]);
        });
        assert_eq!(
            told,
            [
                "a.yaml: monitor 1: rules[2].nmae: is no option; did you mean `name`?",
                "a.yaml: monitor 1: rules[3]: a text stands where options are expected; write `option: value` lines",
            ]
        );
    }

    #[test]
    fn an_option_without_a_value_counts_as_absent() {
        let told = faults("{name: , tags: ~}", |section| {
            assert_eq!(section.text("name"), None);
            assert!(section.texts("tags", 1, 9).is_empty());
            section.require("url", "give it");
        });
        assert_eq!(told, ["a.yaml: monitor 1: url: is missing; give it"]);
    }

    #[test]
    fn variables_give_numbers_and_truths_too() {
        let told =
            faults("{n: '${WM_UNSET:-4}', on: '${WM_UNSET:-true}', l: ['${WM_UNSET:-a}', '${WM_UNSET}']}", |section| {
                assert_eq!(section.integer::<i32>("n", 1..=9), Some(4));
                assert_eq!(section.boolean("on"), Some(true));
                assert_eq!(section.text_items("l"), None);
            });
        assert_eq!(
            told,
            ["a.yaml: monitor 1: l[2]: the variable WM_UNSET is not set; set it, or write ${WM_UNSET:-default}"]
        );
    }

    #[test]
    fn a_number_too_large_for_its_type_is_a_fault() {
        let told = faults("n: 300", |section| assert_eq!(section.integer::<u8>("n", 0..=1000), None));
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn maps_are_bounded() {
        let told =
            faults("tags: {a: b, c: d, eeeeeeeeee: f, \"g\\0\": h}", |section| drop(section.texts("tags", 1, 9)));
        assert_eq!(
            told,
            [
                "a.yaml: monitor 1: tags.eeeeeeeeee: has 10 bytes; keep it within 9",
                r"a.yaml: monitor 1: tags.g\u{0}: holds a NUL character; remove it",
                "a.yaml: monitor 1: tags: holds 2 entries; keep at most 1",
            ]
        );
    }
}
