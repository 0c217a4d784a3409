//! JSON whose texts have places for what is told. Only texts are filled in, after the JSON was read and before it is
//! written. So the JSON is well-formed whatever is told.

use std::fmt;

use serde_json::Value;
use settings::Wrong;

/// JSON with places: `{{name}}` in its texts.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    json: Value,
    /// The largest number of characters of each text after it is filled in.
    most_characters: Option<usize>,
}

impl Template {
    /// The names of all places.
    pub const PLACES: [&'static str; 12] = [
        "id", "receiver", "status", "summary", "text", "firing", "resolved", "url", "rule", "subject", "reason",
        "since",
    ];

    /// Reads a template from YAML.
    ///
    /// # Errors
    /// Returns what is wrong with the template.
    pub fn new(value: &serde_yaml::Value) -> Result<Template, Wrong> {
        let json = serde_json::to_value(value)
            .map_err(|_| Wrong::new("is nothing that JSON can hold", "let the names of a mapping be texts"))?;
        if !matches!(json, Value::Object(_) | Value::Array(_)) {
            return Err(Wrong::new("is no mapping", "write the JSON that the receiver wants as a mapping"));
        }
        fill(&json, &|name| match Template::PLACES.contains(&name) {
            true => Ok(String::new()),
            false => {
                let name: String = name.chars().take(60).collect();
                let mend = format!("write one of: {}", Template::PLACES.join(", "));
                Err(Wrong::new(format!("{{{{{name}}}}} is not known"), mend))
            }
        })?;
        Ok(Template { json, most_characters: None })
    }

    /// Returns the same template with a bound on the characters of each text, for a receiver that refuses longer texts.
    pub fn within(self, most_characters: Option<usize>) -> Template {
        Template { most_characters, ..self }
    }

    /// Returns the JSON with its places filled in. `of` returns the text for the name of a place.
    pub fn filled(&self, of: impl Fn(&str) -> String) -> Value {
        let Ok(mut filled) = fill::<std::convert::Infallible>(&self.json, &|name| Ok(of(name)));
        if let Some(most) = self.most_characters {
            shorten(&mut filled, most);
        }
        filled
    }
}

/// Shows nothing of the template, because it may hold a key of the receiver.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(…)")
    }
}

fn fill<E>(value: &Value, of: &impl Fn(&str) -> Result<String, E>) -> Result<Value, E> {
    Ok(match value {
        Value::String(text) => Value::String(fill_text(text, of)?),
        Value::Array(items) => Value::Array(items.iter().map(|item| fill(item, of)).collect::<Result<_, _>>()?),
        Value::Object(members) => {
            let filled = members.iter().map(|(name, value)| Ok((name.clone(), fill(value, of)?)));
            Value::Object(filled.collect::<Result<_, _>>()?)
        }
        other => other.clone(),
    })
}

/// Cuts each text that is too long. An ellipsis shows where it was cut.
fn shorten(value: &mut Value, most: usize) {
    match value {
        Value::String(text) if text.chars().nth(most).is_some() => {
            let end = text.char_indices().nth(most - 1).map_or(0, |(end, _)| end);
            text.truncate(end);
            text.push('…');
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, most)),
        Value::Object(members) => members.values_mut().for_each(|member| shorten(member, most)),
        _ => {}
    }
}

/// Fills in the places of a text. The filled-in text is not searched for places again, because it may hold braces
/// itself.
fn fill_text<E>(text: &str, of: &impl Fn(&str) -> Result<String, E>) -> Result<String, E> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, after)) = rest
        .split_once("{{")
        .and_then(|(before, rest)| rest.split_once("}}").map(|(name, after)| (before, name, after)))
    {
        filled.push_str(before);
        filled.push_str(&of(name.trim())?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
