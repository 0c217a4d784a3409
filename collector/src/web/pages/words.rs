//! Numbers, times and lists as people read them.

use std::fmt::{self, Display};

use askama::filters::HtmlSafe;
use jiff::{SignedDuration, Timestamp};

use crate::text::plain;
use crate::words::{shortly, to_seconds};

/// Returns a number with groups of digits: `1,234,567`.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut shown = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if number < 0 { format!("−{shown}") } else { shown }
}

/// Returns a count with its noun: `1 check`, `2 checks`.
pub(super) fn counted(number: i64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", grouped(number))
}

/// Returns microseconds with three digits: `0.35 ms`, `12.3 ms`, `1.23 s`.
pub(super) fn time_taken(us: f64) -> String {
    let (number, unit) = if us < 999_500.0 { (us / 1e3, "ms") } else { (us / 1e6, "s") };
    let digits = match number {
        0.0 => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{number:.digits$} {unit}")
}

/// Returns a list of names that come from strangers: `a`, `a and b`, `a, b and c`.
pub(super) fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| plain(name)).collect();
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// Returns how long ago a moment was: `3h 5m ago`. A moment in the future counts as now.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", roughly(now.duration_since(at.min(now))))
}

/// Returns a duration. A duration of two days or more is given in whole days.
pub(super) fn roughly(duration: SignedDuration) -> String {
    match duration.as_hours() / 24 {
        0..=1 => shortly(duration),
        days => format!("{days}d"),
    }
}

/// A moment in UTC for people and programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct When(pub(super) Timestamp);

// The text contains only digits and what stands between them.
impl HtmlSafe for When {}

impl Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = to_seconds(self.0);
        write!(f, "<time datetime=\"{at}\">{}</time>", at.to_string().replacen('T', " ", 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_groups_of_three() {
        assert_eq!([0, 999, 1_000, -1_234_567].map(grouped).join(" "), "0 999 1,000 −1,234,567");
        assert_eq!((counted(1, "check"), counted(2_000, "check")), ("1 check".into(), "2,000 checks".into()));
        let times = [0.0, 350.0, 9_996.0, 12_345.0, 123_456.0, 999_600.0, 31_000_000.0].map(time_taken);
        assert_eq!(times.join(" "), "0 ms 0.35 ms 10.0 ms 12.3 ms 123 ms 1.00 s 31.0 s");
    }

    #[test]
    fn names_are_listed_as_in_a_sentence() {
        let names: Vec<String> = ["a", "b\0", "c"].map(String::from).into();
        assert_eq!((listed(&names[..0]), listed(&names[..1])), (String::new(), "a".into()));
        assert_eq!(listed(&names), "a, b\\u{0} and c");
    }

    #[test]
    fn moments_are_of_utc_and_to_the_second() {
        let at: Timestamp = "2026-11-27T13:10:03.7Z".parse().unwrap();
        assert_eq!(When(at).to_string(), "<time datetime=\"2026-11-27T13:10:03Z\">2026-11-27 13:10:03Z</time>");
        assert_eq!(
            (ago(at - jiff::SignedDuration::from_mins(65), at), ago(at, at - jiff::SignedDuration::from_mins(1))),
            ("1h 5m ago".into(), "0s ago".into())
        );
    }
}
