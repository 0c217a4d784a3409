//! Regular expressions with a bound on their size, which bounds their time too.

use regex::bytes::{Regex, RegexBuilder};
use settings::Wrong;

/// Most bytes of a compiled program. Each byte that is searched costs at most a step per instruction.
const SIZE_LIMIT: usize = 256 * 1024;

pub(super) fn compile(pattern: &str) -> Result<Regex, Wrong> {
    if pattern.len() > wire::limits::PATTERN {
        let problem = format!("has {} bytes", pattern.len());
        return Err(Wrong::new(problem, format!("keep it within {}", wire::limits::PATTERN)));
    }
    RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Wrong::new(
            format!("compiles to more than {} KiB", SIZE_LIMIT / 1024),
            "repeat less, or write [0-9] and [a-z] in place of \\d and \\w",
        ),
        other => {
            // The last of several lines says what is wrong; those before draw where.
            let told = other.to_string();
            let reason = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Wrong::new(format!("is no regular expression: {reason}"), "correct it, or escape it with a backslash")
        }
    })
}
