//! Regular expressions whose memory and time are bounded, whatever the pattern and whatever the page.
//!
//! ```text
//! plain text ──▶ searched for as it is, without states
//!
//! program ≤ 256 KiB ──▶ lazy DFA ──────────────▶ found or not             (nearly always; a byte costs a nanosecond)
//!  at compile time       │ gives up when its states don't fit into 1 MiB, or at a non-ASCII byte with a Unicode \b
//!                        └─▶ one step per state and byte, when that is few steps ──▶ found or not
//!                             └─▶ else too costly: no one knows
//! ```
//!
//! Both ways together stay under half a second of CPU for any pattern and any page (the worst step takes 19 ns). The
//! memory for a search is given back after it: a thousand monitors with a pattern each keep a thousand programs, and no
//! caches. Equal patterns share one program, also over a reload.

mod search;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use regex_automata::MatchKind;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use regex_automata::util::prefilter::Prefilter;
use regex_syntax::hir::{Capture, Hir, HirKind, Look, LookSet, Repetition};
use settings::Wrong;

use super::dialect;
pub(crate) use search::Search;

/// Most bytes of a compiled program.
const PROGRAM: usize = 256 * 1024;
/// Most bytes of a search's remembered states.
const REMEMBERED: usize = 1024 * 1024;
/// How many times a search may forget them all and begin to remember again.
const FORGETS: usize = 2;
/// Most steps (states × bytes) of a search without remembered states.
const STEPS: usize = 16 * 1024 * 1024;
/// Most of a text that is held for such a search, where the pattern gives no reason to expect it.
const HELD: usize = 64 * 1024;

/// A regular expression over bytes.
#[derive(Clone)]
pub struct Pattern(Arc<Program>);

struct Program {
    source: String,
    /// Where the pattern is nothing but text, as many are: to begin with states would cost more than the search.
    text: Option<Prefilter>,
    /// One byte less than that text has.
    seam: usize,
    /// Whether it asks something of what follows a match, such as the end of the text or of a word.
    looks_ahead: bool,
    /// Up to this length a text can be searched step by step.
    most_held: usize,
    dfa: DFA,
    nfa: PikeVM,
}

/// The pattern can't be searched for in this page within the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pattern would take too long in this page: repeat less, or write (?-u:\\b), [0-9] and [a-z] in place of \\b, \\d and \\w"
)]
pub struct TooCostly;

/// Programs by what they were compiled from.
type Programs = HashMap<(String, Of), Weak<Program>>;

/// Every program that is in use.
static PROGRAMS: Mutex<Option<Programs>> = Mutex::new(None);

/// What a pattern is searched for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    /// `^` is the begin of a text, and `$` its end.
    Text,
    /// `^` and `$` are begin and end of a line, unless the pattern says `(?-m)`.
    Lines,
}

impl Pattern {
    /// Compiles a pattern, or takes the program of an equal one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(source: &str) -> Result<Pattern, Wrong> {
        Pattern::compile_for(source, Of::Text)
    }

    /// The same pattern for what is said in lines, such as by a mail server: `^` and `$` are begin and end of each.
    ///
    /// # Errors
    /// Where that takes too much memory.
    pub fn of_lines(&self) -> Result<Pattern, Wrong> {
        Pattern::compile_for(self.as_str(), Of::Lines)
    }

    fn compile_for(source: &str, of: Of) -> Result<Pattern, Wrong> {
        let mut programs = PROGRAMS.lock();
        let programs = programs.get_or_insert_default();
        let key = (source.to_owned(), of);
        if let Some(program) = programs.get(&key).and_then(Weak::upgrade) {
            return Ok(Pattern(program));
        }
        let program = Arc::new(Program::compile(source, of)?);
        if programs.len() == programs.capacity() {
            programs.retain(|_, program| program.strong_count() > 0);
        }
        programs.insert(key, Arc::downgrade(&program));
        Ok(Pattern(program))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.source
    }

    /// Whether the pattern is found somewhere in the text.
    ///
    /// # Errors
    /// When that would cost too much to know.
    pub fn is_in(&self, text: &[u8]) -> Result<bool, TooCostly> {
        let mut search = self.search();
        search.take(text);
        search.end()
    }
}

/// Equal patterns that are in use at the same time share one program.
impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Program {
    fn compile(source: &str, of: Of) -> Result<Program, Wrong> {
        if source.len() > wire::limits::PATTERN {
            let problem = format!("has {} bytes", source.len());
            return Err(Wrong::new(problem, format!("keep it within {}", wire::limits::PATTERN)));
        }
        let is_of_lines = of == Of::Lines;
        let mut parser =
            regex_syntax::ParserBuilder::new().utf8(false).multi_line(is_of_lines).crlf(is_of_lines).build();
        let hir = parser.parse(&dialect::in_ours(source)?).map_err(|error| {
            // The last of several lines says what is wrong; those before draw where.
            let told = error.to_string();
            let reason = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Wrong::new(format!("is no regular expression: {reason}"), "correct it, or escape it with a backslash")
        })?;
        // `\z`, which is the end alone, is the same to the parser.
        let hir = if source.contains('$') { ending_at_line(&hir) } else { hir };
        let built =
            program(&hir).and_then(|program| Some((dfa(&program)?, PikeVM::builder().build_from_nfa(program).ok()?)));
        let (dfa, nfa) = built.ok_or_else(|| {
            Wrong::new(
                format!("compiles to more than {} KiB", PROGRAM / 1024),
                "repeat less, or write [0-9] and [a-z] in place of \\d and \\w",
            )
        })?;
        let (text, seam) = match hir.kind() {
            HirKind::Literal(text) => {
                (Prefilter::new(MatchKind::LeftmostFirst, &[&text.0]), text.0.len().saturating_sub(1))
            }
            _ => (None, 0),
        };
        let looks = hir.properties().look_set();
        let before_it_only = LookSet::empty().insert(Look::Start).insert(Look::StartLF).insert(Look::StartCRLF);
        let looks_ahead = !looks.subtract(before_it_only).is_empty();
        let affordable = STEPS / nfa.get_nfa().states().len().max(1);
        let most_held = if looks.contains_word_unicode() { affordable } else { affordable.min(HELD) };
        Ok(Program { source: source.to_owned(), text, seam, looks_ahead, most_held, dfa, nfa })
    }
}

/// The same, but its end of the text may also be before a last line feed, as that of `$` in Perl and Python.
fn ending_at_line(hir: &Hir) -> Hir {
    let each = |parts: &[Hir]| parts.iter().map(ending_at_line).collect();
    match hir.kind() {
        HirKind::Look(Look::End) => {
            let last_line_feed =
                ["\r\n", "\n"].map(|feed| Hir::concat(vec![Hir::literal(feed.as_bytes()), Hir::look(Look::End)]));
            Hir::alternation([vec![Hir::look(Look::End)], last_line_feed.to_vec()].concat())
        }
        HirKind::Repetition(repetition) => {
            Hir::repetition(Repetition { sub: Box::new(ending_at_line(&repetition.sub)), ..repetition.clone() })
        }
        HirKind::Capture(capture) => {
            Hir::capture(Capture { sub: Box::new(ending_at_line(&capture.sub)), ..capture.clone() })
        }
        HirKind::Concat(parts) => Hir::concat(each(parts)),
        HirKind::Alternation(parts) => Hir::alternation(each(parts)),
        _ => hir.clone(),
    }
}

fn program(hir: &Hir) -> Option<NFA> {
    let config =
        NFA::config().utf8(false).nfa_size_limit(Some(PROGRAM)).which_captures(WhichCaptures::Implicit).shrink(false);
    NFA::compiler().configure(config).build_from_hir(hir).ok()
}

fn dfa(program: &NFA) -> Option<DFA> {
    let config = DFA::config()
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
    fn what_is_found_does_not_depend_on_the_pieces_of_the_text() {
        for (pattern, text) in [
            ("cart", &b"in the cart, in the cart"[..]),
            ("cart", b"cacacarcart"),
            (r"c.rt \d+", b"a cort 4, a cart 42"),
            ("^pong$", b"pong\r\n"),
            ("^pong$", b"pong\n."),
            (r"\bpong\b", b"pongo pong"),
            (r"\bpong\b", "schön, pong".as_bytes()),
            (r"\bpong\b", "schön, pongs".as_bytes()),
            ("(?m)^b$", b"a\nb\nc"),
            ("", b""),
        ] {
            let pattern = Pattern::compile(pattern).unwrap();
            let whole = pattern.is_in(text);
            for size in 1..=text.len() {
                let mut search = pattern.search();
                text.chunks(size).for_each(|piece| search.take(piece));
                assert_eq!(search.end(), whole, "{pattern:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_pattern_is_found_with_its_last_byte_unless_it_asks_for_what_follows() {
        for (pattern, text, found) in [
            ("ok", "data: ok", true),
            ("^data: .k", "data: ok", true),
            ("ok$", "data: ok", false),
            (r"\bok\b", "data: ok", false),
            (r"\bok\b", "data: ok\n", true),
            ("(?m)ok$", "data: ok\n", true),
        ] {
            let pattern = Pattern::compile(pattern).unwrap();
            let mut search = pattern.search();
            search.take(text.as_bytes());
            assert_eq!(search.is_found(), found, "{pattern:?} in {text:?}");
            assert_eq!(search.end(), Ok(true));
        }
    }

    #[test]
    fn a_long_text_is_not_held() {
        let (ascii, words) = (Pattern::compile("no+t").unwrap(), Pattern::compile(r"\bnot\b").unwrap());
        for (pattern, text, held) in [(&ascii, "x", 0), (&words, "x", 500_000), (&words, "ö", 500_000)] {
            let mut search = pattern.search();
            let text = text.repeat(500_000 / text.len());
            text.as_bytes().chunks(1_000).for_each(|piece| search.take(piece));
            assert_eq!(search.holds(), held, "{pattern:?}");
            assert_eq!(search.end(), Ok(false));
        }
    }

    #[test]
    fn a_dollar_is_the_end_or_lies_before_a_last_line_feed() {
        for (pattern, text, found) in [
            ("^pong$", "pong", true),
            ("^pong$", "pong\n", true),
            ("^pong$", "pong\r\n", true),
            ("^pong$", "pong\n\n", false),
            ("^pong$", "pong\npang\n", false),
            (r"^pong\z", "pong\n", false),
        ] {
            assert_eq!(is_in(pattern, text), Ok(found), "{pattern} in {text:?}");
        }
    }

    #[test]
    fn in_lines_begin_and_end_are_those_of_each() {
        for (pattern, text, found) in [
            ("^pong$", "ping\r\npong\r\n", true),
            (r"^220 .* ESMTP (.+)$", "220 mail.example ESMTP Postfix\r\n", true),
            (r"^192\.0\.2\.1$", "192.0.2.7\n192.0.2.1\n", true),
            (r"^192\.0\.2\.1$", "192.0.2.17\n", false),
            ("(?-m)^pong$", "ping\npong\n", false),
        ] {
            let of_lines = Pattern::compile(pattern).unwrap().of_lines().unwrap();
            assert_eq!(of_lines.is_in(text.as_bytes()), Ok(found), "{pattern} in {text:?}");
        }
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
        assert_eq!(one, other);
        let held = Arc::downgrade(&one.0);
        drop((one, other));
        assert!(held.upgrade().is_none());
        assert_eq!(is_in("shared by two", "shared by two"), Ok(true));
    }
}
