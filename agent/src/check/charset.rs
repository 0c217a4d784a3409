//! Character sets: a page becomes UTF-8 before a pattern is looked for in it.
//!
//! As browsers do: a byte order mark wins, then the `charset` of Content-Type, then what the first 1,024 bytes of an
//! HTML or XML page say. What says nothing, or nothing that is known, stays as it is: patterns are looked for in bytes.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How much of a page may say what it is written in.
const HEAD: usize = 1_024;

/// The page in UTF-8. `content_type` is the header's value.
pub(super) fn in_utf8<'a>(page: &'a [u8], content_type: Option<&[u8]>) -> Cow<'a, [u8]> {
    let (encoding, mark) = match Encoding::for_bom(page) {
        Some((encoding, length)) => (encoding, length),
        None => match of_header(content_type).or_else(|| of_page(page, content_type)) {
            Some(encoding) => (encoding, 0),
            None => return Cow::Borrowed(page),
        },
    };
    let page = &page[mark..];
    if encoding == UTF_8 {
        // Also where it is broken: what is whole in it can be found.
        return Cow::Borrowed(page);
    }
    match encoding.decode_without_bom_handling(page).0 {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn of_header(content_type: Option<&[u8]>) -> Option<&'static Encoding> {
    encoding(after(&content_type?.to_ascii_lowercase(), b"charset")?)
}

/// What `<meta charset=…>`, `<meta content="…; charset=…">` or `<?xml encoding=…?>` says.
fn of_page(page: &[u8], content_type: Option<&[u8]>) -> Option<&'static Encoding> {
    let kind = content_type.unwrap_or(b"text/html").to_ascii_lowercase();
    if find(&kind, b"html").is_none() && find(&kind, b"xml").is_none() {
        return None;
    }
    let head = page[..page.len().min(HEAD)].to_ascii_lowercase();
    let declared = if head.starts_with(b"<?xml") { tag(&head).and_then(|tag| after(tag, b"encoding")) } else { None };
    let found = declared.and_then(encoding).or_else(|| {
        let mut rest = &head[..];
        while let Some(at) = find(rest, b"<meta") {
            rest = &rest[at + b"<meta".len()..];
            if let Some(encoding) = tag(rest).and_then(|tag| after(tag, b"charset")).and_then(encoding) {
                return Some(encoding);
            }
        }
        None
    })?;
    // These words could be read: it can't be UTF-16.
    Some(if [UTF_16LE, UTF_16BE].contains(&found) { UTF_8 } else { found })
}

fn tag(text: &[u8]) -> Option<&[u8]> {
    text.iter().position(|byte| *byte == b'>').map(|end| &text[..end])
}

/// The value after `key=`, without quotes.
fn after<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let value = text[find(text, key)? + key.len()..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
    let end = value.iter().position(|byte| b"\"'; \t\r\n/>?".contains(byte)).unwrap_or(value.len());
    Some(&value[..end])
}

fn encoding(label: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &[u8], content_type: Option<&str>) -> String {
        String::from_utf8_lossy(&in_utf8(page, content_type.map(str::as_bytes))).into_owned()
    }

    #[test]
    fn the_header_says_what_a_page_is_written_in() {
        assert_eq!(text(b"sch\xf6n", Some("text/plain; charset=ISO-8859-1")), "schön");
        assert_eq!(text(b"sch\xf6n", Some("text/html;charset=\"windows-1252\"")), "schön");
        assert_eq!(text(b"\x83J\x81[\x83g", Some("text/html; Charset = shift_jis")), "カート");
        assert_eq!(text(b"\xbd\xd0\xbe", Some("text/plain; charset=utf-8")), "\u{fffd}\u{43e}");
    }

    #[test]
    fn a_byte_order_mark_wins_and_is_no_part_of_the_text() {
        assert_eq!(text(b"\xef\xbb\xbfsch\xc3\xb6n", Some("text/plain; charset=iso-8859-1")), "schön");
        assert_eq!(text(b"\xff\xfes\0\xf6\0", None), "sö");
        assert_eq!(text(b"\xfe\xff\0s\0\xf6", None), "sö");
    }

    #[test]
    fn a_page_may_say_it_itself() {
        for head in [
            "<meta charset=latin1>",
            "<html><head><META CharSet = 'iso-8859-1' />",
            "<meta name=a content=b><meta http-equiv=content-type content='text/html; charset=iso-8859-1'>",
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
        ] {
            let page = [head.as_bytes(), b"sch\xf6n"].concat();
            assert!(text(&page, None).ends_with("schön"), "{head}");
            assert!(text(&page, Some("text/html")).ends_with("schön"), "{head}");
            assert!(!text(&page, Some("application/json")).ends_with("schön"), "{head}");
        }
        assert!(text(b"<meta charset=utf-16>sch\xc3\xb6n", None).ends_with("schön"));
        let late = [&b" ".repeat(HEAD)[..], b"<meta charset=latin1>sch\xf6n"].concat();
        assert!(!text(&late, None).ends_with("schön"));
    }

    #[test]
    fn what_is_not_known_stays_as_it_is() {
        for content_type in [None, Some("text/plain"), Some("text/plain; charset=klingon"), Some("charset"), Some("")] {
            assert_eq!(in_utf8(b"\0\xff\xfd", content_type.map(str::as_bytes)), &b"\0\xff\xfd"[..]);
        }
    }
}
