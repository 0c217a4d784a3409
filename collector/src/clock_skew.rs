//! How a message came here, and what that tells of its agent's clock.
//!
//! ```text
//! agent's clock                    sent
//!                                    ╲
//! a right clock   ──── end seen ──── appended ──── read ────▶
//! ```
//! With each message Kafka keeps when the agent handed it over, by the agent's own clock. However long it waited in the
//! outbox before has no part in that. By a right clock it was not after the message was read here; nor was it, but for
//! the seconds that sending takes, before Kafka was asked where the partition ends, and the message was not there yet. So
//! the clock is behind by at most `read - sent`, and by at least `end seen - sent`.
//!
//! Mostly the end was seen just before, and these bounds tell all: where a right clock is within them, it counts as
//! right, else as wrong by no more than is certain. But anyone who catches up has not seen the end for long, and his lag
//! must not be taken for the agent's clock: then what was known stays, unless the bounds contradict it. An agent whose
//! clock is ahead contradicts them at once, since nothing is read before it is sent.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Since an agent reports every minute, its partition's end is seen as often where no one lags.
pub const PROMPT: Duration = Duration::from_secs(90);

/// A moment by a clock that only counts, and by one that also knows how long the machine slept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    counted: Instant,
    wall: Timestamp,
}

impl Moment {
    /// This one.
    pub fn now() -> Moment {
        Moment { counted: Instant::now(), wall: Timestamp::now() }
    }

    /// How much passed until another one, at most.
    pub fn passed_until(self, later: Moment) -> Duration {
        self.counted_until(later).max(later.wall.duration_since(self.wall).try_into().unwrap_or_default())
    }

    /// How much passed until another one, at least: but for what the machine slept.
    fn counted_until(self, later: Moment) -> Duration {
        later.counted.saturating_duration_since(self.counted)
    }
}

#[cfg(test)]
impl std::ops::Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, passed: Duration) -> Moment {
        Moment { counted: self.counted + passed, wall: self.wall + passed }
    }
}

/// The moments of messages that were read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When they were read.
    pub at: Moment,
    /// When their partition was known to end before them; none when it never was.
    pub end_seen: Option<Moment>,
}

/// The moments of a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage<'a> {
    /// When it was sent, by its agent's clock.
    pub sent: Timestamp,
    /// How it was read.
    pub reading: &'a Reading,
}

impl Passage<'_> {
    /// Whether it can't have waited in Kafka for long.
    pub fn is_prompt(&self) -> bool {
        self.reading.end_seen.is_some_and(|seen| seen.passed_until(self.reading.at) <= PROMPT)
    }

    /// How far its agent's clock is behind another one, by which it is `time` at the moment `now`; negative: ahead.
    /// `known` is what was known before.
    pub fn clock_behind(&self, known: SignedDuration, time: Timestamp, now: Moment) -> SignedDuration {
        let before = |passed: Duration| {
            let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
            time.duration_since(self.sent).saturating_sub(passed)
        };
        let expected = if self.is_prompt() { SignedDuration::ZERO } else { known };
        let at_most = expected.min(before(self.reading.at.counted_until(now)));
        self.reading.end_seen.map_or(at_most, |seen| at_most.max(before(seen.passed_until(now))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: i64 = 0;

    /// What is known after each of these messages, sent at a second of a clock that is so far behind, read at a true
    /// second after an end that was seen at another; in seconds. They are stored an hour later.
    fn known(messages: &[(i64, i64, i64, Option<i64>)]) -> Vec<i64> {
        let began = Moment::now();
        let instant = |second: i64| began + Duration::from_secs(10_000_u64.saturating_add_signed(second));
        let time = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let mut known = SignedDuration::ZERO;
        let learn = |&(behind, sent, read, end_seen): &(i64, i64, i64, Option<i64>)| {
            let reading = Reading { at: instant(read), end_seen: end_seen.map(instant) };
            let passage = Passage { sent: time(sent - behind), reading: &reading };
            known = passage.clock_behind(known, time(3_600 + 8_000), instant(3_600 + 8_000));
            known.as_secs()
        };
        messages.iter().map(learn).collect()
    }

    #[test]
    fn a_right_clock_is_right_however_its_messages_come() {
        let prompt = (RIGHT, 100, 101, Some(95));
        let of_a_lagging_collector = [(RIGHT, 200, 2_000, Some(110)), (RIGHT, 260, 2_100, Some(110))];
        let of_one_that_began_just_now = (RIGHT, 300, 2_200, None);
        let slow_to_be_sent = (RIGHT, 2_300, 2_320, Some(2_310));
        let all = [&[prompt], &of_a_lagging_collector[..], &[of_one_that_began_just_now]].concat();
        assert_eq!(known(&all), [0; 4]);
        assert_eq!(known(&[slow_to_be_sent, (RIGHT, 2_400, 2_401, Some(2_399))]), [10, 0]);
    }

    #[test]
    fn a_clock_behind_is_so_by_what_is_certain() {
        let of_quiet_partition = (600, 200, 201, Some(150));
        assert_eq!(known(&[(600, 100, 101, Some(99)), of_quiet_partition]), [599, 550]);
        assert_eq!(known(&[(600, 100, 2_000, None)]), [0], "that may be the collector's lag");
    }

    #[test]
    fn a_clock_ahead_is_so_at_once_also_for_who_lags() {
        assert_eq!(known(&[(-300, 100, 101, None), (-300, 160, 161, Some(159))]), [-299, -299]);
        assert_eq!(known(&[(-300, 100, 150, Some(20)), (-300, 160, 161, Some(159))]), [-250, -299]);
    }

    #[test]
    fn a_lag_neither_makes_a_clock_wrong_nor_right() {
        let prompt = (600, 100, 101, Some(99));
        let caught_up = [(600, 200, 3_000, Some(110)), (600, 2_900, 3_010, None)];
        assert_eq!(known(&[&[prompt], &caught_up[..]].concat()), [599, 599, 599]);
    }

    #[test]
    fn a_clock_that_jumps_is_known_by_the_next_message() {
        let jumps = [
            (RIGHT, 100, 101, Some(99)),
            (600, 160, 161, Some(159)),
            (-300, 220, 221, Some(219)),
            (RIGHT, 280, 281, Some(279)),
        ];
        assert_eq!(known(&jumps), [0, 599, -299, 0]);
        let set_right_while_the_collector_lags = [(600, 100, 101, Some(99)), (RIGHT, 200, 400, Some(102))];
        assert_eq!(known(&set_right_while_the_collector_lags), [599, 200], "it can't be behind by more");
    }

    #[test]
    fn what_comes_after_a_sleep_of_the_machine_makes_no_clock_wrong() {
        let fell_asleep = Moment::now();
        let awake = Moment { wall: fell_asleep.wall + Duration::from_secs(3_600), ..fell_asleep };
        let sent = fell_asleep.wall + Duration::from_secs(60);
        let passage = Passage { sent, reading: &Reading { at: awake, end_seen: Some(fell_asleep) } };
        assert!(!passage.is_prompt());
        assert_eq!(passage.clock_behind(SignedDuration::ZERO, awake.wall, awake), SignedDuration::ZERO);
    }
}
