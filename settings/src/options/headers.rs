//! Reads the headers of requests that the program sends. Their values may be secrets, so no value is ever shown.

use axum::http::header::{self, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::{Section, Wrong};

const MOST_HEADERS: usize = 64;
const MOST_BYTES: usize = 4_096;

/// Headers that belong to the connection and not to the request.
const RESERVED: [HeaderName; 8] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
];

impl Section<'_> {
    /// Reads headers by name. The option `<name>_file` reads a value from a file.
    pub fn headers(&mut self, key: &str) -> HeaderMap {
        self.section(key, read)
    }
}

fn read(section: &mut Section<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for key in section.names() {
        let name = key.strip_suffix("_file").unwrap_or(&key).to_owned();
        if section.is_null(&key) {
            section.fault(&key, "has no value", "give it one, or remove it");
            continue;
        }
        // `secret` reads a value and its file together, so the second of the two options was read already.
        if !section.has(&key) {
            continue;
        }
        let Some(value) = section.secret(&name) else { continue };
        match header(&name, &value) {
            Ok((name, value)) if headers.contains_key(&name) => {
                drop(value);
                section.fault(&key, "stands here twice", "keep one of them");
            }
            Ok((name, value)) => drop(headers.insert(name, value)),
            Err(wrong) => section.fault(&key, wrong.problem, wrong.mend),
        }
    }
    if headers.len() > MOST_HEADERS {
        section.fault("…", format!("are {}", headers.len()), format!("keep at most {MOST_HEADERS}"));
    }
    headers
}

fn header(name: &str, value: &SecretString) -> Result<(HeaderName, HeaderValue), Wrong> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Wrong::new("is no name of a header", "write letters, digits and dashes"))?;
    if RESERVED.contains(&parsed) {
        return Err(Wrong::new("belongs to the connection, which the client makes", "remove it"));
    }
    let value = header_value(value.expose_secret())?;
    let ascii = [header::HOST, AUTHORIZATION].contains(&parsed);
    if ascii && value.to_str().is_err() {
        return Err(Wrong::new("holds a character that is not ASCII", "write it in ASCII"));
    }
    Ok((parsed, value))
}

/// Returns a text as the value of a header, which is never shown.
///
/// # Errors
/// Fails with what is wrong with the text.
pub fn header_value(value: &str) -> Result<HeaderValue, Wrong> {
    if value.len() > MOST_BYTES {
        return Err(Wrong::new(format!("has {} bytes", value.len()), format!("keep it within {MOST_BYTES}")));
    }
    let mut value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| Wrong::new("holds a character that no header can hold, such as a line break", "remove it"))?;
    value.set_sensitive(true);
    Ok(value)
}
