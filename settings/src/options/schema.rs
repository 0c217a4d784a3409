//! A JSON Schema of a configuration, made of the options that its own reading asks for.
//!
//! A [`Section`] that reads a configuration knows the name, the kind and the bounds of each option at the moment at which it is
//! asked for it. While a schema is [learnt](Schema::learn), the section writes them down. So there is no second list of options
//! that could differ from the first. Where the options depend on a value, several samples show them all.
//!
//! An option may always be empty (it then counts as absent), and each single value may be a text with a variable (`${NAME}`).
//! The schema follows draft 7, which editors know.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Section;

/// The options of a section, as far as they are learnt.
#[derive(Debug, Default)]
pub struct Schema {
    options: BTreeMap<String, Kinds>,
    has_free_names: bool,
}

/// What an option may be.
#[derive(Debug, Default)]
struct Kinds {
    values: Vec<Value>,
    section: Option<Schema>,
    items: Option<Schema>,
}

impl Schema {
    /// Learns the options that `read` asks for in a sample, which is YAML. Its faults do not matter.
    pub fn learn<T>(&mut self, sample: &str, read: impl FnOnce(&mut Section<'_>) -> T) {
        let value = serde_yaml::from_str(sample).unwrap_or_default();
        Section::read_for(self, Path::new(""), value, read);
    }

    /// The schema of the sections in the list `key`.
    pub fn items(&mut self, key: &str) -> &mut Schema {
        self.kinds(key).items.get_or_insert_default()
    }

    /// The schema of the section `key`.
    pub(crate) fn section(&mut self, key: &str) -> &mut Schema {
        self.kinds(key).section.get_or_insert_default()
    }

    /// Writes down that `key` may have values of a kind.
    pub(crate) fn note(&mut self, key: &str, kind: Value) {
        let values = &mut self.kinds(key).values;
        if !values.contains(&kind) {
            values.push(kind);
        }
    }

    /// Writes down that the names of the options are free.
    pub(crate) fn has_free_names(&mut self) {
        self.has_free_names = true;
    }

    fn kinds(&mut self, key: &str) -> &mut Kinds {
        self.options.entry(key.to_owned()).or_default()
    }

    /// The whole JSON Schema, with a title.
    pub fn to_json(&self, title: &str) -> Value {
        let mut schema = self.to_object();
        schema.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
        schema.insert("title".into(), title.into());
        schema.into()
    }

    fn to_object(&self) -> Map<String, Value> {
        let properties: Map<String, Value> =
            self.options.iter().map(|(name, kinds)| (name.clone(), kinds.to_json())).collect();
        let mut object = Map::new();
        object.insert("type".into(), json!(["object", "null"]));
        object.insert("properties".into(), properties.into());
        object.insert("additionalProperties".into(), self.has_free_names.into());
        object
    }
}

impl Kinds {
    fn to_json(&self) -> Value {
        let section = self.section.iter().map(|section| section.to_object().into());
        let items = self.items.iter().map(|items| json!({"type": ["array", "null"], "items": items.to_object()}));
        let mut kinds: Vec<Value> = section.chain(items).collect();
        if kinds.is_empty() {
            kinds = self.values.clone();
        }
        match kinds.len() {
            0 => json!({}),
            1 => kinds.swap_remove(0),
            _ => json!({"anyOf": kinds}),
        }
    }
}

/// The kinds of single values and of lists of them.
pub(crate) mod kinds {
    use serde_json::{Value, json};

    const VARIABLE: &str = r"\$\{";

    pub(crate) fn text(most: Option<usize>) -> Value {
        let mut kind = json!({"type": ["string", "null"]});
        if let Some(most) = most {
            kind["maxLength"] = most.into();
        }
        kind
    }

    pub(crate) fn choice<'a>(words: impl Iterator<Item = &'a str>) -> Value {
        let words: Vec<Value> = words.map(Value::from).chain([Value::Null]).collect();
        json!({"anyOf": [{"enum": words}, {"type": "string", "pattern": VARIABLE}]})
    }

    pub(crate) fn integer(least: u64, most: u64) -> Value {
        json!({"type": ["integer", "string", "null"], "minimum": least, "maximum": most})
    }

    pub(crate) fn boolean() -> Value {
        json!({"anyOf": [{"type": ["boolean", "null"]}, {"type": "string", "pattern": "^(true|false)$|\\$\\{"}]})
    }

    /// A number or a text, whose bounds are told in words.
    pub(crate) fn quantity(what: &str, least: &str, most: &str) -> Value {
        json!({"type": ["number", "string", "null"], "description": format!("{what} from {least} to {most}")})
    }

    pub(crate) fn list() -> Value {
        json!({"type": ["array", "null"]})
    }

    /// A list, or one item without it.
    pub(crate) fn items() -> Value {
        json!({"type": ["array", "string", "number", "null"]})
    }

    /// A value of a kind that only its own reader knows.
    pub(crate) fn any() -> Value {
        json!({})
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(root: &mut Section<'_>) {
        root.text_within("name", 9);
        root.integer::<u64>("workers", 1..=8);
        root.duration("wait", Duration::ZERO..=Duration::from_secs(60));
        root.section("log", |log| log.choice("level", &[("info", 1), ("warn", 2)]));
        root.texts("tags", 2, 9);
        root.sections("rules", |rule| match rule.text("what").as_deref() {
            Some("a") => drop(rule.boolean("only_a")),
            _ => drop(rule.text("only_b")),
        });
    }

    fn learnt() -> Value {
        let mut schema = Schema::default();
        schema.learn("{}", read);
        schema.learn("{rules: [{what: a}, {what: b}]}", read);
        schema.to_json("test")
    }

    #[test]
    fn a_schema_has_the_options_that_are_asked_for_with_their_bounds() {
        let schema = learnt();
        let properties = &schema["properties"];
        assert_eq!(properties["name"], json!({"type": ["string", "null"], "maxLength": 9}));
        assert_eq!(properties["workers"]["maximum"], 8);
        assert_eq!(properties["wait"]["description"], "a duration from 0s to 1m");
        assert_eq!(properties["log"]["properties"]["level"]["anyOf"][0]["enum"], json!(["info", "warn", null]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(properties["tags"]["additionalProperties"], true);
    }

    #[test]
    fn options_that_depend_on_a_value_are_learnt_from_samples() {
        let rules = &learnt()["properties"]["rules"];
        let names: Vec<&String> = rules["items"]["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["only_a", "only_b", "what"]);
    }
}
