//! Regular expressions whose memory and time are bounded, whatever the pattern and whatever the page.
//!
//! ```text
//! plain text ──▶ searched for as it is, without states
//!
//! program ≤ 256 KiB ──▶ lazy DFA ──────────────▶ found or not             (nearly always; a byte costs a nanosecond)
//!  at compile time       │ gives up when its states don't fit into 1 MiB, or at a non-ASCII byte with a Unicode \b
//!                        └─▶ one step per state and byte, when that is few steps ──▶ found or not
//!                             └─▶ else too costly: nobody knows
//! ```
//!
//! Both ways together stay under half a second of CPU for any pattern and any page (the worst step takes 19 ns). The
//! memory for a search is given back after it: a thousand monitors with a pattern each keep a thousand programs, and no
//! caches. Equal patterns share one program, also over a reload.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use regex_automata::util::prefilter::Prefilter;
use regex_automata::{Input, MatchKind, Span};
use regex_syntax::hir::{Hir, HirKind};
use settings::Wrong;

/// Most bytes of a compiled program.
const PROGRAM: usize = 256 * 1024;
/// Most bytes of a search's remembered states.
const REMEMBERED: usize = 1024 * 1024;
/// How many times a search may forget them all and begin to remember anew.
const FORGETS: usize = 2;
/// Most steps (states × bytes) of a search without remembered states.
const STEPS: usize = 16 * 1024 * 1024;

/// A regular expression over bytes.
#[derive(Clone)]
pub struct Pattern(Arc<Program>);

struct Program {
    source: String,
    /// Where the pattern is nothing but text, as many are: to begin with states would cost more than the search.
    text: Option<Prefilter>,
    dfa: DFA,
    nfa: PikeVM,
}

/// The pattern can't be searched for in this page within the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pattern would take too long in this page: repeat less, or write (?-u:\\b), [0-9] and [a-z] in place of \\b, \\d and \\w"
)]
pub struct TooCostly;

/// Every program that is in use.
static PROGRAMS: Mutex<Option<HashMap<String, Weak<Program>>>> = Mutex::new(None);

impl Pattern {
    /// Compiles a pattern, or takes the program of an equal one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(source: &str) -> Result<Pattern, Wrong> {
        let mut programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
        let programs = programs.get_or_insert_default();
        if let Some(program) = programs.get(source).and_then(Weak::upgrade) {
            return Ok(Pattern(program));
        }
        let program = Arc::new(Program::compile(source)?);
        if programs.len() == programs.capacity() {
            programs.retain(|_, program| program.strong_count() > 0);
        }
        programs.insert(source.to_owned(), Arc::downgrade(&program));
        Ok(Pattern(program))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.source
    }

    /// Whether the two share one program.
    #[cfg(test)]
    pub(crate) fn is_same(&self, other: &Pattern) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether the pattern is found somewhere in the text.
    ///
    /// # Errors
    /// When that would cost too much to know.
    pub fn is_in(&self, text: &[u8]) -> Result<bool, TooCostly> {
        let Program { text: plain, dfa, nfa, .. } = &*self.0;
        if let Some(plain) = plain {
            return Ok(plain.find(text, Span::from(0..text.len())).is_some());
        }
        let input = Input::new(text).earliest(true);
        match dfa.try_search_fwd(&mut dfa.create_cache(), &input) {
            Ok(found) => Ok(found.is_some()),
            Err(_) if nfa.get_nfa().states().len().saturating_mul(text.len()) <= STEPS => {
                Ok(nfa.is_match(&mut nfa.create_cache(), input))
            }
            Err(_) => Err(TooCostly),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Program {
    fn compile(source: &str) -> Result<Program, Wrong> {
        if source.len() > wire::limits::PATTERN {
            let problem = format!("has {} bytes", source.len());
            return Err(Wrong::new(problem, format!("keep it within {}", wire::limits::PATTERN)));
        }
        let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(source).map_err(|error| {
            // The last of several lines says what is wrong; those before draw where.
            let told = error.to_string();
            let reason = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Wrong::new(format!("is no regular expression: {reason}"), "correct it, or escape it with a backslash")
        })?;
        let built = program(&hir)
            .and_then(|program| Some((dfa(&hir, &program)?, PikeVM::builder().build_from_nfa(program).ok()?)));
        let (dfa, nfa) = built.ok_or_else(|| {
            Wrong::new(
                format!("compiles to more than {} KiB", PROGRAM / 1024),
                "repeat less, or write [0-9] and [a-z] in place of \\d and \\w",
            )
        })?;
        let text = match hir.kind() {
            HirKind::Literal(text) => Prefilter::new(MatchKind::LeftmostFirst, &[&text.0]),
            _ => None,
        };
        Ok(Program { source: source.to_owned(), text, dfa, nfa })
    }
}

fn program(hir: &Hir) -> Option<NFA> {
    let config =
        NFA::config().utf8(false).nfa_size_limit(Some(PROGRAM)).which_captures(WhichCaptures::Implicit).shrink(false);
    NFA::compiler().configure(config).build_from_hir(hir).ok()
}

fn dfa(hir: &Hir, program: &NFA) -> Option<DFA> {
    // A prefilter that stops at every other byte costs more than it saves.
    let literals = Prefilter::from_hir_prefix(MatchKind::LeftmostFirst, hir).filter(Prefilter::is_fast);
    let config = DFA::config()
        .prefilter(literals)
        .unicode_word_boundary(true)
        .cache_capacity(REMEMBERED)
        .skip_cache_capacity_check(true)
        .minimum_cache_clear_count(Some(FORGETS));
    DFA::builder().configure(config).build_from_nfa(program.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(pattern: &str, text: impl AsRef<[u8]>) -> Result<bool, TooCostly> {
        Pattern::compile(pattern).unwrap().is_in(text.as_ref())
    }

    #[test]
    fn a_pattern_is_found_anywhere_in_bytes_of_any_kind() {
        assert_eq!(is_in(r"cart \d+", b"\xff\0 cart 42"), Ok(true));
        assert_eq!(is_in("^cart", "a cart"), Ok(false));
        assert_eq!(is_in("(?m)^cart$", "a\ncart\n"), Ok(true));
        assert_eq!(is_in("(?i)SCHÖN", "wie schön"), Ok(true));
        assert_eq!(is_in("", ""), Ok(true));
        assert_eq!(is_in("cart", b"\xff a cart"), Ok(true));
        assert_eq!(is_in("cart", "a car"), Ok(false));
        assert_eq!(is_in(r"a\.b", "a.b"), Ok(true));
        assert_eq!(is_in(r"a\.b", "axb"), Ok(false));
        assert_eq!(is_in(r"(?-u)\xff", b"a\xff"), Ok(true));
    }

    #[test]
    fn a_word_boundary_is_found_beside_letters_of_any_script() {
        assert_eq!(is_in(r"\bschön\b", "wunderschön, schön!"), Ok(true));
        assert_eq!(is_in(r"\bschön\b", "wunderschön, schöner!"), Ok(false));
    }

    /// Half of what follows an `a` and half of what follows a `b`: each step meets a state that was never met before.
    fn coin_flips(length: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut flip = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state.is_multiple_of(2) { b'a' } else { b'b' }
        };
        (0..length).map(|_| flip()).collect()
    }

    #[test]
    fn the_most_costly_patterns_are_refused_or_end_soon() {
        let text = coin_flips(1024 * 1024);
        for pattern in [r"\w{1,200}\W", r"[ab]*a[ab]{4000}c"] {
            assert!(Pattern::compile(pattern).unwrap_err().problem.contains("256 KiB"), "{pattern}");
        }
        for pattern in ["[ab]*a[ab]{50}c", "[ab]*a[ab]{1000}c", "(?:[ab]*a[ab]{40}|a.*b.*a.*b.*)c"] {
            assert_eq!(is_in(pattern, &text), Err(TooCostly), "{pattern}");
        }
        for pattern in [r"\w{1,11}!", "[ab]*a[ab]{10}c", "(a|aa|aaa|b){1,300}c"] {
            assert_eq!(is_in(pattern, &text), Ok(false), "{pattern}");
        }
        assert_eq!(is_in("[ab]*a[ab]{50}c", &text[..50_000]), Ok(false), "few steps in a short text");
    }

    #[test]
    fn equal_patterns_share_one_program_as_long_as_one_is_in_use() {
        let one = Pattern::compile("shared by two").unwrap();
        let other = Pattern::compile("shared by two").unwrap();
        assert!(one.is_same(&other));
        let held = Arc::downgrade(&one.0);
        drop((one, other));
        assert!(held.upgrade().is_none());
        assert_eq!(is_in("shared by two", "shared by two"), Ok(true));
    }
}
