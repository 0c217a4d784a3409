//! A pattern, looked for in a text while it comes, piece by piece, so that no text has to be held to be searched.
//!
//! ```text
//! piece ──▶ plain text ──▶ searched for, over the seams between pieces, too
//!       ──▶ lazy DFA ────▶ one state, and one step for each byte
//!                           │ gives up
//!                           └─▶ the text from its begin, where it is short enough to be held ──▶ searched when it ends
//! ```
//! What is found does not depend on how the text was cut into pieces. A pattern that asks nothing of what follows is found
//! as soon as its last byte came.

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input, Span};

use super::{Pattern, Program, TooCostly};

/// A search under way.
pub(crate) struct Search<'p> {
    program: &'p Program,
    by: By,
    /// The text so far, for the day that the states are given up; none once it is too long for that.
    held: Option<Vec<u8>>,
}

enum By {
    /// The last bytes that came, too few to be the text.
    Text {
        seam: Vec<u8>,
    },
    States {
        cache: Box<Cache>,
        state: LazyStateID,
    },
    /// Step by step, when the text is whole.
    Steps,
    Found,
}

enum Walk {
    Found,
    On(LazyStateID),
    GivenUp,
}

impl Pattern {
    /// Begins to look for the pattern in a text.
    pub(crate) fn search(&self) -> Search<'_> {
        let program = &*self.0;
        let by = match &program.text {
            Some(_) => By::Text { seam: Vec::new() },
            None => {
                let mut cache = Box::new(program.dfa.create_cache());
                match program.dfa.start_state_forward(&mut cache, &Input::new("").anchored(Anchored::No)) {
                    Ok(state) => By::States { cache, state },
                    Err(_) => By::Steps,
                }
            }
        };
        let held = program.text.is_none().then(Vec::new);
        Search { program, by, held }
    }
}

impl Search<'_> {
    /// The pattern as it was written.
    pub(crate) fn source(&self) -> &str {
        &self.program.source
    }

    /// How many bytes of the text it holds.
    pub(crate) fn holds(&self) -> usize {
        self.held.as_ref().map_or(0, Vec::len)
    }

    /// Whether the pattern was found, so that the rest of the text changes nothing.
    pub(crate) fn is_found(&self) -> bool {
        matches!(self.by, By::Found)
    }

    /// Looks into the next piece.
    pub(crate) fn take(&mut self, piece: &[u8]) {
        self.hold(piece);
        let program = self.program;
        let found = match &mut self.by {
            By::Found | By::Steps => return,
            By::Text { seam } => {
                let text = program.text.as_ref();
                let is_in = |text_of: &[u8]| {
                    text.is_some_and(|text| text.find(text_of, Span::from(0..text_of.len())).is_some())
                };
                let over = program.seam;
                seam.extend_from_slice(&piece[..piece.len().min(over)]);
                let found = is_in(seam) || is_in(piece);
                if piece.len() >= over {
                    seam.clear();
                    seam.extend_from_slice(&piece[piece.len() - over..]);
                } else {
                    seam.drain(..seam.len().saturating_sub(over));
                }
                found
            }
            By::States { cache, state } => match walk(&program.dfa, cache, *state, piece, program.looks_ahead) {
                Walk::Found => true,
                Walk::On(next) => {
                    *state = next;
                    false
                }
                Walk::GivenUp => {
                    self.by = By::Steps;
                    return;
                }
            },
        };
        if found {
            self.by = By::Found;
            self.held = None;
        }
    }

    /// Whether the pattern is in the text, which ends here.
    ///
    /// # Errors
    /// When that would cost too much to know.
    pub(crate) fn end(mut self) -> Result<bool, TooCostly> {
        if let By::States { cache, state } = &mut self.by {
            match self.program.dfa.next_eoi_state(cache, *state) {
                Ok(state) if state.is_match() => return Ok(true),
                Ok(state) if !state.is_quit() => return Ok(false),
                _ => self.by = By::Steps,
            }
        }
        match (self.by, self.held) {
            (By::Found, _) => Ok(true),
            (By::Steps, Some(text)) => {
                let nfa = &self.program.nfa;
                Ok(nfa.is_match(&mut nfa.create_cache(), Input::new(&text).earliest(true)))
            }
            (By::Steps, None) => Err(TooCostly),
            (By::Text { .. } | By::States { .. }, _) => Ok(false),
        }
    }

    fn hold(&mut self, piece: &[u8]) {
        if let Some(held) = &mut self.held {
            if held.len() + piece.len() > self.program.most_held {
                self.held = None;
            } else {
                held.extend_from_slice(piece);
            }
        }
    }
}

/// Steps through a piece. Where the pattern looks at nothing that follows it, also tells of one that ends with the piece.
fn walk(dfa: &DFA, cache: &mut Cache, mut state: LazyStateID, piece: &[u8], looks_ahead: bool) -> Walk {
    for byte in piece {
        match dfa.next_state(cache, state, *byte) {
            Ok(next) if next.is_match() => return Walk::Found,
            Ok(next) if next.is_quit() => return Walk::GivenUp,
            Ok(next) => state = next,
            Err(_) => return Walk::GivenUp,
        }
    }
    if looks_ahead {
        return Walk::On(state);
    }
    // States are matches one byte late. This asks what the end of the text would tell; when the cache had to be emptied
    // for it, the state before it is gone.
    let before = cache.memory_usage();
    match dfa.next_eoi_state(cache, state) {
        Ok(next) if next.is_match() => Walk::Found,
        Ok(_) if cache.memory_usage() >= before => Walk::On(state),
        _ => Walk::GivenUp,
    }
}
