//! One column of a row in the binary form of COPY: the length of its value, and the value, big-endian.

use diesel::pg::data_types::PgTimestamp;

/// The length of a column without a value.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// A value of a column.
pub(super) trait Column {
    /// Appends the value.
    fn encode(&self, out: &mut Vec<u8>);
}

fn append(value: &[u8], out: &mut Vec<u8>) {
    // The texts of the wire are far shorter than this bound.
    let len = i32::try_from(value.len()).unwrap_or(i32::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(value);
}

impl Column for i16 {
    fn encode(&self, out: &mut Vec<u8>) {
        append(&self.to_be_bytes(), out);
    }
}

impl Column for i32 {
    fn encode(&self, out: &mut Vec<u8>) {
        append(&self.to_be_bytes(), out);
    }
}

impl Column for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        append(&self.to_be_bytes(), out);
    }
}

impl Column for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        append(&[u8::from(*self)], out);
    }
}

impl Column for &str {
    fn encode(&self, out: &mut Vec<u8>) {
        append(self.as_bytes(), out);
    }
}

impl Column for PgTimestamp {
    fn encode(&self, out: &mut Vec<u8>) {
        append(&self.0.to_be_bytes(), out);
    }
}

impl<T: Column> Column for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.encode(out),
            None => out.extend_from_slice(&NULL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_follows_its_length_and_no_value_is_a_length_of_minus_one() {
        let encoded = |column: &dyn Column| {
            let mut out = Vec::new();
            column.encode(&mut out);
            out
        };
        assert_eq!(encoded(&258_i16), [0, 0, 0, 2, 1, 2]);
        assert_eq!(encoded(&Some("ab")), [0, 0, 0, 2, b'a', b'b']);
        assert_eq!(encoded(&Some(true)), [0, 0, 0, 1, 1]);
        assert_eq!(encoded(&PgTimestamp(1)), [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(encoded(&None::<i64>), [0xff; 4]);
    }
}
