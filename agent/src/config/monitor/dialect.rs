//! Patterns as people bring them along from other tools.
//!
//! The patterns of Python, PCRE and Go differ in a few places from those of Rust's `regex`. Where all of them mean the same
//! thing, it is meant here, too:
//!
//! ```text
//! {"status": "ok"}    a brace that begins no repetition is a brace
//! [[]tag[]]           a bracket in a class is a bracket
//! [a&&b]  [a~~b]      twice the same character in a class is that character
//! ok\Z                the end of the text, as \z
//! ```
//! Where they differ among each other and another meaning would pass unnoticed, the pattern is refused with its place.

use settings::Wrong;

/// Escapes whose following braces belong to them.
const WITH_BRACES: [char; 6] = ['x', 'u', 'U', 'p', 'P', 'b'];

/// The pattern as Rust's `regex` writes it.
///
/// # Errors
/// Where a part of it means different things in different tools.
pub(in crate::config) fn in_ours(pattern: &str) -> Result<String, Wrong> {
    let mut translation = Translation { pattern, at: 0, ours: String::with_capacity(pattern.len()) };
    let mut is_in_class = false;
    while let Some(char) = translation.next() {
        match (char, is_in_class) {
            ('\\', _) => translation.escape()?,
            ('[', false) => {
                is_in_class = true;
                translation.begin_class();
            }
            ('[', true) if translation.rest().starts_with("[:") => translation.keep_up_to(":]"),
            (']', true) => {
                is_in_class = false;
                translation.keep(1);
            }
            ('{', false) if is_repetition(translation.rest()) => translation.keep(1),
            ('[', true) | ('{', false) => translation.keep_escaped(),
            ('&' | '~', true) => translation.keep_escaped(),
            ('-', true) if translation.rest().starts_with("--") => {
                return Err(translation.refused("--", "takes characters out of a class or is a range", "write \\-"));
            }
            (char, _) => translation.keep(char.len_utf8()),
        }
    }
    Ok(translation.ours)
}

struct Translation<'a> {
    pattern: &'a str,
    /// Up to this byte it is translated.
    at: usize,
    ours: String,
}

impl Translation<'_> {
    fn rest(&self) -> &str {
        &self.pattern[self.at..]
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn keep(&mut self, bytes: usize) {
        self.ours.push_str(&self.pattern[self.at..self.at + bytes]);
        self.at += bytes;
    }

    fn keep_up_to(&mut self, end: &str) {
        let length = self.rest().find(end).map_or(self.rest().len(), |at| at + end.len());
        self.keep(length);
    }

    fn keep_escaped(&mut self) {
        self.ours.push('\\');
        self.keep(1);
    }

    /// A bracket that is the first of a class is a bracket.
    fn begin_class(&mut self) {
        self.keep(1);
        if self.rest().starts_with('^') {
            self.keep(1);
        }
        if self.rest().starts_with(']') {
            self.keep_escaped();
        }
    }

    fn escape(&mut self) -> Result<(), Wrong> {
        let Some(escaped) = self.rest().chars().nth(1) else {
            // The parser tells what is missing.
            self.keep(1);
            return Ok(());
        };
        match escaped {
            'Z' => {
                self.ours.push_str("\\z");
                self.at += 2;
            }
            '<' => {
                return Err(self.refused("\\<", "is the begin of a word or the character <", "write < or \\b{start}"));
            }
            '>' => return Err(self.refused("\\>", "is the end of a word or the character >", "write > or \\b{end}")),
            'v' => {
                return Err(self.refused(
                    "\\v",
                    "is one character or any line break",
                    "write \\x0B or [\\n\\x0B\\f\\r]",
                ));
            }
            _ => {
                self.keep(1 + escaped.len_utf8());
                if WITH_BRACES.contains(&escaped) && self.rest().starts_with('{') {
                    self.keep_up_to("}");
                }
            }
        }
        Ok(())
    }

    fn refused(&self, what: &str, meaning: &str, mend: &str) -> Wrong {
        let place = self.pattern[..self.at].chars().count() + 1;
        Wrong::new(format!("has `{what}` at character {place}, which {meaning}, by the tool"), mend)
    }
}

/// Whether it begins with `{2}`, `{2,}` or `{2,3}`.
fn is_repetition(text: &str) -> bool {
    let Some((bounds, _)) = text[1..].split_once('}') else { return false };
    let (least, most) = bounds.split_once(',').unwrap_or((bounds, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && is_number(least) && is_number(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_elsewhere_means_it_here() {
        for (pattern, ours) in [
            (r#"{"status":"ok"}"#, r#"\{"status":"ok"}"#),
            (r"a{2}b{2,}c{2,3}d{,3}e{x}", r"a{2}b{2,}c{2,3}d\{,3}e\{x}"),
            (r"[[]tag[]]", r"[\[]tag[\]]"),
            (r"[^]a]", r"[^\]a]"),
            (r"[[:alpha:]_{]", r"[[:alpha:]_{]"),
            (r"[a&&b~~c]", r"[a\&\&b\~\~c]"),
            (r"[\]{]{", r"[\]{]\{"),
            (r"ok\Z", r"ok\z"),
            (r"\\Z\x{41}\p{L}\b{start}\{", r"\\Z\x{41}\p{L}\b{start}\{"),
            ("schön {größe}", "schön \\{größe}"),
            ("", ""),
        ] {
            assert_eq!(in_ours(pattern).unwrap(), ours, "{pattern}");
        }
    }

    #[test]
    fn what_means_different_things_is_refused_with_its_place_and_what_to_write() {
        let fault =
            |pattern| in_ours(pattern).map_err(|wrong| format!("{}; {}", wrong.problem, wrong.mend)).unwrap_err();
        assert_eq!(
            fault(r"\<b\>Fatal error\<\/b\>"),
            r"has `\<` at character 1, which is the begin of a word or the character <, by the tool; write < or \b{start}"
        );
        assert!(fault(r"ä\v").starts_with(r"has `\v` at character 2"));
        assert!(fault(r"[+--]").starts_with("has `--` at character 3"));
    }

    #[test]
    fn what_is_no_pattern_is_left_to_the_parser() {
        for pattern in [r"a\", "[a", "(", "[[:alpha:", "{2}"] {
            assert_eq!(in_ours(pattern).unwrap(), pattern);
        }
    }
}
