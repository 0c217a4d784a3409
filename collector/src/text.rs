//! Makes texts from outside harmless: names, urls and errors come from configurations and from the sites themselves.
//! askama escapes what HTML would interpret. The other characters that browsers would interpret are the same ones that
//! terminals would interpret, and this file replaces them.

/// Returns the text without characters that have an effect on the display.
pub(crate) use settings::terminal::shown as plain;

/// Returns the same with at most this number of characters. A longer text ends with an ellipsis, which counts as one of
/// them.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
    let plain = plain(&text[..end]);
    match plain.char_indices().nth(most.saturating_sub(1)) {
        Some((last, _)) if end < text.len() || plain.chars().count() > most => plain[..last].to_owned() + "…",
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_would_obey_is_shown() {
        assert_eq!(plain("a\0b\u{202e}c\u{ffff}d\u{2069}"), "a\\u{0}b\\u{202e}c\\u{ffff}d\\u{2069}");
        assert_eq!(plain("שלום <b> & ä"), "שלום <b> & ä");
    }

    #[test]
    fn what_is_long_ends_with_an_ellipsis() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("\0\0", 3), "\\u…");
        assert_eq!(cut(&"x".repeat(10_000), 60).chars().count(), 60);
    }
}
