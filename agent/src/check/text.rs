//! Text from strangers, made harmless.

use wire::limits;

/// The bytes as text that can be stored, logged and shown in a terminal: invalid UTF-8 and control characters (NUL,
/// escape, line breaks, …) are replaced, and what is too long for a result is cut.
pub(super) fn harmless(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(limits::TEXT)];
    let mut text: String = String::from_utf8_lossy(bytes)
        .chars()
        .map(|char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char })
        .collect();
    let mut end = text.len().min(limits::TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::harmless;
    use wire::limits;

    #[test]
    fn nul_escapes_and_broken_utf8_are_replaced() {
        assert_eq!(harmless(b"a\0b\x1b[31m\xffc\r\n"), "a\u{fffd}b\u{fffd}[31m\u{fffd}c\u{fffd}\u{fffd}");
        assert_eq!(harmless("schön".as_bytes()), "schön");
    }

    #[test]
    fn text_is_cut_to_its_bound_between_characters() {
        assert_eq!(harmless(&vec![b'x'; limits::TEXT + 1]).len(), limits::TEXT);
        assert!(harmless(&vec![0xff; limits::TEXT]).len() <= limits::TEXT);
        assert!(harmless("ö".repeat(limits::TEXT).as_bytes()).len() <= limits::TEXT);
    }
}
