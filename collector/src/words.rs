//! Writes shares, times and durations as reports, pages and messages show them.

use jiff::{SignedDuration, Timestamp};

/// Returns a share as a percentage. It is never rounded up: only a whole share is shown as 100%.
pub fn percent(part: f64) -> String {
    // A share such as 0.29 lies a little below its decimal digits, and must still be shown with them.
    let thousandths = (part * 1e5 + 1e-6).floor();
    format!("{:.3}%", if part < 1.0 { thousandths.min(99_999.0) } else { thousandths } / 1e3)
}

/// Returns the time without its fraction of a second.
pub fn to_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Returns a text such as `2d 3h 4m`, or the seconds of a duration below a minute.
pub fn shortly(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m")];
    match seconds {
        0..60 => format!("{seconds}s"),
        _ => parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_percent_is_only_what_is_whole() {
        assert_eq!((percent(1.0), percent(0.999_999_9)), ("100.000%".into(), "99.999%".into()));
        assert_eq!((percent(0.999_999_999_999), percent(0.29)), ("99.999%".into(), "29.000%".into()));
    }
}
