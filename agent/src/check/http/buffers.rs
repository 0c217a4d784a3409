//! The buffers between ureq and a connection: small at first, since most answers are, and bounded.
//!
//! ureq's own take 128 KiB and more for each connection that waits. Here a connection that waits for an answer has
//! 4 KiB for its head (head.rs): the buffer for output is given back once the answer begins, and the one for input is made
//! when the body goes on.

use ureq::unversioned::transport::Buffers;

use super::head;

const OUTPUT: usize = 16 * 1024;
const FIRST_INPUT: usize = 16 * 1024;
const MOST_INPUT: usize = head::MOST + FIRST_INPUT;

/// A connection's buffers: `input[consumed..filled]` was received and not yet used.
#[derive(Default)]
pub(super) struct GrowingBuffers {
    input: Vec<u8>,
    filled: usize,
    consumed: usize,
    progress: bool,
    output: Vec<u8>,
}

impl GrowingBuffers {
    /// Adds to the input what was received elsewhere.
    pub(super) fn append(&mut self, received: &[u8]) {
        self.output = Vec::new();
        self.input.truncate(self.filled);
        self.input.extend_from_slice(received);
        self.filled = self.input.len();
    }

    /// The first `amount` bytes of the output.
    pub(super) fn written(&self, amount: usize) -> &[u8] {
        &self.output[..amount]
    }
}

/// Without what is in them: a request holds credentials.
impl std::fmt::Debug for GrowingBuffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GrowingBuffers({} unused of {})", self.filled - self.consumed, self.input.len())
    }
}

impl Buffers for GrowingBuffers {
    fn output(&mut self) -> &mut [u8] {
        self.output.resize(OUTPUT, 0);
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        &self.input[self.consumed..self.filled]
    }

    /// Room for more input; none when the bound is reached.
    fn input_append_buf(&mut self) -> &mut [u8] {
        self.output = Vec::new();
        if self.consumed > 0 {
            self.input.copy_within(self.consumed..self.filled, 0);
            self.filled -= self.consumed;
            self.consumed = 0;
        }
        if self.filled == self.input.len() {
            let size = (self.input.len() * 2).clamp(FIRST_INPUT, MOST_INPUT);
            self.input.resize(size, 0);
        }
        &mut self.input[self.filled..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled += amount;
    }

    fn input_consume(&mut self, amount: usize) {
        self.consumed += amount;
        self.progress = amount > 0;
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.output.resize(OUTPUT, 0);
        if self.filled == self.input.len() {
            self.input.resize(self.filled + FIRST_INPUT, 0);
        }
        (&mut self.input[self.filled..], &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        self.progress && self.filled > self.consumed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_grows_to_its_bound_and_what_is_used_makes_room() {
        let mut buffers = GrowingBuffers::default();
        assert_eq!(buffers.input_append_buf().len(), FIRST_INPUT);
        loop {
            let room = buffers.input_append_buf().len();
            if room == 0 {
                break;
            }
            buffers.input_appended(room);
        }
        assert_eq!(buffers.input().len(), MOST_INPUT);
        buffers.input_consume(10);
        assert_eq!(buffers.input_append_buf().len(), 10);
    }

    #[test]
    fn input_is_used_again_only_after_progress() {
        let mut buffers = GrowingBuffers::default();
        buffers.input_append_buf()[..4].copy_from_slice(b"HTTP");
        buffers.input_appended(4);
        assert!(!buffers.can_use_input());
        buffers.input_consume(0);
        assert!(!buffers.can_use_input());
        buffers.input_consume(1);
        assert!(buffers.can_use_input());
    }
}
