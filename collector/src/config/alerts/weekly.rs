//! A time that comes again each week, by the clocks of a time zone.
//!
//! When these clocks change, two rules hold:
//!
//! - A time in an hour that comes twice covers both: a time from 02:15 to 02:45 begins with the first 02:15 and ends with
//!   the second 02:45, because it is not known in which of both hours the work is done.
//! - A time whose beginning is skipped is moved as a whole by the length of the skip: where 02:00 is followed by 03:00, a
//!   time from 02:15 to 02:45 becomes 03:15 to 03:45. When only its end is skipped, it ends later by that length.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use settings::{Section, Wrong, nearest};

/// A time that comes again each week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weekly {
    /// The days on which it begins.
    days: Vec<Weekday>,
    /// Its beginning, in minutes of the day.
    from: i16,
    /// Its end, in minutes of the day, or of the next day when it would not be after the beginning.
    until: i16,
    /// The time zone of its clocks.
    zone: TimeZone,
}

const DAY: i16 = 24 * 60;
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Weekly {
    pub(super) fn of(section: &mut Section<'_>) -> Weekly {
        let (days, zone) = (section.items("days", day), section.parse("timezone", zone));
        let (from, until) = (section.parse("from", minute), section.parse("until", minute));
        Weekly {
            days: days.unwrap_or_default(),
            from: from.unwrap_or_default(),
            until: until.unwrap_or_default(),
            zone: zone.unwrap_or(TimeZone::UTC),
        }
    }

    /// Returns whether a moment is in it.
    pub(super) fn covers(&self, at: Timestamp) -> bool {
        let today = self.zone.to_datetime(at).date();
        // It lasts a day at most, and clocks that skip a time may move its beginning and its end to a later date.
        let begins = [Some(today), today.yesterday().ok(), today.yesterday().and_then(Date::yesterday).ok()];
        let on = |date: &Date| self.days.contains(&date.weekday());
        begins
            .into_iter()
            .flatten()
            .filter(on)
            .filter_map(|date| self.on(date))
            .any(|(from, until)| (from..until).contains(&at))
    }

    /// Returns the beginning and the end of the time that begins on a date; none where the calendar ends.
    fn on(&self, date: Date) -> Option<(Timestamp, Timestamp)> {
        let days = if self.until > self.from { 0 } else { 1 };
        let minutes = [self.from, self.until + days * DAY];
        let clock = |minutes: i16| {
            let midnight: DateTime = date.to_datetime(Time::midnight());
            midnight.checked_add(SignedDuration::from_mins(minutes.into())).ok()
        };
        let from = self.zone.to_ambiguous_timestamp(clock(minutes[0])?);
        let is_skipped = matches!(from.offset(), AmbiguousOffset::Gap { .. });
        let from = from.compatible().ok()?;
        let until = self.zone.to_ambiguous_timestamp(clock(minutes[1])?).later().ok()?;
        let whole = from.checked_add(SignedDuration::from_mins((minutes[1] - minutes[0]).into())).ok()?;
        Some((from, if is_skipped { until.max(whole) } else { until }))
    }
}

fn day(item: &serde_yaml::Value) -> Result<Weekday, Wrong> {
    let day = item.as_str().and_then(|word| DAYS.iter().find(|(known, _)| *known == word));
    let known = || DAYS.map(|(word, _)| word).join(", ");
    let wrong = || Wrong::new(format!("{} is no day", settings::shown(item)), format!("write some of: {}", known()));
    day.map(|(_, day)| *day).ok_or_else(wrong)
}

fn minute(text: &str) -> Result<i16, Wrong> {
    let parts = text.split_once(':').filter(|(hours, minutes)| hours.len() <= 2 && minutes.len() == 2);
    let number = |text: &str| text.parse::<u8>().ok().map(i16::from);
    let minute = parts.and_then(|(hours, minutes)| Some((number(hours)?, number(minutes)?)));
    let minute = minute.filter(|(_, minutes)| *minutes < 60).map(|(hours, minutes)| hours * 60 + minutes);
    minute
        .filter(|minute| *minute <= DAY)
        .ok_or_else(|| Wrong::new(format!("{text:?} is no time of a day"), "write hours and minutes: 22:00"))
}

fn zone(name: &str) -> Result<TimeZone, Wrong> {
    TimeZone::get(name).map_err(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|known| known.to_string()).collect();
        let mend = match nearest(name, known.iter().map(String::as_str)) {
            Some(known) => format!("did you mean {known}?"),
            None => "write a name of the IANA's database, such as Europe/Berlin".into(),
        };
        Wrong::new(format!("{name:?} is no time zone"), mend)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a time on each day.
    fn daily(from: &str, until: &str, zone: &str) -> Weekly {
        let days = DAYS.map(|(_, day)| day).to_vec();
        let zone = TimeZone::get(zone).unwrap();
        Weekly { days, from: minute(from).unwrap(), until: minute(until).unwrap(), zone }
    }

    /// Returns the beginning and the end of the time that begins on a date, in UTC.
    fn on(weekly: &Weekly, date: &str) -> String {
        let (from, until) = weekly.on(date.parse().unwrap()).unwrap();
        let shown = |at: Timestamp| at.strftime("%d %H:%M").to_string();
        for (at, is_covered) in [(-1, false), (0, true)] {
            assert_eq!(weekly.covers(from + SignedDuration::from_secs(at)), is_covered);
            assert_eq!(weekly.covers(until + SignedDuration::from_secs(at)), !is_covered);
        }
        format!("{} to {}", shown(from), shown(until))
    }

    #[test]
    fn three_in_the_morning_is_that_of_the_place_in_summer_and_in_winter() {
        let weekly = daily("03:00", "04:00", "Europe/Berlin");
        assert_eq!(on(&weekly, "2026-01-15"), "15 02:00 to 15 03:00");
        assert_eq!(on(&weekly, "2026-07-15"), "15 01:00 to 15 02:00");
        assert_eq!(on(&daily("03:00", "04:00", "Asia/Kolkata"), "2026-07-15"), "14 21:30 to 14 22:30");
    }

    // At 2026-03-29 01:00 UTC the clocks of Berlin go from 02:00 to 03:00.
    #[test]
    fn a_window_in_the_hour_that_is_skipped_takes_place_as_a_whole_an_hour_later() {
        for (from, until, right) in [
            ("02:15", "02:45", "29 01:15 to 29 01:45"),
            ("02:00", "03:00", "29 01:00 to 29 02:00"),
            ("02:30", "04:00", "29 01:30 to 29 03:00"),
            ("02:30", "03:15", "29 01:30 to 29 02:15"),
            ("01:30", "02:30", "29 00:30 to 29 01:30"),
            ("01:00", "04:00", "29 00:00 to 29 02:00"),
            ("03:00", "04:00", "29 01:00 to 29 02:00"),
        ] {
            assert_eq!(on(&daily(from, until, "Europe/Berlin"), "2026-03-29"), right, "{from} to {until}");
        }
    }

    // At 2026-10-25 01:00 UTC the clocks of Berlin go from 03:00 back to 02:00.
    #[test]
    fn a_window_in_the_hour_that_comes_twice_lasts_from_its_first_begin_to_its_last_end() {
        for (from, until, right) in [
            ("02:15", "02:45", "25 00:15 to 25 01:45"),
            ("02:00", "03:00", "25 00:00 to 25 02:00"),
            ("01:30", "02:30", "24 23:30 to 25 01:30"),
            ("02:30", "04:00", "25 00:30 to 25 03:00"),
            ("03:00", "04:00", "25 02:00 to 25 03:00"),
            ("22:00", "02:30", "25 21:00 to 26 01:30"),
        ] {
            assert_eq!(on(&daily(from, until, "Europe/Berlin"), "2026-10-25"), right, "{from} to {until}");
        }
        assert_eq!(on(&daily("22:00", "02:30", "Europe/Berlin"), "2026-10-24"), "24 20:00 to 25 01:30");
    }

    // At 2026-04-24 00:00 the clocks of Cairo go to 01:00.
    #[test]
    fn a_whole_day_that_begins_at_a_midnight_that_is_skipped_lasts_a_day() {
        let days = vec![Weekday::Friday];
        let weekly = Weekly { days, ..daily("00:00", "24:00", "Africa/Cairo") };
        assert_eq!(on(&weekly, "2026-04-24"), "23 22:00 to 24 22:00");
    }

    #[test]
    fn a_place_that_is_not_known_is_a_fault_that_names_the_one_that_may_be_meant() {
        let wrong = zone("Europe/Berln").unwrap_err();
        assert_eq!(wrong, Wrong::new("\"Europe/Berln\" is no time zone", "did you mean Europe/Berlin?"));
        assert!(zone("CEST+2, somewhere in the north").unwrap_err().mend.contains("such as Europe/Berlin"));
        assert!(zone("UTC").is_ok());
    }
}
