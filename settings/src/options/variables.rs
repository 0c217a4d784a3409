//! Expands variables of the environment in configured texts.
//!
//! They are expanded in strings that are already parsed, so a value cannot change the structure of a file. Only `${` is
//! special. A lone `$`, as in a pattern, stays as it is.
//!
//! ```text
//! ${NAME}            the value; unset is a fault
//! ${NAME:-default}   the default when unset or empty
//! ${NAME:?message}   a fault with that message when unset or empty
//! $${                a literal ${
//! ```
//! `HOSTNAME` is always available: shells know it, and most shells do not export it.

use super::fault::Wrong;

/// Returns a variable of the environment. When `HOSTNAME` is not set, it returns the name of the host for it.
pub(crate) fn of_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| (name == "HOSTNAME").then(host_name))
}

/// Returns the host's name, as `uname -n` prints it.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Expands the variables in `text`, with `lookup` as the environment.
pub(crate) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, Wrong> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        expanded.push_str(before);
        let Some(end) = after.find('}') else {
            return Err(Wrong::new("holds `${` without its `}`", "close it, or write `$${` for a literal `${`"));
        };
        expanded.push_str(&value(&after[..end], &lookup)?);
        rest = &after[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn value(reference: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, Wrong> {
    let (name, rule) = match reference.split_once(':') {
        Some((name, rule)) => (name, Some(rule)),
        None => (reference, None),
    };
    let is_name = |name: &str| {
        let mut letters = name.chars();
        letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if !is_name(name) {
        // The text there could be a part of a secret that contains `${`, so it is not shown.
        return Err(Wrong::new("holds `${` without the name of a variable", "write `$${` for a literal `${`"));
    }
    let found = lookup(name);
    match rule.map(|rule| (rule.get(..1), rule.get(1..).unwrap_or_default())) {
        None => found.ok_or_else(|| {
            Wrong::new(format!("the variable {name} is not set"), format!("set it, or write ${{{name}:-default}}"))
        }),
        Some((Some("-"), default)) => Ok(found.filter(|v| !v.is_empty()).unwrap_or_else(|| default.into())),
        Some((Some("?"), message)) => found
            .filter(|v| !v.is_empty())
            .ok_or_else(|| Wrong::new(format!("the variable {name} is not set: {message}"), "set it".to_string())),
        Some(_) => Err(Wrong::new(
            format!("`${{{name}:` is followed by neither `-` nor `?`"),
            format!("write ${{{name}}}, ${{{name}:-default}} or ${{{name}:?message}}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_expand(text: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "HOST" => Some("shop.example".to_string()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("${HOST}".to_string()),
            _ => None,
        };
        expand(text, lookup).map_err(|wrong| format!("{}; {}", wrong.problem, wrong.mend))
    }

    #[test]
    fn a_variable_becomes_its_value_once() {
        assert_eq!(try_expand("https://${HOST}/${EMPTY}x").unwrap(), "https://shop.example/x");
        assert_eq!(try_expand("${TRICKY}").unwrap(), "${HOST}");
    }

    #[test]
    fn a_default_stands_in_for_unset_and_empty() {
        assert_eq!(try_expand("${NONE:-a:b} ${EMPTY:-c} ${HOST:-d} ${NONE:-}").unwrap(), "a:b c shop.example ");
    }

    #[test]
    fn the_hosts_name_is_there_anyone_who_started_us() {
        assert!(of_environment("HOSTNAME").is_some_and(|name| !name.is_empty()));
        assert_eq!(of_environment("A_VARIABLE_THAT_NOBODY_SETS"), None);
    }

    #[test]
    fn patterns_keep_their_dollars() {
        for pattern in ["^a$", "a$|b$", "$", "$$", "cost: $5", "$HOST", "a{2}$"] {
            assert_eq!(try_expand(pattern).unwrap(), pattern);
        }
    }

    #[test]
    fn two_dollars_write_a_literal_one() {
        assert_eq!(try_expand("$${HOST} ${HOST}").unwrap(), "${HOST} shop.example");
    }

    #[test]
    fn what_is_unset_or_malformed_is_told() {
        for (text, told) in [
            ("${NONE}", "the variable NONE is not set; set it, or write ${NONE:-default}"),
            ("${NONE:?the shop's host}", "the variable NONE is not set: the shop's host; set it"),
            ("${EMPTY:?the shop's host}", "the variable EMPTY is not set: the shop's host; set it"),
            ("${HOST", "holds `${` without its `}`; close it, or write `$${` for a literal `${`"),
            ("${}", "holds `${` without the name of a variable; write `$${` for a literal `${`"),
            ("${9}", "holds `${` without the name of a variable; write `$${` for a literal `${`"),
            (
                "${HOST:+x}",
                "`${HOST:` is followed by neither `-` nor `?`; write ${HOST}, ${HOST:-default} or ${HOST:?message}",
            ),
        ] {
            assert_eq!(try_expand(text).unwrap_err(), told, "{text}");
        }
    }
}
