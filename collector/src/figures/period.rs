//! The periods of the pages: how far back they look, and in which bars.

use jiff::{SignedDuration, Timestamp};

use super::Window;

/// How far back a page looks, in bars of equal length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Period {
    /// 24 hours, in bars of an hour.
    #[default]
    Day,
    /// 30 days of UTC, in bars of a day.
    Month,
    /// 90 days of UTC, in bars of a day.
    Quarter,
}

/// The length of the bars. Whole bars begin at full hours, or at midnight of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// A bar is an hour.
    Hour,
    /// A bar is a day.
    Day,
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The time that a result may take to arrive. Newer time is not looked at, because it would look like a gap.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(30);
/// Windows up to this length are shown in bars of an hour.
const BY_THE_HOUR: SignedDuration = SignedDuration::from_hours(48);

/// Returns the end of a window at a moment. Time in which results may still be on their way is left out.
pub fn latest_end(now: Timestamp) -> Timestamp {
    now.saturating_sub(ON_ITS_WAY).unwrap_or(now)
}

impl Grain {
    const fn length(self) -> SignedDuration {
        match self {
            Grain::Hour => HOUR,
            Grain::Day => DAY,
        }
    }

    /// Returns the beginning of the bar in which a moment lies.
    fn begin(self, at: Timestamp) -> Timestamp {
        let into = at.as_second().rem_euclid(self.length().as_secs());
        Timestamp::from_second(at.as_second().saturating_sub(into)).unwrap_or(at)
    }
}

/// Returns the length of the bars of any window, and their edges, oldest first. There is one edge more than bars. The
/// first and the last bar may be cut.
pub fn bars(window: Window) -> (Grain, Vec<Timestamp>) {
    let Window { since, until } = window;
    let grain = if until.duration_since(since) <= BY_THE_HOUR { Grain::Hour } else { Grain::Day };
    let next = |edge: Timestamp| grain.begin(edge).checked_add(grain.length()).unwrap_or(until).min(until);
    let edges = std::iter::successors(Some(since), |edge| (*edge < until).then(|| next(*edge)));
    (grain, edges.collect())
}

impl Period {
    /// Returns the length of its bars.
    pub const fn grain(self) -> Grain {
        match self {
            Period::Day => Grain::Hour,
            Period::Month | Period::Quarter => Grain::Day,
        }
    }

    /// Returns how long a bar is, and how many bars there are.
    pub const fn bars(self) -> (SignedDuration, i32) {
        let bars = match self {
            Period::Day => 24,
            Period::Month => 30,
            Period::Quarter => 90,
        };
        (self.grain().length(), bars)
    }

    /// Returns the edges of the bars at a moment, oldest first. There is one edge more than bars, and the last bar is
    /// cut.
    pub fn edges(self, now: Timestamp) -> Vec<Timestamp> {
        let (bar, bars) = self.bars();
        let until = latest_end(now);
        let last = self.grain().begin(until);
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

    #[test]
    fn the_bars_of_any_window_are_cut_at_its_ends() {
        let window = |since: &str, until: &str| Window { since: since.parse().unwrap(), until: until.parse().unwrap() };
        let shown = |window| {
            let (grain, edges) = bars(window);
            (grain, edges.iter().map(Timestamp::to_string).collect::<Vec<_>>())
        };
        let (grain, edges) = shown(window("2026-11-24T09:30:00Z", "2026-11-24T11:00:00.5Z"));
        assert_eq!(grain, Grain::Hour);
        assert_eq!(
            edges,
            ["2026-11-24T09:30:00Z", "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z", "2026-11-24T11:00:00.5Z"]
        );
        let (grain, edges) = shown(window("2026-11-24T00:00:00Z", "2026-11-26T10:00:00Z"));
        assert_eq!(grain, Grain::Day);
        assert_eq!(
            edges,
            ["2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z", "2026-11-26T10:00:00Z"]
        );
        for period in [Period::Day, Period::Month, Period::Quarter] {
            let edges = period.edges("2026-11-24T10:00:20Z".parse().unwrap());
            let window = Window { since: edges[0], until: edges[edges.len() - 1] };
            assert_eq!(bars(window), (period.grain(), edges), "{period:?}");
        }
    }
}
