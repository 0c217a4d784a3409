//! Text of strangers: names, urls and errors come from configurations and from the sites themselves. askama escapes
//! what HTML would obey; here goes what browsers would obey beside that.

use crate::terminal;

/// The text without characters that act: controls, and those that turn the direction of what follows, are shown as
/// escapes. What XML can't hold goes with them.
pub(super) fn plain(text: &str) -> String {
    let acts = |character| {
        matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || matches!(character, '\u{fff9}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}')
    };
    let shown = terminal::shown(text);
    if !shown.contains(acts) {
        return shown;
    }
    let mut plain = String::with_capacity(shown.len());
    for character in shown.chars() {
        match acts(character) {
            true => plain.extend(character.escape_unicode()),
            false => plain.push(character),
        }
    }
    plain
}

/// The same, of at most so many characters, an ellipsis among them where it was longer.
pub(super) fn cut(text: &str, most: usize) -> String {
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
