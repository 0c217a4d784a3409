//! How far back is looked, and in which bars.

use jiff::{SignedDuration, Timestamp};

/// How far back is looked, in bars of equal length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Period {
    /// 24 hours, by the hour.
    #[default]
    Day,
    /// 30 days of UTC, by the day.
    Month,
    /// 90 days of UTC, by the day.
    Quarter,
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// A result may be on its way for so long: what is newer is not looked at, since it would look like a gap.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(30);

impl Period {
    /// How long a bar is, and how many there are.
    pub const fn bars(self) -> (SignedDuration, i32) {
        match self {
            Period::Day => (HOUR, 24),
            Period::Month => (DAY, 30),
            Period::Quarter => (DAY, 90),
        }
    }

    /// The edges of the bars at a moment, oldest first: one more than bars, and the last bar is cut.
    pub fn edges(self, now: Timestamp) -> Vec<Timestamp> {
        let (bar, bars) = self.bars();
        let until = now.saturating_sub(ON_ITS_WAY).unwrap_or(now);
        let into = until.as_second().rem_euclid(bar.as_secs());
        let last = Timestamp::from_second(until.as_second() - into).unwrap_or(until);
        let edge = |n: i32| last.saturating_sub(bar * n).unwrap_or(last);
        (0..bars).rev().map(edge).chain([until]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_at_full_hours_and_days_and_leave_out_what_may_be_on_its_way() {
        let now = "2026-11-24T10:00:20Z".parse().unwrap();
        let hours = Period::Day.edges(now);
        assert_eq!((hours.len(), hours[0].to_string()), (25, "2026-11-23T10:00:00Z".into()));
        assert_eq!(
            hours[23..].iter().map(Timestamp::to_string).collect::<Vec<_>>(),
            ["2026-11-24T09:00:00Z", "2026-11-24T09:59:50Z"]
        );
        let days = Period::Month.edges(now);
        assert_eq!((days.len(), days[0].to_string()), (31, "2026-10-26T00:00:00Z".into()));
        assert_eq!(Period::Quarter.edges(now).len(), 91);
    }
}
