//! The head of an answer, brought into the form that ureq's parser takes.
//!
//! Servers send heads that the standard forbids and that every browser reads: folded lines, names with spaces, a warning
//! of their script between two headers, hundreds of headers. `httparse` can read them, ureq doesn't ask it to. So the head
//! is read here, within [`MOST`] bytes, and handed on with the headers that a check looks at, one line each.

use std::borrow::Cow;

use httparse::{EMPTY_HEADER, Header, ParserConfig, Response, Status};
use wire::Outcome;

use crate::check::outcome::Fault;
use crate::check::text::harmless;

/// Longest head of an answer.
pub(super) const MOST: usize = 256 * 1024;

/// How much is read at once: most heads, and a small body with them.
const PIECE: usize = 4 * 1024;
/// This number of bytes is enough to tell that something is no answer.
const BEGIN: usize = 64;
/// Most bytes of a line that an error quotes.
const MOST_QUOTED: usize = 200;
/// ureq takes 128 headers. Cookies must not take the place of other headers.
const MOST_HEADERS: usize = 120;
const MOST_COOKIES: usize = 80;
/// The headers that a check or ureq looks at.
const READ: [&str; 7] =
    ["connection", "content-encoding", "content-length", "content-type", "location", "set-cookie", "transfer-encoding"];
const SWITCHING_PROTOCOLS: u16 = 101;

/// What came of an answer until its head is whole.
#[derive(Debug, Default)]
pub(super) struct Head {
    received: Vec<u8>,
    filled: usize,
    /// Up to this byte there is no end of the head.
    searched: usize,
}

/// A head that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// The status line as it came.
    pub(super) status_line: Vec<u8>,
    /// The head for ureq.
    pub(super) head: Vec<u8>,
    /// Whether another head follows this one, which only informs.
    pub(super) is_interim: bool,
}

impl Head {
    /// Room for more of it.
    ///
    /// # Errors
    /// When it is longer than any head.
    pub(super) fn room(&mut self) -> Result<&mut [u8], Fault> {
        if self.filled >= MOST {
            return Err(Fault::new(Outcome::ProtocolError, format!("the answer's head is longer than {MOST} bytes")));
        }
        if self.filled == self.received.len() {
            self.received.resize(self.filled + PIECE, 0);
        }
        Ok(&mut self.received[self.filled..])
    }

    /// This many bytes were put into the room.
    pub(super) fn came(&mut self, count: usize) {
        self.filled += count;
    }

    /// The status line, if it came.
    pub(super) fn status_line(&self) -> Option<&[u8]> {
        let came = self.received[..self.filled].trim_ascii_start();
        came.iter().position(|byte| *byte == b'\n').map(|end| &came[..end])
    }

    /// What came after the last head.
    pub(super) fn rest(&self) -> &[u8] {
        &self.received[..self.filled]
    }

    /// The next head, once it is whole.
    ///
    /// # Errors
    /// When it is none; the text quotes the line.
    pub(super) fn next(&mut self) -> Result<Option<Whole>, Fault> {
        while let Some(end) = self.end() {
            self.searched = end;
            let received = plain(&self.received[..end]);
            let mut headers = vec![EMPTY_HEADER; lines(&received)];
            let mut response = Response::new(&mut headers);
            match parser().parse_response(&mut response, &received) {
                Ok(Status::Complete(_)) => {
                    let whole = Whole::of(&response, &received);
                    self.received.copy_within(end..self.filled, 0);
                    self.filled -= end;
                    self.searched = 0;
                    return Ok(Some(whole));
                }
                // Empty lines before the status line.
                Ok(Status::Partial) => {}
                Err(error) => return Err(refused(&received, error)),
            }
        }
        // What begins like no answer will not become one.
        let begin = plain(&self.received[..self.filled.min(BEGIN)]);
        match parser().parse_response(&mut Response::new(&mut []), &begin) {
            Err(error) if error != httparse::Error::TooManyHeaders && lines(&begin) <= 1 => Err(refused(&begin, error)),
            _ => Ok(None),
        }
    }

    /// Where the next empty line ends.
    fn end(&mut self) -> Option<usize> {
        let came = &self.received[..self.filled];
        let is_end = |at: &usize| came[..*at].ends_with(b"\n") || came[..*at].ends_with(b"\n\r");
        let mut line_ends = memchr::memchr_iter(b'\n', &came[self.searched..]).map(|at| self.searched + at);
        let end = line_ends.find(is_end).map(|at| at + 1);
        if end.is_none() {
            self.searched = self.filled;
        }
        end
    }
}

impl Whole {
    fn of(response: &Response<'_, '_>, received: &[u8]) -> Whole {
        let status = response.code.unwrap_or_default();
        let mut head = format!("HTTP/1.{} {status:03} \r\n", response.version.unwrap_or_default()).into_bytes();
        let read =
            response.headers.iter().filter(|header| READ.iter().any(|name| name.eq_ignore_ascii_case(header.name)));
        let mut cookies = 0;
        let read = read.filter(|header| {
            let is_cookie = header.name.eq_ignore_ascii_case("set-cookie");
            cookies += usize::from(is_cookie);
            !is_cookie || cookies <= MOST_COOKIES
        });
        for Header { name, value } in read.take(MOST_HEADERS) {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            // A folded value is one line.
            let begin = head.len();
            head.extend_from_slice(value);
            head[begin..].iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let status_line = received.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default().to_vec();
        let is_interim = (100..200).contains(&status) && status != SWITCHING_PROTOCOLS;
        Whole { status_line, head, is_interim }
    }
}

/// Reads what browsers read.
fn parser() -> ParserConfig {
    let mut parser = ParserConfig::default();
    parser
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .allow_space_before_first_header_name(true)
        .ignore_invalid_headers_in_responses(true);
    parser
}

/// The head without what `httparse` takes for its end and browsers don't: a DEL anywhere, and control characters in the
/// status line's phrase.
fn plain(head: &[u8]) -> Cow<'_, [u8]> {
    const DEL: u8 = 0x7f;
    let begin = head.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(head.len());
    let line = head[begin..].iter().position(|byte| *byte == b'\n').map_or(head.len(), |length| begin + length);
    let is_odd = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    if !head[..line].iter().any(is_odd) && !head.contains(&DEL) {
        return Cow::Borrowed(head);
    }
    let phrase = head[..line].iter().map(|byte| if is_odd(byte) { b'?' } else { *byte }).collect();
    let headers: Vec<&[u8]> = head[line..].split(|byte| *byte == DEL).collect();
    Cow::Owned([phrase, headers.join(&b"%7F"[..])].concat())
}

fn lines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

/// The fault of a head that is none, with the first line that is wrong by itself.
fn refused(head: &[u8], error: httparse::Error) -> Fault {
    let mut lines = head.trim_ascii_start().split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let is_wrong = |line: &&[u8]| {
        let alone = [b"HTTP/1.1 200 \r\n", *line, b"\n\r\n"].concat();
        let mut headers = [EMPTY_HEADER; 1];
        parser().parse_response(&mut Response::new(&mut headers), &alone).is_err()
    };
    let is_status = matches!(
        error,
        httparse::Error::Version | httparse::Error::Status | httparse::Error::Token | httparse::Error::NewLine
    );
    let line = if is_status { first } else { lines.find(is_wrong).unwrap_or(first) };
    let line = harmless(&line[..line.len().min(MOST_QUOTED)]);
    Fault::new(Outcome::ProtocolError, format!("no HTTP answer: {error} in {:?}", line.trim_end_matches('\u{fffd}')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The heads of what came, piece by piece, as ureq gets them.
    fn heads(pieces: &[&[u8]]) -> Result<Vec<String>, String> {
        let (mut head, mut heads) = (Head::default(), Vec::new());
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                let room = head.room().map_err(|fault| fault.to_string())?;
                let count = room.len().min(piece.len());
                room[..count].copy_from_slice(&piece[..count]);
                head.came(count);
                piece = &piece[count..];
                if let Some(whole) = head.next().map_err(|fault| fault.to_string())? {
                    heads.push(String::from_utf8_lossy(&whole.head).into_owned());
                    return Ok(heads);
                }
            }
        }
        Ok(heads)
    }

    fn head(lines: &str) -> Result<String, String> {
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
        heads(&[answer.as_bytes()]).map(|mut heads| heads.remove(0))
    }

    #[test]
    fn what_browsers_read_is_read() {
        for lines in [
            "X-Folded: one\r\n two\r\nLocation: /a",
            "X-Wide : one\r\nLocation : /a",
            "Two Words: one\r\nLocation: /a",
            "PHP Warning:  Undefined variable $a in /x.php on line 3\r\nLocation: /a",
            "<br />\r\n<b>Notice</b>\r\nLocation: /a",
            "X-Del: a\x7fb\r\nLocation: /a",
            " Location: /a",
            "LOCATION:/a",
            "Location:\r\n /a",
        ] {
            let head = head(lines).unwrap();
            assert!(head.to_lowercase().contains("location: /a\r\n"), "{lines:?}: {head:?}");
        }
        assert!(head("Location: /a\x7fb").unwrap().contains("/a%7Fb"));
        let cookies = head(&format!("{}Location: /a", "Set-Cookie: a=b\r\n".repeat(1_000))).unwrap();
        assert_eq!((cookies.matches("Set-Cookie").count(), cookies.contains("Location: /a\r\n")), (MOST_COOKIES, true));
        let many: String = (0..3_000).map(|number| format!("X-{number}: {number}\r\n")).collect();
        assert_eq!(head(&format!("{many}Location: /a")).unwrap(), "HTTP/1.1 200 \r\nLocation: /a\r\n\r\n");
    }

    #[test]
    fn a_phrase_may_hold_anything_but_a_line_feed() {
        assert_eq!(heads(&[b"HTTP/1.1 500 \x1b[31m\0\xff\r\n\r\n"]), Ok(vec!["HTTP/1.1 500 \r\n\r\n".to_owned()]));
    }

    #[test]
    fn a_head_may_come_byte_by_byte_with_bare_line_feeds_and_after_empty_lines() {
        let answer = b"\r\n\nHTTP/1.0 404 None\nContent-Length: 3\n\nabc";
        let bytes: Vec<&[u8]> = answer.chunks(1).collect();
        assert_eq!(heads(&bytes), Ok(vec!["HTTP/1.0 404 \r\nContent-Length: 3\r\n\r\n".to_owned()]));
    }

    #[test]
    fn interim_heads_come_before_the_last_one_and_the_rest_is_the_bodys() {
        let mut head = Head::default();
        let answer = b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 200 Fine\r\n\r\nbody";
        head.room().unwrap()[..answer.len()].copy_from_slice(answer);
        head.came(answer.len());
        assert!(head.next().unwrap().unwrap().is_interim);
        let last = head.next().unwrap().unwrap();
        assert_eq!(
            (last.is_interim, &last.status_line[..], head.rest()),
            (false, &b"HTTP/1.1 200 Fine\r"[..], &b"body"[..])
        );
    }

    #[test]
    fn what_is_no_head_is_quoted() {
        for (answer, quoted) in [
            (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "\"SSH-2.0-OpenSSH_9.2\""),
            (b"HTTP/1.1 abc OK\r\n\r\n", "\"HTTP/1.1 abc OK\""),
            (b"HTTP/1.1 200 OK\r\nX-One: 1\r\nX-Nul: a\0b\r\n\r\n", "\"X-Nul: a\u{fffd}b\""),
        ] {
            let fault = heads(&[answer]).unwrap_err();
            assert!(fault.ends_with(quoted), "{fault}");
        }
        let endless = b"X-More: and more\r\n".repeat(MOST / 10);
        assert!(heads(&[b"HTTP/1.1 200 OK\r\n", &endless]).unwrap_err().contains("262144"));
    }
}
