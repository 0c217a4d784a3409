//! Character sets: a page becomes UTF-8 before a pattern is looked for in it.
//!
//! As browsers do: a byte order mark wins, then the `charset` of Content-Type, then what the first 1,024 bytes of an
//! HTML or XML page say. What says nothing, or nothing that is known, stays as it is: patterns are looked for in bytes.

use std::borrow::Cow;

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How much of a page may say what it is written in.
const HEAD: usize = 1_024;
/// Bytes of the longest byte order mark.
const LONGEST_MARK: usize = 3;

/// A page that becomes UTF-8 while it comes.
pub(super) struct Text {
    content_type: Option<Vec<u8>>,
    state: State,
}

enum State {
    /// What came so far doesn't say what it is written in.
    Begin(Vec<u8>),
    Known(Option<Decoder>),
}

impl Text {
    /// `content_type` is the header's value.
    pub(super) fn of(content_type: Option<&[u8]>) -> Text {
        Text { content_type: content_type.map(<[u8]>::to_vec), state: State::Begin(Vec::new()) }
    }

    /// The next piece in UTF-8, with what was kept back of those before. `is_last` tells that no more comes.
    pub(super) fn take<'a>(&mut self, piece: &'a [u8], is_last: bool) -> Cow<'a, [u8]> {
        match &mut self.state {
            State::Known(decoder) => decoded(decoder.as_mut(), Cow::Borrowed(piece), is_last),
            State::Begin(begin) => {
                begin.extend_from_slice(piece);
                let content_type = self.content_type.as_deref();
                let is_told =
                    begin.len() >= LONGEST_MARK && (of_header(content_type).is_some() || !tells(content_type));
                if !is_last && !is_told && begin.len() < HEAD {
                    return Cow::Borrowed(&[]);
                }
                let (encoding, mark) = encoding_of(begin, content_type);
                let begin = begin.split_off(mark);
                // UTF-8 stays as it is also where it is broken: what is whole in it can be found.
                let mut decoder =
                    encoding.filter(|encoding| *encoding != UTF_8).map(Encoding::new_decoder_without_bom_handling);
                let text = decoded(decoder.as_mut(), Cow::Owned(begin), is_last);
                self.state = State::Known(decoder);
                text
            }
        }
    }
}

fn decoded<'a>(decoder: Option<&mut Decoder>, piece: Cow<'a, [u8]>, is_last: bool) -> Cow<'a, [u8]> {
    let Some(decoder) = decoder else { return piece };
    let room = decoder.max_utf8_buffer_length(piece.len()).unwrap_or_default();
    let mut text = String::with_capacity(room);
    let (result, ..) = decoder.decode_to_string(&piece, &mut text, is_last);
    debug_assert_eq!(result, CoderResult::InputEmpty, "there is room for all of it");
    Cow::Owned(text.into_bytes())
}

/// What a page is written in, and how long its mark is.
fn encoding_of(page: &[u8], content_type: Option<&[u8]>) -> (Option<&'static Encoding>, usize) {
    match Encoding::for_bom(page) {
        Some((encoding, length)) => (Some(encoding), length),
        None => (of_header(content_type).or_else(|| of_page(page, content_type)), 0),
    }
}

/// Whether a page of this type may tell by itself what it is written in.
fn tells(content_type: Option<&[u8]>) -> bool {
    let kind = content_type.unwrap_or(b"text/html").to_ascii_lowercase();
    find(&kind, b"html").is_some() || find(&kind, b"xml").is_some()
}

fn of_header(content_type: Option<&[u8]>) -> Option<&'static Encoding> {
    encoding(after(&content_type?.to_ascii_lowercase(), b"charset")?)
}

/// What `<meta charset=…>`, `<meta content="…; charset=…">` or `<?xml encoding=…?>` says.
fn of_page(page: &[u8], content_type: Option<&[u8]>) -> Option<&'static Encoding> {
    if !tells(content_type) {
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

    fn bytes(page: &[u8], content_type: Option<&str>) -> Vec<u8> {
        Text::of(content_type.map(str::as_bytes)).take(page, true).into_owned()
    }

    fn text(page: &[u8], content_type: Option<&str>) -> String {
        String::from_utf8_lossy(&bytes(page, content_type)).into_owned()
    }

    #[test]
    fn a_page_is_the_same_in_any_pieces() {
        for (page, content_type) in [
            (&b"<html><meta charset=latin1>sch\xf6n"[..], None),
            (b"\x83J\x81[\x83g", Some("text/html; charset=shift_jis")),
            (b"\xff\xfes\0\xf6\0", None),
            ("schön".as_bytes(), Some("text/event-stream")),
            (b"", None),
        ] {
            for size in 1..=page.len().max(1) {
                let mut whole = Text::of(content_type.map(str::as_bytes));
                let mut pieces: Vec<u8> =
                    page.chunks(size).flat_map(|piece| whole.take(piece, false).into_owned()).collect();
                pieces.extend_from_slice(&whole.take(&[], true));
                assert_eq!(pieces, bytes(page, content_type), "in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_can_not_tell_by_itself_is_passed_on_at_once() {
        let mut events = Text::of(Some(b"text/event-stream"));
        assert_eq!(events.take(b"data: ok", false), &b"data: ok"[..]);
        let mut page = Text::of(Some(b"text/html; charset=utf-8"));
        assert_eq!(page.take(b"<html>", false), &b"<html>"[..]);
        let mut page = Text::of(Some(b"text/html"));
        assert!(page.take(b"<html>", false).is_empty());
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
            assert_eq!(bytes(b"\0\xff\xfd", content_type), b"\0\xff\xfd");
        }
    }
}
