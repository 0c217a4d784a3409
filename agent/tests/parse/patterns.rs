//! Patterns: whatever compiles can be looked for in whatever there is.

use agent::config::Pattern;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::try_cases;

#[test]
fn every_pattern_is_refused_or_can_be_looked_for() {
    let pattern =
        r"([abc.]|\\[wWdDbBsSxpP]|[\(\)\[\]\|\*\+\?\^\$]|\{[0-9]{1,3}(,[0-9]{0,3})?\}|\(\?[-isumx]{1,2}\)|ö){0,12}";
    let text =
        prop_oneof![vec(proptest::sample::select(&b"abc \xc3\xb6\xff\n0"[..]), 0..2_000), vec(any::<u8>(), 0..2_000)];
    try_cases("patterns", &(pattern, text), |(pattern, text)| {
        match Pattern::compile(&pattern) {
            // Whether it is there is not known here; that it ends is.
            Ok(pattern) => drop(pattern.is_in(&text)),
            Err(wrong) => prop_assert!(!wrong.problem.is_empty() && !wrong.mend.is_empty()),
        }
        Ok(())
    });
}
