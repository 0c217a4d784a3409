//! A class of hostile messages: what they are, and what is to become of each.

use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use crate::forge::Forge;

/// What is to become of a message.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// A row.
    Stored,
    /// No row, but its number is accounted for: a report or a declaration.
    Noted,
    /// Nothing: its number arrived before.
    Known,
    /// Set aside for this reason, with a detail that holds this, its number accounted for.
    Aside(&'static str, String),
    /// The same, but it has no number that can be read.
    Nameless(&'static str, String),
}

/// Between two good messages of an epoch of its own there are bad ones, or odd ones.
pub(super) struct Class {
    pub(super) name: String,
    pub(super) forge: Forge,
    pub(super) messages: Vec<Bad>,
    /// The number of the good one that follows.
    pub(super) next: u64,
    /// How many numbers arrive that are higher than that of the stop.
    pub(super) beyond: u64,
    /// What `verify` then says.
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

    /// One more message; its number, which `make` is told, is the next one.
    pub(super) fn message(self, end: End, make: impl FnOnce(&Forge, u64) -> Vec<u8>) -> Class {
        let value = make(&self.forge, self.next);
        self.value(end, Some(value))
    }

    /// One more message, of any bytes or of none.
    pub(super) fn value(self, end: End, value: Option<Vec<u8>>) -> Class {
        self.keyed(end, Some(b"forged".to_vec()), value)
    }

    pub(super) fn keyed(mut self, end: End, key: Option<Vec<u8>>, value: Option<Vec<u8>>) -> Class {
        self.next += u64::from(!matches!(end, End::Nameless(..) | End::Known));
        self.messages.push(Bad { key, value, end });
        self
    }

    /// The good one that follows has this number.
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

/// The message with a field, by its path, set to a JSON text, or to what is none.
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

/// The message without a field.
pub(super) fn without(message: &[u8], field: &str) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(message).expect("records are JSON");
    value.as_object_mut().expect("records are objects").remove(field).expect("it was there");
    value.to_string().into_bytes()
}

/// The message with other bytes for some of its own.
pub(super) fn bent(message: &[u8], from: &str, to: &[u8]) -> Vec<u8> {
    let at = message.windows(from.len()).position(|window| window == from.as_bytes()).expect("it is there");
    [&message[..at], to, &message[at + from.len()..]].concat()
}

/// Days from now.
pub(super) fn days(days: i64) -> Timestamp {
    Timestamp::now() + (24 * days).hours()
}

/// Text of this many bytes, as JSON.
pub(super) fn long(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes))
}
