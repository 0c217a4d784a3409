//! Reads and shows durations and sizes as people write them.

use std::time::Duration;

use bytesize::ByteSize;
use serde_yaml::Value;

/// Reads a duration: a number is seconds, and a text is `30s`, `1m30s`, `500ms`, or a number of seconds.
///
/// # Errors
/// Fails with what is wrong with the value.
pub fn duration(value: &Value) -> Result<Duration, String> {
    let parsed = match value {
        Value::Number(number) => number.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Err(_) => humantime::parse_duration(text).ok(),
        },
        _ => None,
    };
    parsed.ok_or_else(|| format!("{} is no duration", shown(value)))
}

/// Reads a size in bytes: a number is bytes, and a text is `1MiB`, `1GiB`, `10MB` (ten million), or a number of bytes.
///
/// # Errors
/// Fails with what is wrong with the value.
pub fn size(value: &Value) -> Result<u64, String> {
    let parsed = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse::<ByteSize>().ok().map(|size| size.as_u64()),
        _ => None,
    };
    parsed.ok_or_else(|| format!("{} is no size", shown(value)))
}

/// Returns a duration as people write it, such as `1m 30s` or `14 days`.
pub fn show_duration(duration: Duration) -> String {
    let shown = humantime::format_duration(duration).to_string();
    ["day", "month", "year"].iter().fold(shown, |shown, word| shown.replace(word, &format!(" {word}")))
}

/// Returns a size as people write it, such as `16.0 MiB`.
pub fn show_size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// Returns a value as it is shown in a message: scalars as they are, and other values by their kind.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) if text.chars().count() > 60 => {
            format!("{:?}…", text.chars().take(60).collect::<String>())
        }
        Value::String(text) => format!("{text:?}"),
        other => kind(other),
    }
}

/// Returns the kind of a value without its content, which may be a secret.
pub(crate) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(_) => "true or false".into(),
        Value::Number(_) => "a number".into(),
        Value::String(_) => "a text".into(),
        Value::Sequence(_) => "a list".into(),
        Value::Mapping(_) => "a mapping".into(),
        Value::Tagged(tagged) => format!("a value tagged {}", tagged.tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn a_bare_number_is_seconds() {
        for (text, milliseconds) in
            [("30", 30_000), ("0.5", 500), ("'30'", 30_000), ("30s", 30_000), ("1m30s", 90_000), ("250ms", 250)]
        {
            assert_eq!(duration(&yaml(text)).unwrap(), Duration::from_millis(milliseconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_shown() {
        for (text, told) in [
            ("fast", "\"fast\" is no duration"),
            ("-1", "-1 is no duration"),
            ("'-1'", "\"-1\" is no duration"),
            (".inf", ".inf is no duration"),
            (".nan", ".nan is no duration"),
            ("[1]", "a list is no duration"),
            ("'1e300'", "\"1e300\" is no duration"),
            ("true", "true is no duration"),
        ] {
            assert_eq!(duration(&yaml(text)).unwrap_err(), told, "{text}");
        }
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        for (text, bytes) in [("1024", 1024), ("1MiB", 1 << 20), ("1 GiB", 1 << 30), ("10MB", 10_000_000), ("'5'", 5)] {
            assert_eq!(size(&yaml(text)).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_shown() {
        for (text, told) in [("big", "\"big\" is no size"), ("-1", "-1 is no size"), ("1.5", "1.5 is no size")] {
            assert_eq!(size(&yaml(text)).unwrap_err(), told, "{text}");
        }
    }
}
