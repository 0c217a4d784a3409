//! Finds the line of a value in a YAML file.
//!
//! The parser keeps no positions, but its errors have them. So this file parses the text once more along the path to
//! the value, and makes the parser fail there. Only files with faults are parsed twice.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The error with which the walk stops. No parser gives this text by itself.
const HERE: &str = "\u{1}here\u{1}";

/// Returns the line of a value, from 1. `way` is the path from the root: keys, and positions (from 0) in lists, with
/// dots between them. When the value is not there, it returns the line of the value that would contain it. For the root
/// it returns none.
pub fn line(text: &str, way: &str) -> Option<usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut way = way;
    loop {
        let error = Walk(way).deserialize(serde_yaml::Deserializer::from_str(text)).err();
        if let Some(error) = error.filter(|error| error.to_string().contains(HERE)) {
            return error.location().map(|location| location.line());
        }
        way = way.rsplit_once('.')?.0;
    }
}

/// The walk to the value at the end of the path.
struct Walk<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(rest) = map.next_key_seed(Key(self.0))? {
            match rest {
                Some(rest) => map.next_value_seed(Walk(rest))?,
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let (position, rest) = self.0.split_once('.').map_or((self.0, None), |(position, rest)| (position, Some(rest)));
        let Ok(position) = position.parse::<usize>() else { return Err(A::Error::custom("no position")) };
        for _ in 0..position {
            list.next_element::<IgnoredAny>()?;
        }
        match rest {
            Some(rest) => list.next_element_seed(Walk(rest)).map(drop),
            None => list.next_element_seed(Stop).map(drop),
        }
    }
}

/// Compares a key with the path, and gives the rest of the path after it if the key is on the path. A key may contain
/// dots.
struct Key<'a>(&'a str);

impl<'de, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_any(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        match self.0.strip_prefix(key) {
            Some("") => Err(E::custom(HERE)),
            Some(rest) => Ok(rest.strip_prefix('.')),
            None => Ok(None),
        }
    }
}

/// The walk at the value itself, which stops with the error.
struct Stop;

impl<'de> DeserializeSeed<'de> for Stop {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Stop {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HERE)
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom(HERE))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom(HERE))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(E::custom(HERE))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Err(E::custom(HERE))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Err(E::custom(HERE))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Err(E::custom(HERE))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(E::custom(HERE))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(E::custom(HERE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment
interval: 5
monitors:
  - name: shop
    url: 'http://a/'
    headers:
      X-One: 1
      x.y: 2
  - {url: 'http://b/',
     timeout: fast}
  - 7
kafka: {properties: {linger.ms: 5,
    acks: 1}}
";

    #[test]
    fn keys_and_positions_lead_to_a_line() {
        for (way, expected) in [
            ("interval", 2),
            ("monitors", 3),
            ("monitors.0", 4),
            ("monitors.0.url", 5),
            ("monitors.0.headers", 6),
            ("monitors.0.headers.x.y", 8),
            ("monitors.1", 9),
            ("monitors.1.timeout", 10),
            ("monitors.2", 11),
            ("kafka.properties.linger.ms", 12),
            ("kafka.properties.acks", 13),
        ] {
            assert_eq!(line(TEXT, way), Some(expected), "{way}");
        }
    }

    #[test]
    fn what_is_not_there_has_the_line_of_what_it_would_stand_in() {
        assert_eq!(line(TEXT, "monitors.1.pattern"), Some(9));
        assert_eq!(line(TEXT, "kafka.ssl.ca_file"), Some(12));
        assert_eq!(line(TEXT, "workers"), None);
        assert_eq!(line(TEXT, "monitors.9.url"), Some(3));
        assert_eq!(line("[", "workers"), None);
    }

    #[test]
    fn a_list_may_be_the_whole_file() {
        assert_eq!(line("\u{feff}- url: a\n\n- url: b\n  timeout: x\n", "1.timeout"), Some(4));
    }

    #[test]
    fn what_comes_from_an_anchor_has_the_line_of_the_anchor_or_of_its_use() {
        let text = "base: &base {timeout: x}\nmonitors:\n  - <<: *base\n    url: a\n";
        assert_eq!(line(text, "monitors.0.timeout"), Some(3));
    }
}
