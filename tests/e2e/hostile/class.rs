//! Describes a class of hostile messages: their contents, and how each of them should be handled.

use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use crate::forge::Forge;

/// How a message should be handled.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// The message becomes a row.
    Stored,
    /// The message becomes no row, but its number is accounted. It is a report or a declaration.
    Noted,
    /// The message changes nothing, because its number arrived before.
    Known,
    /// The message is set aside for this reason, with a detail that contains this text. Its number is accounted.
    Aside(&'static str, String),
    /// The message is set aside for this reason, with a detail that contains this text. Its number cannot be read.
    Nameless(&'static str, String),
}

/// A class of bad or odd messages. They are sent between two good messages, in an epoch of their own.
pub(super) struct Class {
    pub(super) name: String,
    pub(super) forge: Forge,
    pub(super) messages: Vec<Bad>,
    /// The sequence number of the good message that follows.
    pub(super) next: u64,
    /// The count of arriving numbers that are higher than the number of the stop.
    pub(super) beyond: u64,
    /// The count of dropped numbers that `verify` should show.
    pub(super) dropped: u64,
}

pub(super) struct Bad {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) end: End,
}

impl Class {
    pub(super) fn new(name: impl Into<String>) -> Class {
        let name = name.into();
        let forge = Forge::new(&format!("agent of {}", name.chars().take(60).collect::<String>()));
        Class { name, forge, messages: Vec::new(), next: 3, beyond: 0, dropped: 0 }
    }

    /// Adds a message. `make` gets the next sequence number for it.
    pub(super) fn message(self, end: End, make: impl FnOnce(&Forge, u64) -> Vec<u8>) -> Class {
        let value = make(&self.forge, self.next);
        self.value(end, Some(value))
    }

    /// Adds a message whose value is any bytes, or which has no value.
    pub(super) fn value(self, end: End, value: Option<Vec<u8>>) -> Class {
        self.keyed(end, Some(b"forged".to_vec()), value)
    }

    pub(super) fn keyed(mut self, end: End, key: Option<Vec<u8>>, value: Option<Vec<u8>>) -> Class {
        self.next += u64::from(!matches!(end, End::Nameless(..) | End::Known));
        self.messages.push(Bad { key, value, end });
        self
    }

    /// Sets the sequence number of the good message that follows.
    pub(super) fn next(self, next: u64) -> Class {
        Class { next, ..self }
    }

    pub(super) fn beyond_the_stop(self, beyond: u64) -> Class {
        Class { beyond, ..self }
    }

    pub(super) fn dropped(self, dropped: u64) -> Class {
        Class { dropped, ..self }
    }
}

pub(super) fn aside(reason: &'static str, detail: &str) -> End {
    End::Aside(reason, detail.into())
}

pub(super) fn bad(detail: &str) -> End {
    aside("bad_field", detail)
}

pub(super) fn nameless(reason: &'static str, detail: &str) -> End {
    End::Nameless(reason, detail.into())
}

/// Returns the message with the field at this path replaced by a text, which may be JSON or not.
pub(super) fn with(message: &[u8], path: &str, json: &str) -> Vec<u8> {
    const HERE: &str = "\u{1}here";
    let mut value: Value = serde_json::from_slice(message).expect("records are JSON");
    let mut place = &mut value;
    for part in path.split('.') {
        place = match part.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[part],
        };
    }
    *place = HERE.into();
    value.to_string().replacen(&serde_json::to_string(HERE).expect("text"), json, 1).into_bytes()
}

/// Returns the message without a field.
pub(super) fn without(message: &[u8], field: &str) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(message).expect("records are JSON");
    value.as_object_mut().expect("records are objects").remove(field).expect("it was there");
    value.to_string().into_bytes()
}

/// Returns the message with the first occurrence of some bytes replaced by other bytes.
pub(super) fn bent(message: &[u8], from: &str, to: &[u8]) -> Vec<u8> {
    let at = message.windows(from.len()).position(|window| window == from.as_bytes()).expect("it is there");
    [&message[..at], to, &message[at + from.len()..]].concat()
}

/// Returns the time this number of days from now.
pub(super) fn days(days: i64) -> Timestamp {
    Timestamp::now() + (24 * days).hours()
}

/// Returns a text of this number of bytes, as JSON.
pub(super) fn long(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes))
}
