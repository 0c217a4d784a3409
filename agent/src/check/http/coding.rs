//! Content codings: gzip, deflate and br, undone while the body is read, so that only what comes out counts.

use std::io::{self, BufRead, BufReader, Read};

use encoding_rs::Encoding;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// The only one that is asked for, since every server that compresses can do it. The others come unasked.
pub(super) const ASKED_FOR: &str = "gzip";

/// Most codings of one body.
const MOST: usize = 2;
const BUFFER: usize = 4 * 1024;
/// Largest window of br, which the decoder takes memory for at once: that of encoders unless they are told otherwise.
const MOST_WINDOW_BITS: u8 = 22;

/// A coding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

/// The codings of a body, in the order in which they were applied.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Codings(Vec<Coding>);

impl Codings {
    /// What the headers say.
    ///
    /// # Errors
    /// The words, where they can't be undone.
    pub(super) fn of(headers: &HeaderMap) -> Result<Codings, String> {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let words: Vec<String> = values
            .flat_map(|value| {
                String::from_utf8_lossy(value.as_bytes())
                    .to_ascii_lowercase()
                    .split(',')
                    .map(|word| word.trim().to_owned())
                    .collect::<Vec<_>>()
            })
            .filter(|word| !is_none(word))
            .collect();
        let codings = words.iter().map(|word| match word.as_str() {
            "gzip" | "x-gzip" => Some(Coding::Gzip),
            "deflate" => Some(Coding::Deflate),
            "br" => Some(Coding::Brotli),
            _ => None,
        });
        match codings.collect::<Option<Vec<_>>>() {
            Some(codings) if codings.len() <= MOST => Ok(Codings(codings)),
            _ => Err(words.join(", ")),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The body without its codings. An empty body needs none, whatever its headers say.
    pub(super) fn undo<'a>(&self, body: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let mut undone: Box<dyn Read + 'a> = Box::new(body);
        for coding in self.0.iter().rev() {
            let mut coded = BufReader::with_capacity(BUFFER, undone);
            let begin = coded.fill_buf()?;
            undone = match coding {
                _ if begin.is_empty() => Box::new(io::empty()),
                Coding::Gzip => Box::new(MultiGzDecoder::new(coded)),
                Coding::Deflate if is_zlib(begin) => Box::new(ZlibDecoder::new(coded)),
                Coding::Deflate => Box::new(DeflateDecoder::new(coded)),
                Coding::Brotli if window_bits(begin[0]) > MOST_WINDOW_BITS => {
                    let text = "its window is larger than 4 MiB, and no one asked for it";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                Coding::Brotli => Box::new(brotli_decompressor::Decompressor::new(coded, BUFFER)),
            };
        }
        Ok(undone)
    }
}

/// Whether a word is no coding of the body: servers write there that nothing was done, how it was sent, or its charset.
fn is_none(word: &str) -> bool {
    let is_charset = Encoding::for_label(word.as_bytes()).is_some();
    is_charset || matches!(word, "" | "identity" | "none" | "binary" | "7bit" | "8bit" | "chunked" | "aws-chunked")
}

/// Whether deflate comes as the standard says. Some servers leave the frame out.
fn is_zlib(begin: &[u8]) -> bool {
    match begin {
        [method, flags, ..] => method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)).is_multiple_of(31),
        _ => false,
    }
}

/// How large the window of br is, as a power of two, by its first byte (RFC 7932, section 9.1).
fn window_bits(first: u8) -> u8 {
    match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        // Windows beyond the standard.
        (_, 0, 1) => u8::MAX,
        (_, 0, small) => 8 + small,
        (_, large, _) => 17 + large,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;

    use super::*;

    const BODY: &[u8] = b"in the cart, in the cart";

    /// What [`BODY`] is in br: one last part, stored as it is.
    fn brotli() -> Vec<u8> {
        // WBITS 16 (0), ISLAST 0, MNIBBLES 4 (00), MLEN - 1 in 16 bits, ISUNCOMPRESSED 1, padding; then ISLAST, ISEMPTY.
        let header = ((BODY.len() as u32 - 1) << 4) | (1 << 20);
        let mut coded = header.to_le_bytes()[..3].to_vec();
        coded.extend_from_slice(BODY);
        coded.push(0b11);
        coded
    }

    fn undone(header: &'static str, body: &[u8]) -> io::Result<Vec<u8>> {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(header))]);
        let mut bytes = Vec::new();
        Codings::of(&headers).unwrap().undo(body)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn each_coding_is_undone() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(BODY).unwrap();
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflate.write_all(BODY).unwrap();
        for (header, body) in [
            ("", BODY.to_vec()),
            ("identity", BODY.to_vec()),
            ("utf-8", BODY.to_vec()),
            ("ISO-8859-1", BODY.to_vec()),
            ("none", BODY.to_vec()),
            ("aws-chunked", BODY.to_vec()),
            ("aws-chunked, gzip", gzip(BODY)),
            ("GZip", gzip(BODY)),
            ("x-gzip", gzip(BODY)),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", deflate.finish().unwrap()),
            ("br", brotli()),
            ("gzip, gzip", gzip(&gzip(BODY))),
            ("br, identity, gzip", gzip(&brotli())),
        ] {
            assert_eq!(undone(header, &body).unwrap(), BODY, "{header}");
        }
    }

    #[test]
    fn an_empty_body_has_no_coding() {
        for header in ["gzip", "deflate", "br"] {
            assert_eq!(undone(header, b"").unwrap(), b"", "{header}");
        }
    }

    #[test]
    fn a_window_that_takes_much_memory_is_refused() {
        // The same word with windows of 4 MiB and of 16 MiB.
        assert!(undone("br", b"\x8b\x00\x80hi\x03").is_ok());
        assert!(undone("br", b"\x8f\x00\x80hi\x03").unwrap_err().to_string().contains("window"));
    }

    #[test]
    fn what_is_not_in_its_coding_is_an_error() {
        for header in ["gzip", "deflate", "br"] {
            assert!(undone(header, b"plain as day").is_err(), "{header}");
        }
    }

    #[test]
    fn what_can_not_be_undone_is_told() {
        for header in ["zstd", "gzip, compress", "gzip, gzip, gzip"] {
            let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(header))]);
            assert_eq!(Codings::of(&headers), Err(header.to_owned()));
        }
    }
}
